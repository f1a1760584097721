defmodule Mix.Tasks.Game.Demo do
  @shortdoc "Kills the process that ticks a world, again and again, and shows that nothing is lost"
  @moduledoc """
  A guided tour of half a minute: a world in a worker process, the worker killed in mid-tick, stopped in
  mid-tick, and what a call to it costs.

      mix game.demo

  ## Options

    * `--kills N`: how often the worker is killed; default 10
  #{GamePlatform.Config.flags([:seed])}

  It ends with status 1 if a digest differs.
  """
  use Mix.Task

  alias GamePlatform.{CLI, Compute, Config, Native, NativeNode}
  alias GamePlatform.Compute.Worker

  @requirements ["app.start"]
  @frequency 400
  @ticks 15_000
  @worker GamePlatform.Demo.Worker
  @samples 2_000

  @impl true
  def run(args) do
    opts = CLI.parse!("mix game.demo", args, [:seed], kills: :string)
    kills = CLI.number!("--kills", opts[:kills] || "10", 1_000)
    world_opts = CLI.ok!(Config.parse(:world, Map.take(opts, [:seed])))
    seed = Map.get(world_opts, :seed, 7)
    # The worker's ends are what this is about; they are told below.
    level = Logger.level()
    Logger.configure(level: :error)

    {:ok, pid} = Worker.start_link(name: @worker, backoff: {1, 1}, check_ms: 50)

    try do
      tour(seed, kills)
    after
      NativeNode.stop(pid)
      Logger.configure(level: level)
    end
  end

  defp tour(seed, kills) do
    cells = CLI.grouped(10 * @frequency * @frequency + 2)
    IO.puts("A world of #{cells} cells, #{CLI.grouped(@ticks)} ticks.\n")

    IO.puts("1. Undisturbed, inside the BEAM (backend :nif)")
    {us, want} = whole(seed, :nif)
    report(us, want)

    IO.puts("\n2. In a worker process that is killed #{kills} times with SIGKILL (backend :node)")
    killed = disturbed(seed, kills, &kill/2)

    IO.puts("\n3. In a worker process that is stopped in mid-tick with SIGSTOP")
    stopped = disturbed(seed, 1, &stop/2)

    IO.puts("\n4. What a call costs, median of #{CLI.grouped(@samples)}")
    costs()

    if killed == want and stopped == want do
      IO.puts("\nAll digests are equal: nothing was lost.")
    else
      Mix.raise("the digests differ: this is a bug, please report it with the seed #{seed}")
    end
  end

  defp new_world(seed, backend) do
    CLI.ok!(Compute.new_world(seed: seed, frequency: @frequency, backend: backend, worker: @worker))
  end

  defp whole(seed, backend) do
    world = new_world(seed, backend)
    {us, _} = :timer.tc(fn -> CLI.ok!(Compute.advance(world, @ticks)) end)
    digest = CLI.ok!(Compute.digest(world))
    Compute.close(world)
    {us, digest}
  end

  # Does something to the worker at so many ticks, spread over the advance that goes on meanwhile.
  defp disturbed(seed, times, disturb) do
    world = new_world(seed, :node)
    advance = Task.async(fn -> :timer.tc(fn -> CLI.ok!(Compute.advance(world, @ticks)) end) end)

    for n <- 1..times do
      target = div(@ticks * n, times + 1)
      up = at_tick(world, target)
      disturb.(up, CLI.ok!(Compute.tick(world)))
    end

    {us, _} = Task.await(advance, :infinity)
    digest = CLI.ok!(Compute.digest(world))
    report(us, digest)
    Compute.close(world)
    digest
  end

  # The worker that has brought the world so far.
  defp at_tick(world, target) do
    if CLI.ok!(Compute.tick(world)) >= target do
      CLI.ok!(Worker.up(@worker))
    else
      Process.sleep(1)
      at_tick(world, target)
    end
  end

  defp kill(up, tick) do
    System.cmd("kill", ["-KILL", "#{up.os_pid}"], stderr_to_stdout: true)
    successor(up, "tick #{tick}: kill -KILL #{up.os_pid}")
  end

  defp stop(up, tick) do
    System.cmd("kill", ["-STOP", "#{up.os_pid}"], stderr_to_stdout: true)
    next = successor(up, "tick #{tick}: kill -STOP #{up.os_pid}, noticed by its lack of progress and killed")
    # The one that was stopped is gone; waking it changes nothing.
    System.cmd("kill", ["-CONT", "#{up.os_pid}"], stderr_to_stdout: true)
    next
  end

  defp successor(up, what) do
    {us, next} = :timer.tc(fn -> CLI.ok!(Worker.next(@worker, up)) end)
    IO.puts("   #{what}; process #{next.os_pid} goes on after #{milliseconds(us)}")
  end

  defp report(us, digest) do
    IO.puts("   #{milliseconds(us)}, digest #{digest |> Base.encode16(case: :lower) |> binary_part(0, 32)}…")
  end

  defp milliseconds(us), do: "#{:erlang.float_to_binary(us / 1000, decimals: 1)} ms"

  defp costs do
    %{server: server} = CLI.ok!(Worker.up(@worker))

    calls = [
      {"the worker, through shared memory", fn -> Compute.ping(worker: @worker) end},
      {"an empty dirty NIF", fn -> Native.native_nothing_dirty() end},
      {"the worker, over the Erlang distribution", fn -> GenServer.call(server, :ping) end}
    ]

    [{_, ours} | _] = medians = for {name, fun} <- calls, do: {name, median(fun)}

    for {name, ns} <- medians do
      ratio =
        if ns == ours, do: "", else: ", #{:erlang.float_to_binary(ns / ours, decimals: 1)} times as long"

      IO.puts(
        "   #{String.pad_trailing(name, 42)} #{:erlang.float_to_binary(ns / 1000, decimals: 1)} µs#{ratio}"
      )
    end
  end

  defp median(fun) do
    times =
      for _ <- 1..@samples do
        start = :erlang.monotonic_time(:nanosecond)
        fun.()
        :erlang.monotonic_time(:nanosecond) - start
      end

    times |> Enum.sort() |> Enum.at(div(@samples, 2))
  end
end
