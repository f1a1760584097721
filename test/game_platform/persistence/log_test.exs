defmodule GamePlatform.Persistence.LogTest do
  # A world that writes its actions to a log which is slow, dies and fills up.
  use ExUnit.Case, async: true

  import GamePlatform.Eventually

  alias GamePlatform.{Compute, FakeLink, Tiny}
  alias GamePlatform.Compute.{Actions, WorldProcess}
  alias GamePlatform.Persistence.Log

  @moduletag capture_log: true

  defp start(opts \\ []) do
    link = Module.concat(__MODULE__, "Link#{System.unique_integer([:positive])}")
    start_supervised!(%{id: link, start: {FakeLink, :start_link, [link, opts]}})
    log = start_supervised!({Log, {nil, %{link: link, world: "main"}}})
    {:ok, epoch} = Log.begin(log)
    {:ok, world} = Compute.new_world(backend: opts[:backend] || :nif, frequency: 4, ruleset: Tiny.path())
    if opts[:keep] != false, do: :ok = WorldProcess.keep(world.pid, {Log, log, epoch}, 0, [], %{})
    %{link: link, log: log, world: world}
  end

  defp submit(world, name, ids) do
    Task.async(fn ->
      {:ok, replies} = Compute.submit(world, Enum.map(ids, &Tiny.act(name, &1, "claim", cell: 5)))
      replies
    end)
  end

  defp join!(world, names) do
    {:ok, _} = Compute.submit(world, Enum.map(names, &Tiny.join(&1, 30)))
    :ok
  end

  # What a restart would make of what is on the disk, at the tick of the world.
  defp replayed(%{link: link, world: world}) do
    {:ok, tick} = Compute.tick(world)
    %{entries: entries, marks: marks} = FakeLink.durable(link)
    {:ok, again} = Compute.new_world(backend: :nif, frequency: 4, ruleset: Tiny.path())

    {batches, _} =
      Enum.map_reduce(marks, 0, fn {tick, last}, before ->
        {{tick, Actions.batch(for {seq, bytes} <- entries, seq > before and seq <= last, do: bytes)}, last}
      end)

    {:ok, _} = WorldProcess.replay(again.pid, batches, tick)
    digest = Compute.digest(again)
    Compute.close(again)
    digest
  end

  # Name and id of an entry.
  defp of(<<n, name::binary-size(n), m, id::binary-size(m), _::binary>>), do: {name, id}

  test "what is answered is on the disk, and what is executed has its mark there" do
    %{link: link, world: world} = game = start()
    join!(world, ["ann"])
    assert [%{status: :accepted, durability: :logged, tick: 1}] = Task.await(submit(world, "ann", ["1"]))
    assert %{entries: [{1, _}, {2, _}], marks: []} = FakeLink.durable(link)
    {:ok, 1} = Compute.advance(world, 1)
    assert %{marks: [{0, 2}]} = FakeLink.durable(link)
    assert replayed(game) == Compute.digest(world)
    assert %{status: :ok, waiting: 0, durable: 2, commits: commits} = Log.info(game.log)
    assert commits >= 2
  end

  test "a link that dies costs nothing" do
    %{link: link, world: world} = game = start()
    join!(world, ["ann"])
    FakeLink.set(link, :deaf)
    waiting = submit(world, "ann", ["1"])
    assert Task.yield(waiting, 50) == nil
    FakeLink.set(link, :well)
    FakeLink.die(link)
    assert [%{status: :accepted, durability: :logged}] = Task.await(waiting)
    {:ok, _} = Compute.advance(world, 5)
    assert replayed(game) == Compute.digest(world)
    assert length(FakeLink.durable(link).entries) == 2
  end

  test "a full disk refuses, and all is well again when there is room" do
    %{link: link, world: world, log: log} = game = start()
    join!(world, ["ann"])
    {:ok, _} = Compute.advance(world, 1)
    FakeLink.set(link, :full)
    assert [%{status: :refused, code: :log_full, message: message}] = Task.await(submit(world, "ann", ["1"]))
    assert message =~ "disk is full"
    assert [%{code: :log_full}] = Task.await(submit(world, "ann", ["2"]))
    assert %{status: :log_full} = Log.info(log)
    {:ok, 11} = Compute.advance(world, 10)
    FakeLink.set(link, :well)
    assert [%{status: :accepted, durability: :logged}] = eventually(world, "3")
    {:ok, _} = Compute.advance(world, 1)
    assert {:ok, [%{action_id: "3"}]} = Compute.outcomes(world, 1)
    assert replayed(game) == Compute.digest(world)
  end

  defp eventually(world, id, tries \\ 100) do
    case Task.await(submit(world, "ann", [id])) do
      [%{code: :log_full}] when tries > 0 ->
        Process.sleep(30)
        eventually(world, id, tries - 1)

      replies ->
        replies
    end
  end

  test "a log that failed before anybody acted is told of, and what comes later is written" do
    %{link: link, world: world, log: log} = game = start()
    FakeLink.set(link, :full)
    Log.reached(log, 3)
    wait_until(fn -> Log.info(log).status == :log_full end)
    assert {:ok, [%{code: :log_full}]} = Compute.submit(world, [Tiny.join("ann", 30)])
    FakeLink.set(link, :well)
    wait_until(fn -> Log.info(log).status == :ok end)
    join!(world, ["ann"])
    assert [%{status: :accepted, durability: :logged}] = Task.await(submit(world, "ann", ["1"]))
    {:ok, _} = Compute.advance(world, 5)
    assert length(FakeLink.durable(link).entries) == 2
    assert replayed(game) == Compute.digest(world)
  end

  test "a log that failed before its world was there is told of" do
    %{link: link, world: world, log: log} = start(keep: false)
    {:ok, epoch} = Log.begin(log)
    FakeLink.set(link, :full)
    Log.reached(log, 3)
    wait_until(fn -> Log.info(log).status == :log_full end)
    :ok = WorldProcess.keep(world.pid, {Log, log, epoch}, 0, [], %{})
    assert {:ok, [%{code: :log_full}]} = Compute.submit(world, [Tiny.join("ann", 30)])
    FakeLink.set(link, :well)
    wait_until(fn -> Log.info(log).status == :ok end)
    join!(world, ["ann"])
    assert [{1, _}] = for({_, bytes} <- FakeLink.durable(link).entries, do: {1, bytes})

    # And one that is written again by then.
    {:ok, epoch} = Log.begin(log)
    FakeLink.set(link, :full)
    Log.reached(log, 9)
    wait_until(fn -> Log.info(log).status == :log_full end)
    FakeLink.set(link, :well)
    wait_until(fn -> Log.info(log).status == :ok end)
    :ok = WorldProcess.keep(world.pid, {Log, log, epoch}, 2, [], %{})

    # It is told of the failure and of the end of it one after the other; who comes between them is to send it again.
    wait_until(fn ->
      case Compute.submit(world, [Tiny.join("bob", 31)]) do
        {:ok, [%{durability: :logged}]} -> true
        {:ok, [%{code: :log_down}]} -> false
      end
    end)
  end

  test "what a restart finds is executed, though nobody acts" do
    %{link: link, world: world, log: log} = game = start()
    join!(world, ["ann"])
    assert [%{status: :accepted}] = Task.await(submit(world, "ann", ["1"]))
    Compute.close(world)
    %{entries: kept, marks: []} = FakeLink.durable(link)
    {:ok, epoch} = Log.begin(log)
    {:ok, world} = Compute.new_world(backend: :nif, frequency: 4, ruleset: Tiny.path())
    :ok = WorldProcess.keep(world.pid, {Log, log, epoch}, 2, kept, %{})
    # What comes again is known.
    assert [%{status: :accepted, durability: :logged, tick: 1}] = Task.await(submit(world, "ann", ["1"]))
    join!(world, ["ann"])
    assert length(FakeLink.durable(link).entries) == 2
    {:ok, 1} = Compute.advance(world, 1)
    assert %{marks: [{0, 2}]} = FakeLink.durable(link)
    assert {:ok, %{name: "ann"}} = Compute.player(world, "ann")
    assert replayed(%{game | world: world}) == Compute.digest(world)
  end

  test "a mark that is taken back is gone before a snapshot counts" do
    %{link: link, world: world} = start()
    join!(world, ["ann"])
    FakeLink.set(link, :deaf)
    # Its mark is late.
    {:ok, 3} = Compute.advance(world, 3)
    settled = Task.async(fn -> WorldProcess.settle(world.pid, 5_000) end)
    assert Task.yield(settled, 50) == nil
    FakeLink.set(link, :well)
    assert Task.await(settled) == :ok
    refute List.keymember?(FakeLink.durable(link).marks, 0, 0)
    assert WorldProcess.settle(world.pid, 5_000) == :ok
  end

  test "a log that does not answer, or has another world, settles nothing" do
    %{link: link, world: world, log: log} = start()
    join!(world, ["ann"])
    FakeLink.set(link, :deaf)
    {:ok, 3} = Compute.advance(world, 3)
    assert {:error, {:log_behind, _}} = WorldProcess.settle(world.pid, 20)
    settled = Task.async(fn -> WorldProcess.settle(world.pid, 5_000) end)
    assert Task.yield(settled, 20) == nil
    beginning = Task.async(fn -> Log.begin(log) end)
    assert Task.await(settled) == {:error, :closed}
    FakeLink.set(link, :well)
    assert {:ok, _} = Task.await(beginning)
    assert WorldProcess.settle(world.pid, 5_000) == {:error, :closed}
  end

  test "a world that begins anew finds what is there, and nothing of the one before comes late" do
    %{link: link, world: world, log: log} = start()
    join!(world, ["ann"])
    {:ok, 1} = Compute.advance(world, 1)
    assert %{marks: [{0, 1}]} = FakeLink.durable(link)
    FakeLink.set(link, :deaf)
    waiting = submit(world, "ann", ["1"])
    assert Task.yield(waiting, 30) == nil
    Compute.close(world)
    assert {:error, :closed} = catch_result(waiting)
    beginning = Task.async(fn -> Log.begin(log) end)
    assert Task.yield(beginning, 30) == nil
    FakeLink.set(link, :well)
    assert {:ok, 2} = Task.await(beginning)
    before = FakeLink.durable(link)
    send(log, {:append, 1, [{9, "late"}]})
    send(log, {:mark, 1, 7, 9})
    send(log, {:unmark, 1, 0})
    wait_until(fn -> Log.info(log).idle end)
    assert FakeLink.durable(link) == before
  end

  defp catch_result(task) do
    Process.unlink(task.pid)

    receive do
      {:DOWN, _, _, pid, {{:badmatch, error}, _}} when pid == task.pid -> error
    after
      1_000 -> :nothing
    end
  end

  # Ticks on until all that is durable is executed: marks that were late are written ahead of their ticks.
  defp settle(%{link: link, log: log, world: world} = game, tries \\ 500) do
    {:ok, tick} = Compute.advance(world, 1)
    # A mark that was late and is taken back is still there until that is written.
    idle = Log.info(log).idle
    %{entries: entries, marks: marks} = durable = FakeLink.durable(link)
    {last, _} = List.last(entries)

    if idle and match?({marked, ^last} when marked < tick, List.last(marks)) do
      durable
    else
      assert tries > 0, "not executed"
      Process.sleep(5)
      settle(game, tries - 1)
    end
  end

  # Whatever happens, in whatever order: what was acknowledged is there, what was refused is not, and the world is what
  # its log makes of it.
  for seed <- 1..12 do
    test "all of it at random, #{seed}" do
      :rand.seed(:exsss, unquote(seed))
      %{link: link, world: world} = game = start(delay_ms: Enum.random([0, 0, 5, 30, 90]))
      join!(world, ["ann", "bob"])

      calls =
        for n <- 1..150, reduce: [] do
          calls ->
            case :rand.uniform(30) do
              n when n in 1..2 -> FakeLink.die(link)
              3 -> FakeLink.set(link, :full)
              n when n in 4..5 -> FakeLink.set(link, :deaf)
              n when n in 6..12 -> FakeLink.set(link, :well)
              n when n in 13..20 -> {:ok, _} = Compute.advance(world, Enum.random(1..3))
              _ -> :ok
            end

            Process.sleep(Enum.random(0..4))
            name = Enum.random(["ann", "bob"])
            # Some more than once.
            [{name, submit(world, name, ["#{n}", "#{Enum.random(1..n)}"])} | calls]
        end

      FakeLink.set(link, :well)

      replies =
        for {name, call} <- calls, reply <- Task.await(call, 20_000), do: {{name, reply.action_id}, reply}

      %{entries: entries} = settle(game)
      there = Enum.frequencies_by(entries, fn {_, bytes} -> of(bytes) end)

      logged = for {id, %{status: :accepted, durability: :logged}} <- replies, do: id
      assert Enum.reject(logged, &(there[&1] == 1)) == []

      accepted = MapSet.new(for {id, %{status: :accepted}} <- replies, do: id)
      refused = for {id, %{status: :refused}} <- replies, id not in accepted, do: id
      assert Enum.filter(refused, &is_map_key(there, &1)) == []
      assert replayed(game) == Compute.digest(world)

      # Whatever there was, it is over: the next one is kept and executed.
      assert [%{status: :accepted, durability: :logged}] = eventually(world, "last")
      settle(game)
      assert {:ok, outcomes} = Compute.outcomes(world, 0)
      assert %{player: "ann", action_id: "last"} = List.last(outcomes)
      assert replayed(game) == Compute.digest(world)
    end
  end
end
