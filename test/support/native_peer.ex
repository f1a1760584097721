defmodule GamePlatform.NativePeer do
  @moduledoc "A native program that can misbehave, and the handler that tells a test what happens to it."

  @behaviour GamePlatform.NativeNode

  @doc "Builds the program, once."
  def path do
    case :persistent_term.get(__MODULE__, nil) do
      nil ->
        :global.trans({__MODULE__, self()}, fn -> :persistent_term.put(__MODULE__, build()) end, [node()])
        path()

      path ->
        path
    end
  end

  defp build do
    {:ok, cargo} = Mix.Tasks.Compile.Native.find_cargo()
    args = ~w(build --quiet --workspace --example peer --message-format=json-render-diagnostics)
    {out, 0} = System.cmd(cargo, args)
    [_, path] = Regex.run(~r/"executable":"([^"]+)"/, out)
    path
  end

  @doc "Options for a `GamePlatform.NativeNode`; the flags are the program's."
  def options(flags \\ [], opts \\ []) do
    Keyword.merge(
      [
        program: path(),
        args: ["--progress", "{dir}/progress" | flags],
        handler: {__MODULE__, self()},
        server: :peer,
        check_ms: 20,
        backoff: {1, 50}
      ],
      opts
    )
  end

  @impl true
  def handle_up(run, test) do
    send(test, {:handle_up, run})
    {:ok, %{test: test, run: run}}
  end

  @impl true
  def progress(%{run: run}) do
    case File.read(Path.join(run.dir, "progress")) do
      {:ok, text} -> text
      {:error, :enoent} -> :idle
    end
  end

  @impl true
  def handle_down(%{test: test, run: run}, reason), do: send(test, {:handle_down, run.generation, reason})

  @doc "True while there is a process of this id that is no zombie."
  def alive?(os_pid) do
    case File.read("/proc/#{os_pid}/stat") do
      {:ok, stat} -> stat |> String.split(") ") |> List.last() |> String.first() != "Z"
      {:error, _} -> false
    end
  end

  def signal(os_pid, name) when is_integer(os_pid) and os_pid > 1,
    do: System.cmd("/bin/sh", ["-c", "kill -#{name} #{os_pid}"], stderr_to_stdout: true)
end
