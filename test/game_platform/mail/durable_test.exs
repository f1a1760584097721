defmodule GamePlatform.Mail.DurableTest do
  # A game that keeps its world, and what its players were told.
  use ExUnit.Case, async: true

  import GamePlatform.Eventually
  import GamePlatform.Harm, only: [signal: 2]

  alias GamePlatform.{Instance, JSON, Mail, MailRoom, Multiplayer, OtherVM, Persistence}

  @moduletag :capture_log
  @moduletag :tmp_dir
  @seeds String.to_integer(System.get_env("MAIL_SEEDS", "2"))

  setup %{tmp_dir: tmp, line: line} do
    {:ok, dir: Path.join(tmp, "data"), game: Module.concat(__MODULE__, "Game#{line}")}
  end

  defp start(%{game: game, dir: dir}, opts \\ []) do
    options = Keyword.merge([name: game, data_dir: dir, frequency: 16, ups: 100, backend: :nif], opts)
    start_supervised!({GamePlatform, options}, id: :game)
  end

  defp entered(game, name) do
    wait_until(fn -> match?({:ok, %{}}, Multiplayer.enter(game, name)) end)
    wait_until(fn -> match?({:ok, _}, Multiplayer.player(game, name)) end)
    {:ok, %{home: home}} = Multiplayer.player(game, name)
    home
  end

  defp act(game, name, id, cell),
    do: Multiplayer.submit(game, name, [%{action_id: id, action: "claim", cell: cell}])

  defp ids(messages) do
    for %{event: "outcome", json: json} <- messages, {:ok, %{"action_id" => id}} = JSON.decode(json), do: id
  end

  test "what was told is there after a restart, and numbers go on", %{game: game, dir: dir} = context do
    start(context)
    home = entered(game, "ann")
    {:ok, [%{durability: :logged}]} = act(game, "ann", "1", home)
    {:ok, posted} = Mail.post(game, {:topic, "world:main"}, "news", %{n: 1})
    {:ok, _} = Mail.revoke(game, "session", System.os_time(:second) + 1_000)
    wait_until(fn -> Mail.answered(game, "ann", "1") != nil end)
    :ok = Mail.sync(game)
    boxes = [{:player, "ann"}, {:topic, "world:main"}]
    assert {:ok, [_, _] = messages, last} = Mail.read(game, boxes, 0)
    assert ids(messages) == ["1"]
    assert last >= posted
    tick = Mail.answered(game, "ann", "1")

    stop_supervised!(:game)
    start(context)
    assert {:ok, ^messages, ^last} = Mail.read(game, boxes, 0)
    assert Mail.last(game) == last
    assert Mail.answered(game, "ann", "1") == tick
    assert {_, _} = Mail.revoked(game, "session")
    assert {:ok, [%{status: :accepted, tick: ^tick, durability: :logged}]} = act(game, "ann", "1", home)
    assert {:ok, next} = Mail.post(game, {:player, "ann"}, "e", %{})
    assert next > last

    # The messages are no world.
    assert {:ok, [%{id: "main"}]} = Persistence.worlds(dir)
    assert {:error, {:unknown_world, %{known: ["main"]}}} = Persistence.view(dir, "main-mail", 0)
  end

  test "sync waits for the disk, and a restart does not come before it", %{game: game} = context do
    start(context)
    entered(game, "ann")
    {:ok, world} = GamePlatform.world(game)
    wait_until(fn -> GamePlatform.Compute.tick(world) > {:ok, 20} end)
    {:ok, tick} = GamePlatform.Compute.tick(world)
    :ok = Mail.sync(game)
    {:ok, %{reached: reached}} = Persistence.Link.call(Instance.via(game, :link), {:world, "main"})
    assert reached >= tick
  end

  test "a directory from before there were messages", %{game: game, dir: dir} = context do
    GamePlatform.Kept.make!(dir, ticks: 30)
    start(context, frequency: 8)
    {:ok, world} = GamePlatform.world(game)
    {:ok, tick} = GamePlatform.Compute.tick(world)
    assert %{complete: complete, last: last} = Mail.info(game)
    assert complete in 20..tick
    # No outcome of what its log has executed, but perhaps of what began then.
    assert {:ok, messages, _} = Mail.read(game, for(name <- ~w(ann bob cid), do: {:player, name}), 0)
    assert Enum.all?(messages, &(&1.tick > 20))
    assert {:ok, next} = Mail.post(game, {:topic, "t"}, "e", %{})
    assert next > last
  end

  test "the log is pruned, and forgets nothing that holds", %{game: game} = context do
    start(context, mail: [log_bytes: 20_000, topic_messages: 10])
    {:ok, _} = Mail.revoke(game, "session", System.os_time(:second) + 1_000)
    text = String.duplicate("x", 900)
    link = Instance.via(game, :link)

    wait_until(fn ->
      for _ <- 1..10, do: {:ok, _} = Mail.post(game, {:topic, "t"}, "e", %{text: text})
      match?({:ok, %{complete: false}}, Persistence.Link.call(link, {:world, "main-mail"}))
    end)

    wait_until(fn -> Mail.info(game).log_bytes <= 20_000 end)
    {:ok, kept, last} = Mail.read(game, [{:topic, "t"}], Mail.last(game) - 5)
    stop_supervised!(:game)
    start(context)
    assert {_, _} = Mail.revoked(game, "session")
    assert Mail.last(game) == last
    assert {:gap, {1, to}, messages, ^last} = Mail.read(game, [{:topic, "t"}], 0)
    assert Enum.take(messages, -length(kept)) == kept
    assert to < hd(kept).seq
    assert {:ok, next} = Mail.post(game, {:topic, "t"}, "e", %{})
    assert next > last
  end

  for seed <- 1..@seeds do
    test "whatever is killed, #{seed}", %{game: game} = context do
      :rand.seed(:exsss, unquote(seed))
      start(context)
      homes = Map.new(["ann", "bob"], &{&1, entered(game, &1)})
      over = :atomics.new(1, [])
      players = for {name, home} <- homes, do: Task.async(fn -> play(game, name, home, over, 1, []) end)

      readers =
        for name <- Map.keys(homes),
            do: {name, MailRoom.reader(game, [{:player, name}]), MailRoom.listener(game, [{:player, name}])}

      for _ <- 1..6 do
        # More would be too many for a supervisor.
        Process.sleep(1_700)
        harm(game, :rand.uniform(6), context)
      end

      :atomics.put(over, 1, 1)
      accepted = players |> Task.await_many(60_000) |> Enum.concat()
      assert length(accepted) > 50

      for {name, first, second} <- readers do
        wanted = Enum.sort(for {^name, id} <- accepted, do: id)

        wait_until(fn ->
          [first, second] = for reader <- [first, second], do: MailRoom.seen(reader)
          first == second and wanted -- ids(first) == []
        end)

        seen = MailRoom.seen(first)
        assert Enum.sort(ids(seen)) == Enum.sort(Enum.uniq(ids(seen)))
        seqs = Enum.map(seen, & &1.seq)
        assert seqs == Enum.sort(Enum.uniq(seqs))
        # Nothing that was not played.
        assert ids(seen) -- for({^name, id} <- accepted, do: id) == []
      end
    end
  end

  # An action is sent until it is accepted.
  defp play(game, name, home, over, n, done) do
    if :atomics.get(over, 1) == 1 do
      done
    else
      wait_until(fn ->
        Process.sleep(5)
        match?({:ok, [%{status: :accepted}]}, act(game, name, "#{n}", home))
      end)

      Process.sleep(20)
      play(game, name, home, over, n + 1, [{name, "#{n}"} | done])
    end
  end

  defp harm(game, n, _) when n in 1..2, do: kill(MailRoom.sequencer(game))
  defp harm(game, 3, _), do: kill(GenServer.whereis(Instance.via(game, :world_server)))

  defp harm(game, 4, _) do
    with {:ok, world} <- GamePlatform.world(game), do: kill(world.pid)
  end

  defp harm(game, 5, _) do
    if stats = Persistence.Link.stats(Instance.via(game, :link)), do: signal(stats, "KILL")
  end

  # All of it, and all tables.
  defp harm(game, 6, _), do: kill(Process.whereis(game))

  defp kill(nil), do: :ok
  defp kill(pid), do: Process.exit(pid, :kill)

  test "kill -9 of the VM", %{dir: dir, game: game} = context do
    script = """
    Logger.configure(level: :error)
    {:ok, _} = Application.ensure_all_started(:game_platform)
    {:ok, _} = GamePlatform.start_link(name: Killed, data_dir: #{inspect(dir)}, frequency: 16, ups: 100, backend: :nif)
    alias GamePlatform.{Mail, Multiplayer}
    {:ok, %{home: home}} = Multiplayer.enter(Killed, "ann")
    told = #{inspect(dir)} <> ".told"
    spawn_link(fn ->
      for n <- 1..100_000 do
        Multiplayer.submit(Killed, "ann", [%{action_id: "\#{System.pid()}-\#{n}", action: "claim", cell: home}])
        Mail.post(Killed, {:topic, "t"}, "e", %{n: n})
      end
    end)
    listen = fn listen, file, last ->
      with {:ok, messages, next} when messages != [] <- Mail.read(Killed, [{:player, "ann"}, {:topic, "t"}], last) do
        for m <- messages, do: :file.write(file, [Integer.to_string(m.seq), " ", Base.encode64(m.json), "\\n"])
        listen.(listen, file, next)
      else
        _ -> Process.sleep(1); listen.(listen, file, last)
      end
    end
    last = Mail.last(Killed)
    spawn_link(fn -> listen.(listen, File.open!(told, [:append, :raw]), last) end)
    tell.(%{os_pid: String.to_integer(System.pid())})
    Process.sleep(:infinity)
    """

    for round <- 1..3 do
      vm = OtherVM.start(script)
      on_exit(fn -> File.rm_rf!(vm.dir) end)
      told = dir <> ".told"
      before = if File.exists?(told), do: File.stat!(told).size, else: 0
      wait_until(fn -> File.exists?(told) and File.stat!(told).size > before + 2_000 * round end)
      signal(vm, "KILL")
      OtherVM.await_exit(vm.port)
    end

    start(context)
    {:ok, kept, _} = Mail.read(game, [{:player, "ann"}, {:topic, "t"}], 0, limit: 100_000, bytes: 100_000_000)
    kept = Map.new(kept, &{&1.seq, &1.json})

    # The last line may be half.
    lines = File.read!(dir <> ".told") |> String.split("\n") |> Enum.filter(&(&1 =~ ~r/\A\d+ [^ ]+={0,2}\z/))
    seqs = for line <- lines, [seq, _] = String.split(line, " "), do: String.to_integer(seq)
    assert length(seqs) > 100
    assert seqs == Enum.sort(Enum.uniq(seqs))

    for line <- Enum.drop(lines, -3), [seq, json] = String.split(line, " ") do
      assert kept[String.to_integer(seq)] == Base.decode64!(json)
    end

    outcomes = ids(for {_, json} <- kept, json =~ "action_id", do: %{event: "outcome", json: json})
    assert outcomes == Enum.uniq(outcomes)
  end
end
