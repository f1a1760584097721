defmodule GamePlatform.Bench.Edge.Contestants do
  # Servers that speak the same protocol, each with a load client of its own, and what their processes use.

  alias GamePlatform.{CLI, JSON, Transport}

  @endpoint GamePlatform.Bench.Edge.Endpoint
  # All clients come from one address and ask as fast as they get answers.
  @limits %{max_connections: 20_000, per_ip: 20_000, rate: 1_000_000, burst: 1_000_000}
  @start_ms 60_000
  @answer_ms 320_000

  # `load` is the command of the load client, without its arguments.
  def start(load) do
    ours = ours(load)

    case System.get_env("PHOENIX_PATH") do
      path when path in [nil, ""] -> [ours]
      path -> [ours, phoenix(path, load)]
    end
  end

  def stop(contestants) do
    for %{client: client, server: server} <- contestants do
      Port.close(client)
      if is_port(server), do: Port.close(server), else: Supervisor.stop(server)
    end
  end

  defp ours(load) do
    options = [
      name: @endpoint,
      port: 0,
      sockets: [{"/socket", GamePlatform.Bench.Edge.Socket}],
      limits: @limits
    ]

    server = CLI.ok!(Transport.start_link(options))
    port = CLI.ok!(Transport.port(@endpoint, 10_000))
    %{edge: %{os_pid: edge}} = Transport.stats(@endpoint)
    pids = [beam: String.to_integer(System.pid()), edge: edge]
    %{name: :game_platform, pids: pids, server: server, client: client(load, port)}
  end

  # It ends when the port is closed or this VM ends, which closes its standard input.
  defp phoenix(path, load) do
    unless File.exists?(Path.join(path, "mix.exs")) do
      Mix.raise("PHOENIX_PATH=#{path}: expected the directory of a built Phoenix application, with mix.exs")
    end

    tcp = free_port()

    # A shell's limit of open files is often 1,024.
    script = """
    ulimit -n "$(ulimit -Hn)"
    mix run --no-halt </dev/null 1>&2 & pid=$!
    echo $pid
    cat >/dev/null
    kill $pid
    sleep 1
    kill -9 $pid 2>/dev/null
    """

    server =
      Port.open({:spawn_executable, "/bin/sh"}, [
        :binary,
        line: 100,
        args: ["-c", script],
        cd: path,
        env: [{~c"MIX_ENV", ~c"prod"}, {~c"PORT", ~c"#{tcp}"}]
      ])

    pid = String.to_integer(line(server, @start_ms))
    await_listening(tcp, path, System.monotonic_time(:millisecond) + @start_ms)
    %{name: :phoenix, pids: [beam: beam(pid)], server: server, client: client(load, tcp)}
  end

  defp free_port do
    {:ok, socket} = :gen_tcp.listen(0, ip: {127, 0, 0, 1})
    {:ok, port} = :inet.port(socket)
    :gen_tcp.close(socket)
    port
  end

  defp await_listening(tcp, path, deadline) do
    case :gen_tcp.connect({127, 0, 0, 1}, tcp, []) do
      {:ok, socket} ->
        :gen_tcp.close(socket)

      {:error, reason} ->
        if System.monotonic_time(:millisecond) > deadline do
          Mix.raise("`mix run --no-halt` in #{path} does not listen on PORT=#{tcp}: #{reason}")
        end

        Process.sleep(100)
        await_listening(tcp, path, deadline)
    end
  end

  # `mix` becomes the VM by a chain of exec, or has it as a child.
  defp beam(pid) do
    if File.read!("/proc/#{pid}/comm") == "beam.smp\n" do
      pid
    else
      children = "/proc/#{pid}/task/#{pid}/children" |> File.read!() |> String.split()
      Enum.find_value(children, &beam(String.to_integer(&1)))
    end
  end

  defp client({program, args}, tcp) do
    Port.open({:spawn_executable, program}, [:binary, line: 4_096, args: args ++ ["127.0.0.1:#{tcp}"]])
  end

  @doc false
  # What the load client reports; raises if the server failed it.
  def command(%{client: client, name: name}, words) do
    line = Enum.join(words, " ")
    Port.command(client, line <> "\n")

    case client |> line(@answer_ms) |> JSON.decode() do
      {:ok, %{"error" => error}} -> Mix.raise("#{name}, `#{line}`: #{error}")
      {:ok, report} -> report
    end
  end

  defp line(port, ms) do
    receive do
      {^port, {:data, {_, line}}} -> line
    after
      ms -> Mix.raise("no answer within #{div(ms, 1000)} s")
    end
  end

  @doc false
  # The report, and what each process of the server used meanwhile, in µs of processor time.
  def measured(contestant, words) do
    before = cpu(contestant)
    report = command(contestant, words)
    {report, Map.new(cpu(contestant), fn {part, us} -> {part, us - before[part]} end)}
  end

  defp cpu(%{pids: pids}), do: for({part, pid} <- pids, do: {part, cpu_us(pid)})

  # What the scheduler of Linux counted for each thread, in ns.
  defp cpu_us(pid) do
    for(thread <- File.ls!("/proc/#{pid}/task"), do: thread_ns("/proc/#{pid}/task/#{thread}/schedstat"))
    |> Enum.sum()
    |> Kernel./(1000)
  end

  defp thread_ns(file) do
    case File.read(file) do
      {:ok, text} -> text |> String.split() |> hd() |> String.to_integer()
      # It has just ended.
      {:error, _} -> 0
    end
  end

  @doc false
  # Of the server and of its load client.
  def processes(%{pids: pids, client: client}) do
    {:os_pid, load} = Port.info(client, :os_pid)
    [load | Keyword.values(pids)]
  end

  @doc false
  # Resident bytes of each process, what is shared being divided among those that share it.
  def memory(%{pids: pids}), do: for({part, pid} <- pids, do: {part, pss(pid)})

  defp pss(pid) do
    [_, kib] = Regex.run(~r/^Pss:\s+(\d+) kB$/m, File.read!("/proc/#{pid}/smaps_rollup"))
    String.to_integer(kib) * 1024
  end
end
