defmodule GamePlatform.PersistenceTest do
  use ExUnit.Case, async: true

  alias GamePlatform.{Compute, Kept, OtherVM, Persistence}
  alias GamePlatform.Persistence.{DataDir, Link, Snapshots}

  doctest GamePlatform.Persistence

  @moduletag :capture_log
  @nif [backend: :nif]

  setup context, do: {:ok, dir: Path.join(context[:tmp_dir] || "", "data")}

  # Every file with its bytes. SQLite makes two for whoever reads, which hold nothing.
  defp contents(dir) do
    for path <- Path.wildcard(dir <> "/**"),
        not File.dir?(path),
        name = Path.relative_to(path, dir),
        name != "events.db-shm",
        text = File.read!(path),
        {name, text} != {"events.db-wal", ""},
        into: %{},
        do: {name, text}
  end

  describe "worlds" do
    @tag :tmp_dir
    test "are told with what is kept of them", %{dir: dir} do
      %{last: last, seq: seq} = Kept.make!(dir, snapshots: [20, 45])
      assert {:ok, [world]} = Persistence.worlds(dir)
      assert %{id: "main", seed: 7, frequency: 8, snapshots: [45, 20], first_tick: 0} = world
      assert world.tick == last + 1
      assert world.actions == div(seq, 2)
    end

    @tag :tmp_dir
    test "there may be none, or no directory", %{dir: dir} do
      assert {:error, {:data_dir, %{reason: :no_such_directory}}} = Persistence.worlds(dir)
      {:ok, data} = DataDir.open(dir)
      {:ok, link} = Link.open(%{dir: dir})
      assert Persistence.worlds(dir) == {:ok, []}
      Link.close(link)
      DataDir.close(data)
    end
  end

  describe "replay" do
    @tag :tmp_dir
    test "agrees with every snapshot", %{dir: dir} do
      %{digests: digests, last: last} = Kept.make!(dir, snapshots: [0, 20, 45])
      test = self()
      before = contents(dir)
      {:ok, report} = Persistence.replay(dir, "main", [told: &send(test, &1)] ++ @nif)
      assert %{from: 0, equal: [20, 45], damaged: [], differs: nil} = report
      assert report.until == last + 1 and report.tick == report.until
      assert report.digest == digests[report.until]
      assert report.actions == elem(Persistence.worlds(dir), 1) |> hd() |> Map.fetch!(:actions)
      assert_received {:equal, 20}
      assert_received {:equal, 45}
      assert contents(dir) == before

      for backend <- [:node, :beam] do
        {:ok, report} = Persistence.replay(dir, "main", until: 30, backend: backend)
        assert %{equal: [20], tick: 30} = report
        assert report.digest == digests[30]
      end
    end

    @tag :tmp_dir
    test "begins at the oldest snapshot if the log does", %{dir: dir} do
      %{digests: digests} = Kept.make!(dir, snapshots: [20, 30, 45])
      {:ok, link} = Link.open(%{dir: dir})
      {:ok, _} = Link.call(link, {:prune, "main", 20})
      Link.close(link)
      {:ok, report} = Persistence.replay(dir, "main", [until: 45] ++ @nif)
      assert %{from: 20, equal: [30, 45]} = report
      assert report.digest == digests[45]

      assert {:error, {:not_covered, %{first: 20}}} = Persistence.replay(dir, "main", [until: 19] ++ @nif)
    end

    @tag :tmp_dir
    test "names where it parts from a snapshot", %{dir: dir, tmp_dir: tmp} do
      %{digests: digests} = Kept.make!(dir, snapshots: [10, 20, 30])
      Kept.make!(Path.join(tmp, "other"), snapshots: [20], random: 12)
      File.cp!(Snapshots.path(Path.join(tmp, "other"), "main", 20), Snapshots.path(dir, "main", 20))
      {:ok, report} = Persistence.replay(dir, "main", @nif)
      assert %{equal: [10], tick: 20, differs: %{after: 10, tick: 20, what: what} = differs} = report
      assert is_binary(what)
      assert differs.cell == nil or differs.cell in 0..641
      assert report.digest == digests[20]
    end

    @tag :tmp_dir
    test "leaves out what is damaged", %{dir: dir} do
      Kept.make!(dir, snapshots: [10, 20])
      file = Snapshots.path(dir, "main", 10)
      File.write!(file, "gps1")
      test = self()
      {:ok, report} = Persistence.replay(dir, "main", [told: &send(test, &1)] ++ @nif)
      assert %{equal: [20], damaged: [{10, sentence}], differs: nil} = report
      assert sentence =~ "#{file} is damaged"
      assert_received {:damaged, 10, ^sentence}
    end
  end

  describe "a fork" do
    @tag :tmp_dir
    test "is a directory of its own that goes on like the original", %{dir: dir, tmp_dir: tmp} do
      %{digests: digests} = Kept.make!(dir, snapshots: [20])
      before = contents(dir)
      to = Path.join(tmp, "fork")
      {:ok, made} = Persistence.fork(dir, "main", [to: to, at: 33] ++ @nif)
      assert made == %{dir: to, world: "main", tick: 33, digest: digests[33]}
      assert contents(dir) == before

      assert {:ok, [world]} = Persistence.worlds(to)
      # Its log begins there, so nothing is ever made from the beginning of the original.
      assert %{id: "main", seed: 7, tick: 33, snapshots: [33], first_tick: 33, actions: 0} = world
      {:ok, view} = Persistence.view(to, "main", 33, @nif)
      assert Compute.digest(view) == {:ok, digests[33]}
      assert {:error, {:not_covered, %{first: 33, last: 33}}} = Persistence.view(to, "main", 32, @nif)

      # Free for the next one.
      assert {:ok, data} = DataDir.open(to)
      {:ok, link} = Link.open(%{dir: to})
      assert {:ok, %{marked_tick: 32, last_seq: seq}} = Link.call(link, {:world, "main"})
      entries = [{:entries, [{seq + 1, "next"}]}, {:mark, 33, seq + 1}]
      assert {:ok, _} = Link.call(link, {:commit, "main", entries})
      Link.close(link)
      DataDir.close(data)
    end

    @tag :tmp_dir
    test "of its first tick, of the newest one, and of a fork", %{dir: dir, tmp_dir: tmp} do
      %{digests: digests, last: last} = Kept.make!(dir)
      [first, newest, again] = for name <- ~w(first newest again), do: Path.join(tmp, name)
      {:ok, %{tick: 0}} = Persistence.fork(dir, "main", [to: first, at: 0] ++ @nif)
      assert {:ok, [%{tick: 0, first_tick: 0, snapshots: [0]}]} = Persistence.worlds(first)
      {:ok, %{tick: tick, digest: digest}} = Persistence.fork(dir, "main", [to: newest] ++ @nif)
      assert {tick, digest} == {last + 1, digests[last + 1]}
      {:ok, %{digest: ^digest}} = Persistence.fork(newest, "main", [to: again] ++ @nif)
    end

    @tag :tmp_dir
    test "may be beside others, under another id", %{dir: dir, tmp_dir: tmp} do
      Kept.make!(dir, ticks: 10)
      to = Path.join(tmp, "fork")
      {:ok, _} = Persistence.fork(dir, "main", [to: to, at: 5] ++ @nif)

      assert {:error, {:world_exists, %{hint: hint}}} = Persistence.fork(dir, "main", [to: to, at: 6] ++ @nif)
      assert hint == "#{to} has a world main already: choose another directory, or another id with --as"
      {:ok, %{world: "second"}} = Persistence.fork(dir, "main", [to: to, at: 6, as: "second"] ++ @nif)
      assert {:ok, [%{id: "main", tick: 5}, %{id: "second", tick: 6}]} = Persistence.worlds(to)

      # Snapshots whose log is lost are somebody's world.
      {:ok, binary} = Snapshots.read(to, "main", 5)
      {:ok, 5} = Snapshots.write(to, "third", binary)
      assert {:error, {:world_exists, _}} = Persistence.fork(dir, "main", [to: to, as: "third"] ++ @nif)
    end

    @tag :tmp_dir
    test "is not made where it cannot be", %{dir: dir, tmp_dir: tmp} do
      Kept.make!(dir, ticks: 10)

      assert {:error, {:invalid_option, %{option: :to}}} =
               Persistence.fork(dir, "main", to: dir <> "/../data")

      assert {:error, {:invalid_option, %{option: :to}}} = Persistence.fork(dir, "main", at: 3)
      to = Path.join(tmp, "fork")
      assert {:error, {:not_covered, _}} = Persistence.fork(dir, "main", [to: to, at: 1_000] ++ @nif)
      refute File.exists?(to)
      {:ok, data} = DataDir.open(to)

      assert {:error, {:data_dir, %{reason: :in_use}}} =
               Persistence.fork(dir, "main", [to: to, at: 3] ++ @nif)

      DataDir.close(data)
    end
  end

  @tag :tmp_dir
  test "all of it while another VM uses the directory", %{dir: dir, tmp_dir: tmp} do
    %{digests: digests} = Kept.make!(dir, snapshots: [20])

    other =
      OtherVM.start("""
      {:ok, _} = Application.ensure_all_started(:game_platform)
      {:ok, data} = GamePlatform.Persistence.DataDir.open(#{inspect(dir)})
      {:ok, link} = GamePlatform.Persistence.Link.open(%{dir: #{inspect(dir)}})
      {:ok, _} = GamePlatform.Persistence.Link.call(link, {:commit, "main", [{:reached, 70}]})
      tell.(%{os_pid: String.to_integer(System.pid()), data: data.path})
      IO.gets("")
      """)

    assert {:error, {:data_dir, %{os_pid: os_pid}}} = DataDir.open(dir)
    assert os_pid == other.os_pid
    assert {:ok, [%{tick: 70}]} = Persistence.worlds(dir)
    {:ok, view} = Persistence.view(dir, "main", 25, @nif)
    assert Compute.digest(view) == {:ok, digests[25]}
    {:ok, %{tick: 70}} = Persistence.fork(dir, "main", [to: Path.join(tmp, "fork")] ++ @nif)
    assert {:ok, %{equal: [20], tick: 70}} = Persistence.replay(dir, "main", @nif)
    Port.command(other.port, "\n")
    assert OtherVM.await_exit(other.port) == 0
  end

  test "options that do not fit" do
    for {call, option} <- [
          {Persistence.worlds("x", ups: 3), :ups},
          {Persistence.view("x", "main", -1), :tick},
          {Persistence.view("x", "main", "5"), :tick},
          {Persistence.view("x", "../main", 5), :world},
          {Persistence.view("x", :main, 5), :world},
          {Persistence.view("x", "main", 5, backend: :gpu), :backend},
          {Persistence.view("x", "main", 5, until: 5), :until},
          {Persistence.fork("x", "main", to: "y", as: "Main"), :as},
          {Persistence.fork("x", "main", to: "y", as: String.duplicate("a", 65)), :as},
          {Persistence.fork("x", "main", to: :y), :to},
          {Persistence.replay("x", "main", until: 1.5), :until},
          {Persistence.replay("x", "main", :until), :opts}
        ] do
      assert {:error, {:invalid_option, %{option: ^option}}} = call
    end
  end
end
