defmodule GamePlatform.OtherVM do
  @moduledoc "Another VM with this build's code, as an operating system process, with a directory for its temporary files."

  @watchdog_ms 30_000

  @doc """
  Runs a script, which must tell a map with the function `tell`; returns what it told, the port and the directory. `env`
  are variables for it.
  """
  def start(script, env \\ []) do
    dir = Path.join(System.tmp_dir!(), "gpvm#{System.pid()}_#{System.unique_integer([:positive])}")
    File.mkdir!(dir)
    paths = for path <- :code.get_path(), path = to_string(path), path =~ "_build", do: ["-pa", path]
    prelude = "tell = fn term -> IO.puts(\"told \" <> Base.encode64(:erlang.term_to_binary(term))) end\n"
    args = List.flatten(paths) ++ ["-e", prelude <> script]

    port =
      Port.open(
        {:spawn_executable, System.find_executable("elixir")},
        [:binary, :exit_status, {:line, 100_000}, args: args, env: [{~c"TMPDIR", to_charlist(dir)} | env]]
      )

    Map.merge(told(port), %{port: port, dir: dir})
  end

  @doc "Sends it a line, and waits for what it tells next."
  def ask(%{port: port}, line) do
    Port.command(port, line <> "\n")
    told(port)
  end

  defp told(port) do
    receive do
      {^port, {:data, {:eol, "told " <> text}}} -> text |> Base.decode64!() |> :erlang.binary_to_term()
      {^port, {:data, _}} -> told(port)
      {^port, {:exit_status, status}} -> raise "the other VM ended with #{status}"
    after
      @watchdog_ms -> raise "the other VM did not start"
    end
  end

  @doc "Waits until it has ended; returns the exit status."
  def await_exit(port) do
    receive do
      {^port, {:exit_status, status}} -> status
      {^port, {:data, _}} -> await_exit(port)
    after
      @watchdog_ms -> raise "the other VM did not end"
    end
  end
end
