defmodule GamePlatform.Persistence.HistoryTest do
  use ExUnit.Case, async: true

  import ExUnit.CaptureLog

  alias GamePlatform.{Compute, Kept, NativeNode}
  alias GamePlatform.Persistence.{DataDir, History, Link, Snapshots}

  @moduletag :tmp_dir
  @nif [backend: :nif]

  setup %{tmp_dir: dir}, do: {:ok, dir: Path.join(dir, "data")}

  defp open!(dir) do
    {:ok, history} = History.open(dir, "main")
    history
  end

  defp digest_at(history, tick, opts \\ @nif) do
    {:ok, world, done} = History.replay(history, tick, opts)
    {:ok, digest} = Compute.digest(world)
    Compute.close(world)
    {digest, done}
  end

  test "every tick that is kept is there again, whatever it is made from", %{dir: dir} do
    %{digests: digests, last: last} = Kept.make!(dir, snapshots: [20, 45])
    history = open!(dir)
    assert history.last == max(last + 1, 45)
    assert history.meta.seed == 7 and history.info.complete

    for tick <- 0..history.last//3 do
      assert {digest, %{from: from, tick: ^tick}} = digest_at(history, tick)
      assert digest == digests[tick]
      assert from == Enum.max(Enum.filter([0, 20, 45], &(&1 <= tick)))
    end

    for backend <- [:node, :beam], tick <- [5, 50] do
      assert {digest, _} = digest_at(history, tick, backend: backend)
      assert digest == digests[tick]
    end

    assert {:ok, world, %{until: until}} = History.replay(history, :newest, @nif)
    assert until == history.last
    assert Compute.digest(world) == {:ok, digests[until]}
    assert History.close(history) == :ok
  end

  test "what was pruned is not covered", %{dir: dir} do
    %{digests: digests} = Kept.make!(dir, snapshots: [20, 45])
    {:ok, link} = Link.open(%{dir: dir})
    {:ok, _} = Link.call(link, {:prune, "main", 20})
    Link.close(link)
    history = open!(dir)
    refute history.info.complete
    assert {:ok, %{tick: 20}} = History.oldest(history)
    assert {digest, %{from: 20}} = digest_at(history, 21)
    assert digest == digests[21]
    last = history.last

    assert {:error, {:not_covered, %{first: 20, last: ^last, hint: hint}}} = History.replay(history, 19, @nif)
    assert hint == "tick 19 of world main is not kept: #{dir} has 20..#{last}"
    assert {:error, {:not_covered, %{last: ^last}}} = History.replay(history, last + 1, @nif)

    # Without the oldest one, there are batches that no world leads to.
    File.rm!(Snapshots.path(dir, "main", 20))
    assert {:error, {:not_covered, %{first: 45}}} = History.base(history, 44)
    File.rm!(Snapshots.path(dir, "main", 45))
    assert {:error, {:no_snapshot, %{hint: hint}}} = History.base(history, 44)
    assert hint =~ "begins at tick #{history.info.first_tick}, and there is no sound snapshot"
    History.close(history)
  end

  test "damaged snapshots are named and left out", %{dir: dir} do
    %{digests: digests} = Kept.make!(dir, snapshots: [20, 45])
    file = Snapshots.path(dir, "main", 45)
    File.write!(file, binary_part(File.read!(file), 0, 900))
    history = open!(dir)

    log =
      capture_log(fn ->
        assert {digest, %{from: 20}} = digest_at(history, 50)
        assert digest == digests[50]
      end)

    assert log =~ "snapshot #{file} is damaged"
    History.close(history)
  end

  test "it is read while another one writes and prunes", %{dir: dir} do
    {:ok, data} = DataDir.open(dir)
    {:ok, link} = Link.open(%{dir: dir})
    %{digests: digests} = Kept.make!(dir, link: link, snapshots: [10, 30, 50])
    history = open!(dir)
    {:ok, base} = History.base(history, 25)
    {:ok, world, base} = History.start(history, base, @nif)
    assert base.tick == 10
    {:ok, _} = Link.call(link, {:prune, "main", 30})
    # What would be missing is noticed, however the world came to its tick.
    assert History.run(history, world, 10, 25, []) == {:error, :pruned}
    assert {:error, {:not_covered, %{first: 30}}} = History.replay(history, 25, @nif)
    assert {:ok, history} = History.refresh(history)
    assert {digest, %{from: 30}} = digest_at(history, 40)
    assert digest == digests[40]
    # It writes on.
    {:ok, _} = Link.call(link, {:commit, "main", [{:reached, 100}]})
    assert {:ok, %{last: 100}} = History.refresh(history)
    History.close(history)
    Link.close(link)
    DataDir.close(data)
  end

  test "progress is told of what takes long", %{dir: dir} do
    Kept.make!(dir)
    {:ok, link} = Link.open(%{dir: dir})
    {:ok, _} = Link.call(link, {:commit, "main", [{:reached, 400_000}]})
    Link.close(link)
    history = open!(dir)
    test = self()
    {:ok, _, %{tick: 400_000}} = History.replay(history, :newest, [progress: &send(test, {:at, &1})] ++ @nif)
    assert_received {:at, %{tick: tick, from: 0, until: 400_000, actions: actions}}
    assert tick in 1..399_999 and actions >= 0
    History.close(history)
  end

  test "a past world can be looked at and not be changed", %{dir: dir} do
    %{digests: digests} = Kept.make!(dir, ticks: 30)
    history = open!(dir)
    {:ok, world} = History.view(history, 12, @nif)
    # It needs the directory no more.
    History.close(history)
    assert Compute.tick(world) == {:ok, 12}
    assert Compute.digest(world) == {:ok, digests[12]}
    assert {:ok, [_ | _]} = Compute.players(world)
    assert Compute.advance(world, 1) == {:error, :read_only}
    assert {:ok, _} = Compute.snapshot(world)
  end

  test "what cannot be opened says why, and leaves nothing behind", %{dir: dir} do
    assert {:error, {:data_dir, %{reason: :no_such_directory}}} = History.open(dir, "main")
    {:ok, data} = DataDir.open(dir)
    assert {:error, {:event_log, %{dir: ^dir, reason: :cannot_open, hint: hint}}} = History.open(dir, "main")
    assert hint =~ "events.db"
    DataDir.close(data)
    Kept.make!(dir, ticks: 3)
    Kept.make!(dir, ticks: 3, world: "second")

    assert {:error, {:unknown_world, %{known: ["main", "second"], hint: hint}}} = History.open(dir, "third")
    assert hint == "#{dir} has no world \"third\": those that it has are main, second"

    assert History.worlds(dir, [], & &1.id) == {:ok, ["main", "second"]}
    # Each gp_link has ended.
    refute_received {:link, _, _}
    {:links, links} = Process.info(self(), :links)
    assert Enum.filter(links, &(is_pid(&1) and NativeNode.may_be?(&1))) == []
  end
end
