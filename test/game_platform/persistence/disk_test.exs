defmodule GamePlatform.Persistence.DiskTest do
  # A game whose gp_link has a disk that is full or slow, as the test says.
  use ExUnit.Case, async: true

  import GamePlatform.Eventually

  alias GamePlatform.{Compute, Config, NativePeer, PowerCut, Tiny}
  alias GamePlatform.Compute.Actions
  alias GamePlatform.CrashMatrix.Check
  alias GamePlatform.Game.Simulation.WorldServer
  alias GamePlatform.Persistence.{Link, Log, Recovery}

  @moduletag :tmp_dir
  @moduletag :capture_log

  setup %{tmp_dir: tmp, line: line} do
    [link, log, server] = for part <- ~w(Link Log World), do: Module.concat(__MODULE__, "#{part}#{line}")
    [dir, full, slow] = for name <- ~w(data full slow), do: Path.join(tmp, name)
    File.mkdir!(dir)
    program = Application.app_dir(:game_platform, "priv/native/gp_link")
    wrapped = PowerCut.wrap(program, Path.join(tmp, "gp_link"), dir, full: full, slow: slow)
    native = [program: wrapped, backoff: {1, 50}]
    start_supervised!({Link, %{link_options(dir) | name: link, native: native}})
    start_supervised!({Log, {log, %{link: link, world: "main", probe_ms: 50}}})

    {:ok, options} = Config.validate(:server, frequency: 4, ups: 100, backend: :nif, ruleset: Tiny.path())

    data = %{module: Recovery, log: log, link: link, dir: dir, world: "main", durability: %{}, given: []}
    start_supervised!({WorldServer, {server, Map.put(options, :data, data)}})
    {:ok, world} = WorldServer.world(server)
    {:ok, world: world, link: link, log: log, full: full, slow: slow}
  end

  defp link_options(dir), do: %{dir: dir, name: nil, native: []}

  defp join!(%{world: world}, name) do
    assert {:ok, [%{status: :accepted, durability: :logged}]} = Compute.submit(world, [Tiny.join(name, 30)])
  end

  defp act(%{world: world}, name, id) do
    {:ok, [reply]} = Compute.submit(world, [Tiny.act(name, id, "claim", cell: 5)])
    reply
  end

  # Ticks go on.
  defp ticks!(%{world: world}, n) do
    {:ok, tick} = Compute.tick(world)
    wait_until(fn -> Compute.tick(world) >= {:ok, tick + n} end)
  end

  # All that the log has is executed, and the world is what that comes to.
  defp agrees!(%{world: world, link: link, log: log}) do
    wait_until(fn ->
      {:ok, info} = Link.call(link, {:world, "main"})
      {:ok, tick} = Compute.tick(world)
      Log.info(log).idle and info.marked_seq == info.last_seq and info.marked_tick < tick
    end)

    {:ok, binary} = Compute.snapshot(world)
    {:ok, %{tick: tick, digest: digest}} = Compute.snapshot_info(binary)
    held = Check.read(link)
    assert Check.digest(held, tick) == digest
    for {_, entries} <- held.batches, entry <- entries, do: {Actions.read(entry).by, Actions.read(entry).id}
  end

  test "a full disk: actions are refused, ticks go on, and it comes right by itself", game do
    join!(game, "ann")
    assert %{status: :accepted, durability: :logged} = act(game, "ann", "1")
    File.touch!(game.full)
    assert %{status: :refused, code: :log_full} = act(game, "ann", "2")
    ticks!(game, 30)
    assert %{status: :refused, code: :log_full} = act(game, "ann", "3")
    File.rm!(game.full)
    wait_until(fn -> act(game, "ann", "4").status == :accepted end)
    assert Enum.sort(agrees!(game)) == [{"ann", "1"}, {"ann", "4"}, {"ann", "join"}]
  end

  test "a slow disk: actions are answered later, and ticks go on", game do
    join!(game, "ann")
    File.write!(game.slow, "150")
    began = System.monotonic_time(:millisecond)
    for n <- 1..3, do: assert(%{status: :accepted, durability: :logged} = act(game, "ann", "#{n}"))
    assert System.monotonic_time(:millisecond) - began >= 450
    ticks!(game, 100)
    assert length(agrees!(game)) == 4
  end

  for seed <- 1..String.to_integer(System.get_env("DISK_SEEDS", "3")) do
    test "full, slow and killed at random, #{seed}", game do
      :rand.seed(:exsss, unquote(seed))
      names = ~w(ann bob cid dan)
      Enum.each(names, &join!(game, &1))
      over = :atomics.new(1, [])
      players = for name <- names, do: Task.async(fn -> play(game, name, over, 1, []) end)

      for _ <- 1..25 do
        harm(game, :rand.uniform(6))
        Process.sleep(:rand.uniform(80))
      end

      File.rm(game.full)
      File.rm(game.slow)
      :atomics.put(over, 1, 1)
      replies = players |> Task.await_many(30_000) |> Enum.concat()
      held = Enum.frequencies(agrees!(game))
      logged = for {id, %{durability: :logged}} <- replies, do: id
      refused = for {id, %{status: :refused}} <- replies, do: id
      assert Enum.reject(logged, &(held[&1] == 1)) == []
      assert Enum.filter(refused, &is_map_key(held, &1)) == []
      assert logged != [] and refused != []
    end
  end

  defp harm(%{full: full}, n) when n in 1..2, do: File.touch!(full)
  defp harm(%{slow: slow}, 3), do: File.write!(slow, "#{:rand.uniform(120)}")

  defp harm(%{link: link}, 4) do
    if stats = Link.stats(link), do: NativePeer.signal(stats.os_pid, "KILL")
  end

  defp harm(%{full: full, slow: slow}, _) do
    File.rm(full)
    File.rm(slow)
    Process.sleep(:rand.uniform(150))
  end

  defp play(game, name, over, n, replies) do
    if :atomics.get(over, 1) == 1 do
      replies
    else
      reply = act(game, name, "#{n}")
      Process.sleep(3)
      play(game, name, over, n + 1, [{{name, "#{n}"}, reply} | replies])
    end
  end
end
