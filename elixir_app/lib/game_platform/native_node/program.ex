defmodule GamePlatform.NativeNode.Program do
  @moduledoc false
  # One run of a native program: its directory, port, listening socket, and lines of output. Functions of the
  # process that owns the port.

  require Logger

  alias GamePlatform.NativeNode.Distribution

  @line_bytes 1_000
  @lines_a_second 20
  @kill_ms 10_000

  # `identity` tells the process from a later one of the same id. `partial`: the line goes on. `window` and
  # `lines`: the current second, and its lines.
  defstruct [:port, :os_pid, :identity, :dir, :acceptor, :peer, :path, partial: false, window: 0, lines: 0]

  # `config` has program, args, short (of the node's name) and cookie. Atoms are made once for all runs.
  def start(config) do
    with {:ok, node} <- Distribution.ensure_started(),
         {:ok, dir} <- Distribution.make_dir("gp_native_") do
      [_, host] = node |> Atom.to_string() |> String.split("@")

      case start(Map.put(config, :peer, :"#{config.short}@#{host}"), node, dir) do
        {:ok, program} ->
          {:ok, program}

        {:error, reason} ->
          File.rm_rf(dir)
          {:error, reason}
      end
    end
  end

  defp start(config, node, dir) do
    with {:ok, acceptor} <- Distribution.listen(dir, config.peer, config.cookie) do
      socket = Path.join(dir, "dist.sock")
      flags = ["--connect", "#{node}", "--name", "#{config.peer}", "--socket", socket, "--cookie-stdin"]

      case open(config.program, flags ++ expand(config.args, dir)) do
        {:ok, port, os_pid} ->
          program = %__MODULE__{port: port, os_pid: os_pid, dir: dir, acceptor: acceptor}
          program = %{program | identity: identity(os_pid)}
          write(program, "#{config.cookie}\n")
          {:ok, %{program | peer: config.peer, path: config.program}}

        {:error, reason} ->
          Distribution.close(acceptor)
          {:error, reason}
      end
    end
  end

  defp expand(args, dir), do: Enum.map(args, &String.replace(&1, "{dir}", dir))

  defp open(program, args) do
    options = [:binary, :exit_status, {:line, @line_bytes}, {:args, args}]
    port = Port.open({:spawn_executable, program}, options)

    case Port.info(port, :os_pid) do
      {:os_pid, os_pid} -> {:ok, port, os_pid}
      # It has ended already; the exit status has come.
      nil -> {:ok, port, nil}
    end
  rescue
    # What `open_port` says of a file that is missing or not executable, and of arguments it cannot pass on.
    error in ErlangError -> not_started(program, error.original)
    error in ArgumentError -> not_started(program, Exception.message(error))
  end

  defp not_started(program, reason) do
    hint = "see that #{program} exists and can be executed; `mix compile --force` builds what is ours"
    {:error, {:worker_not_started, %{reason: reason, hint: hint}}}
  end

  # Takes in what the program wrote: says whether it is ready, and logs the rest.
  def output(%__MODULE__{partial: false} = program, {:eol, "ready"}), do: {:ready, program}

  def output(%__MODULE__{} = program, {kind, text}) do
    second = System.monotonic_time(:second)
    program = if program.window == second, do: program, else: new_window(program, second)
    name = Path.basename(program.path)

    # Only the beginning of a long line.
    if not program.partial and text != "" and program.lines < @lines_a_second do
      Logger.info(fn -> "#{name}: #{if String.valid?(text), do: text, else: inspect(text)}" end)
    end

    lines = if program.partial, do: program.lines, else: program.lines + 1
    {:line, %{program | partial: kind == :noeol, lines: lines}}
  end

  defp new_window(program, second) do
    left_out = program.lines - @lines_a_second
    if left_out > 0, do: Logger.info("#{Path.basename(program.path)}: #{left_out} lines more")
    %{program | window: second, lines: 0}
  end

  # What a program with a closed standard input is sent closes the port, and its exit status never comes.
  defp write(%__MODULE__{port: port}, line) do
    Port.command(port, line)
  rescue
    ArgumentError -> true
  end

  # Kills this program, and no later process of the same id.
  def kill(%__MODULE__{os_pid: os_pid} = program) do
    # A shell has `kill` built in.
    if alive?(program), do: System.cmd("/bin/sh", ["-c", "kill -KILL #{os_pid}"], stderr_to_stdout: true)
    :ok
  end

  # Where the exit status will not come.
  def kill_and_wait(%__MODULE__{} = program) do
    kill(program)
    wait_until_dead(program)
  end

  defp wait_until_dead(program) do
    if alive?(program) do
      Process.sleep(1)
      wait_until_dead(program)
    end
  end

  defp alive?(%__MODULE__{identity: identity, os_pid: os_pid}),
    do: identity != nil and identity(os_pid) == identity

  # When it was started; none of a process that has ended.
  defp identity(nil), do: nil

  defp identity(os_pid) do
    if File.exists?("/proc/self/stat") do
      with {:ok, stat} <- File.read("/proc/#{os_pid}/stat"),
           # The name, which comes second, may hold anything. The state is the third field, the start the 22nd.
           [state | fields] <- stat |> String.split(")") |> List.last() |> String.split(),
           true <- state not in ["Z", "X"] do
        Enum.at(fields, 18)
      else
        _ -> nil
      end
    else
      case System.cmd("ps", ["-o", "lstart=", "-p", "#{os_pid}"], stderr_to_stdout: true) do
        {text, 0} -> text
        _ -> nil
      end
    end
  end

  # Ends the program and waits until it has ended: for `polite_ms` by the line that asks for it, since closing
  # the port would lose the exit status; then by force.
  def stop(%__MODULE__{} = program, polite_ms) do
    write(program, "stop\n")

    with :timeout <- await_exit(program, polite_ms) do
      kill(program)
      await_exit(program, @kill_ms)
    end
  end

  defp await_exit(%__MODULE__{port: port} = program, ms) do
    receive do
      {^port, {:exit_status, _}} -> :ok
      {:EXIT, ^port, _} -> kill_and_wait(program)
    after
      ms -> :timeout
    end
  end

  # What is left to do when the program has ended.
  def clean(%__MODULE__{} = program) do
    Distribution.close(program.acceptor)
    File.rm_rf(program.dir)
    :ok
  end
end
