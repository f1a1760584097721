defmodule GamePlatform.Compute.SnapshotHarmTest do
  # Snapshots while something else goes on: ticks, death of the worker, death of who asked, broken memory.
  use ExUnit.Case, async: true

  import GamePlatform.Eventually
  import GamePlatform.Harm

  alias GamePlatform.{Compute, Plant}
  alias GamePlatform.Compute.{Snapshots, WorldProcess}

  @moduletag capture_log: true

  setup context do
    worker = Module.concat(__MODULE__, "W#{context.line}")
    if context[:worker], do: start_worker(worker)
    %{worker: worker}
  end

  defp snapshots(world, advance, snapshots \\ []) do
    {:ok, snapshot} = Compute.snapshot(world)

    if Process.alive?(advance.pid),
      do: snapshots(world, advance, [snapshot | snapshots]),
      else: [snapshot | snapshots]
  end

  # Every snapshot leads to the end that the world came to.
  defp assert_lead_to(snapshots, world) do
    {:ok, last} = Compute.tick(world)
    {:ok, digest} = Compute.digest(world)
    ticks = for snapshot <- snapshots, {:ok, %{tick: tick}} = Compute.snapshot_info(snapshot), do: tick
    assert ticks == Enum.sort(ticks, :desc)

    for snapshot <- Enum.take_every(snapshots, div(length(snapshots), 12) + 1) do
      {:ok, copy} = Compute.restore(snapshot, backend: :nif)
      assert Compute.advance_to(copy, last) == {:ok, last}
      assert Compute.digest(copy) == {:ok, digest}
      Compute.close(copy)
    end

    Enum.uniq(ticks)
  end

  test "while ticks are as fast as they can be" do
    for frequency <- [4, 60] do
      {:ok, world} = Compute.new_world(backend: :nif, frequency: frequency, seed: 5, threads: 1)
      advance = Task.async(fn -> Compute.advance(world, if(frequency == 4, do: 40_000, else: 1_500)) end)
      assert [_, _ | _] = world |> snapshots(advance) |> assert_lead_to(world)
      assert {:ok, _} = Task.await(advance)
    end
  end

  # Every tick writes every row, so the side buffer of the pin is full within one.
  test "while rows are overwritten faster than they can be copied" do
    {:text, text} = Plant.ruleset(field: :default)
    text = String.replace(text, ~r/^beat = \d+/m, "beat = 1")
    {:ok, world} = Compute.new_world(backend: :nif, frequency: 60, ruleset: {:text, text}, threads: 1)
    advance = Task.async(fn -> Compute.advance(world, 1_000) end)
    assert [_, _ | _] = world |> snapshots(advance) |> assert_lead_to(world)
    assert {:ok, 1_000} = Task.await(advance)
  end

  @tag :worker
  test "while the worker is killed again and again", %{worker: worker} do
    opts = [frequency: 60, seed: 5, ruleset: Plant.ruleset(field: :default)]
    {:ok, world} = Compute.new_world([worker: worker] ++ opts)
    advance = Task.async(fn -> Compute.advance(world, 3_000) end)
    taking = Task.async(fn -> snapshots(world, advance) end)
    kill_at(advance, world, worker, Enum.to_list(100..2_900//400))
    assert Task.await(advance, 60_000) == {:ok, 3_000}
    assert [_, _ | _] = taking |> Task.await(60_000) |> assert_lead_to(world)
    assert Compute.digest(world) == {:ok, uninterrupted(opts, 3_000)}
  end

  @tag :worker
  test "a world at rest needs no worker for it", %{worker: worker} do
    {:ok, world} = Compute.new_world(worker: worker, frequency: 12, seed: 5)
    {:ok, 50} = Compute.advance(world, 50)
    up = up(worker)
    stop(up)
    assert {:ok, snapshot} = Compute.snapshot(world)
    signal(up, "CONT")
    assert {:ok, %{tick: 50, digest: digest}} = Compute.snapshot_info(snapshot)
    assert Compute.digest(world) == {:ok, digest}
  end

  test "a caller that dies in the middle holds nothing up" do
    {:ok, world} = Compute.new_world(backend: :nif, frequency: 8)
    test = self()

    {holder, monitor} =
      spawn_monitor(fn ->
        {:held, _, _} = GenServer.call(world.pid, :capture)
        send(test, :held)
        Process.sleep(:infinity)
      end)

    assert_receive :held
    advance = Task.async(fn -> Compute.advance(world, 10) end)
    assert Task.yield(advance, 50) == nil
    # Others are answered, and can take one themselves.
    assert Compute.tick(world) == {:ok, 0}
    assert {:ok, _} = Compute.snapshot(world)
    assert Task.yield(advance, 50) == nil
    Process.exit(holder, :kill)
    assert_receive {:DOWN, ^monitor, _, _, _}
    assert Task.await(advance) == {:ok, 10}

    for _ <- 1..50 do
      taker = spawn(fn -> Compute.snapshot(world) end)
      if :rand.uniform(2) == 1, do: :erlang.yield()
      Process.exit(taker, :kill)
    end

    assert {:ok, 20} = Compute.advance(world, 10)
  end

  defmodule Overtaken do
    # Reads of it are always overtaken while ticks go on, and its memory is broken until it is repaired.
    def capture(%{test: test}, owner, ref) do
      send(test, {:capture, owner, ref})
      receive(do: ({:answer, answer} -> answer))
    end

    def encode(captured, text), do: {:ok, 0, captured <> text}
  end

  test "ticks wait for the last of the tries" do
    world = %Compute.World{
      pid: self(),
      backend: :scripted,
      module: Overtaken,
      reader: %{test: self()},
      frequency: 1,
      seed: 1,
      cells: 12,
      kinds: []
    }

    ask = fn
      :capture -> {:held, make_ref(), "text"}
      :repair -> :ok
    end

    answers = fn answers -> for answer <- answers, do: send(self(), {:answer, answer}) end
    answers.([{:error, :busy}, {:error, :corrupt_peer}, {:error, :busy}, {:error, :busy}, {:ok, "all "}])
    assert Snapshots.take(world, ask) == {:ok, "all text"}
    me = self()

    for owner <- [me, me, me, me, nil] do
      assert_received {:capture, ^owner, ref}
      # Said by whoever asked, too: the hold ends in any case.
      assert_received {:captured, ^ref}
    end

    answers.([{:error, :corrupt_peer}, {:error, :corrupt_peer}])
    assert Snapshots.take(world, ask) == {:error, :corrupt_peer}
    assert Snapshots.take(world, fn :capture -> {:error, :closed} end) == {:error, :closed}
  end

  test "no scheduler is held" do
    {:ok, world} = Compute.new_world(backend: :nif, frequency: 400)
    taking = Task.async(fn -> for _ <- 1..5, do: {:ok, _} = Compute.snapshot(world) end)
    times = for _ <- 1..200, do: elem(:timer.tc(fn -> Compute.cell(world, 7) end), 0)
    # The median: whoever shares the machine may take a slice now and then.
    assert times |> Enum.sort() |> Enum.at(100) < 1_000
    Task.await(taking, 30_000)
  end

  # A factory with deeds before and after the snapshot that a world is made again from.
  defp played(world, ids) do
    for id <- ids do
      claim = %{action: "claim", by: "ann", action_id: "#{id}", cell: 7_350 + id}
      {:ok, [%{status: :accepted}]} = Compute.submit(world, [claim])
      {:ok, _} = Compute.advance(world, 7)
    end

    world
  end

  defp founded(opts) do
    {:ok, world} =
      Compute.new_world([frequency: 100, seed: 8, ruleset: Plant.ruleset(field: :default)] ++ opts)

    {:ok, _} = Compute.submit(world, [%{action: "join", by: "ann", cell: 7_350}])
    {:ok, _} = Compute.advance(world, 1)
    world
  end

  # Nonsense in the cells of many rows, which the next look at them finds.
  defp harm(worker) do
    file = open_memory(up(worker).os_pid, "game_platform_world")
    {:ok, size} = :file.position(file, :eof)
    :ok = :file.pwrite(file, for(at <- div(size, 3)..div(size, 2)//64, do: {at, <<0xF3F3F3F3F3F3F3F3::64>>}))
    :file.close(file)
  end

  @tag :worker
  test "memory that was broken is made again from the snapshot, and what came since", %{worker: worker} do
    expected = [backend: :nif] |> founded() |> played(0..9)
    {:ok, digest} = Compute.digest(expected)
    first = [backend: :nif] |> founded() |> played(0..4)
    {:ok, snapshot} = Compute.snapshot(first)

    {:ok, world} = Compute.restore(snapshot, worker: worker)
    {:ok, restored} = Compute.tick(world)
    played(world, 5..9)
    harm(worker)
    assert {:ok, again} = Compute.snapshot(world)
    assert {:ok, ^again} = Compute.snapshot(expected)
    assert Compute.digest(world) == {:ok, digest}
    # It is the same world to those who follow it.
    assert Compute.diff(world, restored - 1) == {:error, :too_old}
    {:ok, _, planes} = Compute.planes(first)
    {:ok, diff} = Compute.diff(world, restored)
    assert Compute.apply_diff(planes, diff) == Compute.planes(world)
  end

  @tag :worker
  test "after a rebase nothing before it is needed", %{worker: worker} do
    test = self()
    world = founded(worker: worker) |> played(0..4)
    {:ok, snapshot} = Compute.snapshot(world)
    {:ok, tick} = Compute.tick(world)
    {:ok, _, planes} = Compute.planes(world)

    read = fn ->
      send(test, :read)
      {:ok, snapshot}
    end

    assert WorldProcess.rebase(world.pid, tick, read) == :ok
    assert [] = :sys.get_state(world.pid).backend.batches.list
    played(world, 5..9)
    assert 5 = length(:sys.get_state(world.pid).backend.batches.list)
    refute_received :read
    harm(worker)
    assert {:ok, _, _} = Compute.planes(world)
    assert_received :read
    assert {:ok, digest} = Compute.digest(world)
    assert Compute.digest([backend: :nif] |> founded() |> played(0..9)) == {:ok, digest}
    # Those who have followed it from before go on, too.
    {:ok, diff} = Compute.diff(world, tick)
    assert Compute.apply_diff(planes, diff) == Compute.planes(world)
    assert {:ok, _} = Compute.diff(world, 3)

    # What is read must be sound.
    WorldProcess.rebase(world.pid, tick, fn -> {:ok, "none"} end)
    harm(worker)
    assert {:error, {:invalid_snapshot, _}} = Compute.snapshot(world)
    WorldProcess.rebase(world.pid, tick, fn -> {:error, :gone} end)
    assert {:error, :gone} = Compute.snapshot(world)
    WorldProcess.rebase(world.pid, tick + 1, read)
    assert {:error, {:invalid_snapshot, sentence}} = Compute.snapshot(world)
    assert sentence == "it is of tick #{tick}, where one of tick #{tick + 1} was to be"
  end

  test "backends that lose no memory take a rebase and need it not" do
    for backend <- [:nif, :beam] do
      {:ok, world} = Compute.new_world(backend: backend, frequency: 4)
      assert WorldProcess.rebase(world.pid, 0, fn -> raise "never" end) == :ok
      assert Compute.advance(world, 3) == {:ok, 3}
      Compute.close(world)
      wait_until(fn -> not Process.alive?(world.pid) end)
      assert WorldProcess.rebase(world.pid, 0, fn -> raise "never" end) == {:error, :closed}
    end
  end
end
