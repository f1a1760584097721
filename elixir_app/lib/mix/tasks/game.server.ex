defmodule Mix.Tasks.Game.Server do
  @shortdoc "Runs a world, serves its clients, and prints a status line a second"
  @moduledoc """
  Runs a world at a steady rate, serves the page, its clients and the operator's port, and prints one status line a
  second. `make run` starts this.

      mix game.server --frequency 128 --ups 60

  The world is kept in the directory `data`, unless another is given: it goes on where it was when the server is started
  again (`docs/persistence.md`). Its seed, frequency and ruleset are then those that it was made with.

  ## Options

  #{GamePlatform.Config.flags([:seed, :frequency, :ups, :backend, :threads, :ruleset, :max_bytes])}
    * `--memory`: keep nothing; the world begins anew each time
  #{GamePlatform.Config.flags([:data_dir, :snapshot_s, :snapshots, :log_max_bytes, :durability, :mailbox_s, :session_s])}
  #{GamePlatform.Config.flags([:port, :admin_port, :bind, :cors_origins, :hz, :token_s, :guests, :log_format])}

  The environment gives defaults: #{[:server, :edge, :admin, :log] |> Enum.flat_map(&GamePlatform.Config.variables/1) |> Enum.uniq() |> Enum.map_join(", ", fn {variable, _} -> "`#{variable}`" end)}. SIGTERM stops it within a second; so does
  Ctrl-C under `make run` (run by hand, Ctrl-C opens the VM's menu, where `a` stops it).

  The status line shows the tick, updates per second, cells times updates per second, the duration of a tick
  (median and 99th percentile over the last second), how many slots of the schedule were missed since the
  start, and the backend.
  """
  use Mix.Task

  alias GamePlatform.{CLI, Compute, Config, Log}

  @requirements ["app.start"]
  @groups [:server, :edge, :admin, :log]
  # A secret is not for a command line, which everybody on the machine may read.
  @options [:seed, :frequency, :ups, :backend, :threads, :ruleset, :max_bytes] ++
             [:data_dir, :snapshot_s, :snapshots, :log_max_bytes, :durability, :mailbox_s, :session_s] ++
             [:port, :admin_port, :bind, :cors_origins, :hz, :token_s, :guests, :log_format]
  @data_dir "data"
  # How long the parts have to end by themselves, whatever a tick is doing; and the last snapshot has.
  @stop_ms 500
  @snapshot_ms 30_000

  @impl true
  def run(args) do
    given = CLI.parse!("mix game.server", args, @options, memory: :boolean)
    [server, edge, admin, log] = for group <- @groups, do: group_of(group, given)

    server =
      if given[:memory],
        do: Keyword.delete(server, :data_dir),
        else: Keyword.put_new(server, :data_dir, @data_dir)

    CLI.ok!(with :ok <- Log.install(log), do: {:ok, nil})
    # A line for each client would hide the status.
    Logger.configure(level: :info)
    stopper = stop_on_sigterm()

    Process.flag(:trap_exit, true)
    platform = CLI.ok!(GamePlatform.start_link(server ++ [edge: edge, admin: admin]))
    send(stopper, {:running, platform, if(server[:data_dir], do: @snapshot_ms, else: @stop_ms)})
    {:ok, world} = GamePlatform.world()
    threads = server[:threads] || System.schedulers_online()
    kernel = if world.backend in [:node, :nif], do: " #{Compute.info().isa}, #{threads} threads", else: ""

    IO.puts(
      "world of #{CLI.grouped(world.cells)} cells: frequency #{world.frequency}, seed #{world.seed}, " <>
        "backend #{world.backend}#{kernel}"
    )

    if dir = server[:data_dir], do: IO.puts("kept in #{Path.expand(dir)}")
    serving(edge)
    report(platform, System.monotonic_time(:millisecond) + 1000)
  end

  # Flags go before the environment.
  defp group_of(group, given) do
    env = CLI.ok!(Config.from_env(group))
    group |> Config.parse(given) |> CLI.ok!() |> Enum.into(env) |> Map.to_list()
  end

  defp serving(edge) do
    port = CLI.ok!(GamePlatform.port())
    {:ok, admin} = GamePlatform.admin_port()
    host = Keyword.get(edge, :bind, "127.0.0.1")
    host = if host in ["127.0.0.1", "0.0.0.0", "::1", "::"], do: "localhost", else: host
    IO.puts("open http://#{host}:#{port}   (health and metrics: http://#{host}:#{admin})")

    cond do
      edge[:jwt_secret] ->
        :ok

      Keyword.get(edge, :guests, true) ->
        IO.puts("WARNING: no JWT_SECRET: everybody on this machine may connect, and nobody else can")

      true ->
        IO.puts(
          "WARNING: no JWT_SECRET, and GUESTS=false: nobody can connect; set JWT_SECRET to sign tokens with"
        )
    end
  end

  defp report(platform, due) do
    receive do
      {:EXIT, ^platform, :shutdown} -> Process.sleep(:infinity)
      {:EXIT, ^platform, reason} -> Mix.raise("the world stopped: #{inspect(reason)}")
    after
      max(due - System.monotonic_time(:millisecond), 0) ->
        case GamePlatform.stats() do
          {:error, :not_running} -> IO.puts("the world is being started anew")
          stats -> IO.puts(line(stats))
        end

        report(platform, due + 1000)
    end
  end

  # A process of its own, so that stopping waits for nothing: not for a world that is being made, not for
  # a tick. The VM's own handler would stop it too, a second later.
  defp stop_on_sigterm do
    stopper = spawn(fn -> stopper(nil, 0) end)
    {:ok, _} = System.trap_signal(:sigterm, fn -> send(stopper, :stop) && :ok end)
    :gen_event.delete_handler(:erl_signal_server, :erl_signal_handler, [])
    stopper
  end

  defp stopper(platform, stop_ms) do
    receive do
      {:running, platform, stop_ms} -> stopper(platform, stop_ms)
      :stop -> stop(platform, stop_ms)
    end
  end

  defp stop(platform, stop_ms) do
    try do
      if platform, do: Supervisor.stop(platform, :shutdown, stop_ms)
    catch
      :exit, _ -> :ok
    end

    IO.puts("stopped")
    System.halt(0)
  end

  @doc false
  def line(stats) do
    Enum.join(
      [
        "tick #{stats.tick}",
        "#{stats.ups} UPS",
        "#{CLI.si(stats.cells_per_s)} cells/s",
        "tick p50 #{ms(stats.tick_p50_us)} p99 #{ms(stats.tick_p99_us)} ms",
        "missed #{stats.missed}",
        "#{stats.backend}"
      ],
      "  "
    )
  end

  defp ms(us), do: :erlang.float_to_binary(us / 1000, decimals: 2)
end
