defmodule GamePlatform.Compute.JournalTest do
  # What a world does with its journal: the backend and the journal do what the test says.
  use ExUnit.Case, async: true

  import GamePlatform.ScriptedBackend, only: [slice!: 1, batch!: 0, world!: 1]

  alias GamePlatform.{Compute, Tiny}
  alias GamePlatform.Compute.{Journal, WorldProcess}

  defmodule Scripted do
    @moduledoc false
    @behaviour Journal

    @impl true
    def attach(_, _), do: :ok
    @impl true
    def append(pid, epoch, entries), do: tell(pid, {:append, epoch, Enum.map(entries, &elem(&1, 0))})
    @impl true
    def mark(pid, epoch, tick, seq), do: tell(pid, {:mark, epoch, tick, seq})
    @impl true
    def unmark(pid, _, tick), do: tell(pid, {:unmark, tick})
    @impl true
    def reached(pid, tick), do: tell(pid, {:reached, tick})
    @impl true
    def settle(pid, _, from), do: tell(pid, {:settle, from})

    defp tell(pid, message) do
      send(pid, {:journal, message})
      :ok
    end
  end

  setup tags do
    world = world!(["ann", "bob"])
    :ok = WorldProcess.keep(world.pid, {Scripted, self(), 0}, 0, [], tags[:classes] || %{})
    %{world: world}
  end

  defp submit(world, ids, action \\ "claim"),
    do: Task.async(fn -> Compute.submit(world, Enum.map(ids, &Tiny.act("ann", &1, action, cell: 5))) end)

  defp advance(world, n), do: Task.async(fn -> Compute.advance(world, n) end)
  defp tell(world, what), do: send(world.pid, {:journal, self(), what})
  defp told(task), do: task |> Task.await() |> then(fn {:ok, replies} -> Enum.map(replies, &short/1) end)
  defp short(%{status: :accepted} = reply), do: {reply.tick, reply.durability}
  defp short(reply), do: reply.code
  defp waits?(task), do: Task.yield(task, 30) == nil

  defp tick!(world, before) do
    job = advance(world, 1)
    assert batch!() == nil
    assert slice!({:tick, before + 1}) == {before, before + 1}
    assert Task.await(job) == {:ok, before + 1}
  end

  test "an action is answered when it is durable, and executed when its mark is", %{world: world} do
    first = submit(world, ["1", "2"])
    assert_receive {:journal, {:append, 0, [1, 2]}}
    assert waits?(first)
    # What is not durable does not stop the world, and is executed later.
    tick!(world, 0)
    tell(world, {:durable, 2})
    assert told(first) == [{2, :logged}, {2, :logged}]

    job = advance(world, 1)
    assert_receive {:journal, {:mark, 0, 1, 2}}
    refute_received {:slice, _, _, _}
    # What comes now is for the next tick.
    second = submit(world, ["3"])
    assert_receive {:journal, {:append, 0, [3]}}
    tell(world, {:durable, 3})
    assert told(second) == [{3, :logged}]
    tell(world, {:marked, 1})
    assert batch!() == {1, 2}
    assert slice!({:tick, 2}) == {1, 2}
    assert Task.await(job) == {:ok, 2}

    job = advance(world, 1)
    assert_receive {:journal, {:mark, 0, 2, 3}}
    tell(world, {:marked, 2})
    assert batch!() == {2, 1}
    slice!({:tick, 3})
    assert Task.await(job) == {:ok, 3}
  end

  test "a tick takes what is durable and leaves the rest", %{world: world} do
    first = submit(world, ["1"])
    assert_receive {:journal, {:append, 0, [1]}}
    second = submit(world, ["2"])
    assert_receive {:journal, {:append, 0, [2]}}
    tell(world, {:durable, 1})
    assert told(first) == [{1, :logged}]
    job = advance(world, 1)
    assert_receive {:journal, {:mark, 0, 0, 1}}
    tell(world, {:durable, 2})
    assert told(second) == [{2, :logged}]
    tell(world, {:marked, 0})
    assert batch!() == {0, 1}
    slice!({:tick, 1})
    assert Task.await(job) == {:ok, 1}
  end

  test "a mark that is late holds no tick up for long, and later ones are written ahead", %{world: world} do
    first = submit(world, ["1"])
    assert_receive {:journal, {:append, 0, [1]}}
    tell(world, {:durable, 1})
    told(first)
    job = advance(world, 1)
    assert_receive {:journal, {:mark, 0, 0, 1}}
    assert_receive {:journal, {:unmark, 0}}, 1_000
    assert batch!() == nil
    slice!({:tick, 1})
    assert Task.await(job) == {:ok, 1}
    # It comes after all, and nobody minds.
    tell(world, {:marked, 0})

    job = advance(world, 3)
    assert_receive {:journal, {:mark, 0, 2, 1}}
    assert slice!({:tick, 2}) == {1, 2}
    refute_received {:slice, _, _, _}
    tell(world, {:marked, 2})
    assert batch!() == {2, 1}
    assert slice!({:tick, 4}) == {2, 4}
    assert Task.await(job) == {:ok, 4}
  end

  test "a journal that fails: what is not durable is refused, and ticks go on", %{world: world} do
    kept = submit(world, ["1"])
    assert_receive {:journal, {:append, 0, [1]}}
    tell(world, {:durable, 1})
    told(kept)
    job = advance(world, 1)
    assert_receive {:journal, {:mark, 0, 0, 1}}
    lost = submit(world, ["2", "3"])
    again = submit(world, ["2"])
    assert_receive {:journal, {:append, 0, [2, 3]}}
    tell(world, {:failed, :log_full, 1})
    assert told(lost) == [:log_full, :log_full]
    assert told(again) == [:log_full]
    assert batch!() == nil
    slice!({:tick, 1})
    assert Task.await(job) == {:ok, 1}
    # Refused at once, and not written; what is durable waits.
    assert told(submit(world, ["4"])) == [:log_full]
    tick!(world, 1)

    tell(world, :recovered)
    second = submit(world, ["2"])
    assert_receive {:journal, {:append, 1, [4]}}
    tell(world, {:durable, 4})
    assert told(second) == [{3, :logged}]
    job = advance(world, 1)
    assert_receive {:journal, {:mark, 1, 2, 4}}
    tell(world, {:marked, 2})
    assert batch!() == {2, 2}
    slice!({:tick, 3})
    assert Task.await(job) == {:ok, 3}
    refute_received {:journal, {:append, _, _}}
  end

  @tag classes: %{"default" => :stored, "claim" => :memory}
  test "the class of an action says when it is answered", %{world: world} do
    assert told(submit(world, ["1"])) == [{1, :memory}]
    assert_receive {:journal, {:append, 0, [1]}}
    other = submit(world, ["2"], "release")
    assert_receive {:journal, {:append, 0, [2]}}
    assert waits?(other)
    tell(world, {:durable, 2})
    assert told(other) == [{1, :stored}]
    # Whatever it is by now.
    assert told(submit(world, ["1"])) == [{1, :memory}]
  end

  test "who has waited two seconds is told what there is", %{world: world} do
    first = submit(world, ["1"])
    assert told(first) == [{1, :memory}]
    # It is executed all the same.
    tell(world, {:durable, 1})
    job = advance(world, 1)
    assert_receive {:journal, {:mark, 0, 0, 1}}
    tell(world, {:marked, 0})
    assert batch!() == {0, 1}
    slice!({:tick, 1})
    Task.await(job)
  end

  test "the same action waits for the first one", %{world: world} do
    first = submit(world, ["1"])
    assert_receive {:journal, {:append, 0, [1]}}
    second = submit(world, ["1"])
    assert waits?(second)
    refute_received {:journal, {:append, _, _}}
    tell(world, {:durable, 1})
    assert told(first) == told(second)
    # It is durable by now, and nothing else will come.
    assert told(submit(world, ["1"])) == [{1, :logged}]
  end

  test "so does a second join", %{world: world} do
    join = fn -> Task.async(fn -> Compute.submit(world, [Tiny.join("eve", 5)]) end) end
    first = join.()
    assert_receive {:journal, {:append, 0, [1]}}
    second = join.()
    assert waits?(second)
    tell(world, {:durable, 1})
    assert told(first) == told(second)
    assert told(join.()) == [{1, :logged}]
  end

  test "what was kept is executed first" do
    world = world!(["ann"])
    {:ok, %{bytes: bytes}} = Compute.Actions.check(world, Tiny.act("ann", "old", "claim", cell: 5))
    :ok = WorldProcess.keep(world.pid, {Scripted, self(), 3}, 17, [{16, bytes}, {17, bytes}], %{})
    # It is known, and durable.
    assert told(submit(world, ["old"])) == [{1, :logged}]
    new = submit(world, ["new"])
    assert_receive {:journal, {:append, 3, [18]}}
    job = advance(world, 2)
    assert_receive {:journal, {:mark, 3, 0, 17}}
    tell(world, {:durable, 18})
    assert told(new) == [{2, :logged}]
    tell(world, {:marked, 0})
    assert batch!() == {0, 2}
    assert slice!({:tick, 1}) == {0, 1}
    assert_receive {:journal, {:mark, 3, 1, 18}}
    tell(world, {:marked, 1})
    assert batch!() == {1, 1}
    slice!({:tick, 2})
    assert Task.await(job) == {:ok, 2}
  end

  test "a batch has no more actions than fit, however many were kept" do
    world = world!(["ann"])
    {:ok, %{bytes: bytes}} = Compute.Actions.check(world, Tiny.act("ann", "old", "claim", cell: 5))

    :ok =
      WorldProcess.keep(world.pid, {Scripted, self(), 0}, 70_000, for(n <- 1..70_000, do: {n, bytes}), %{})

    advance(world, 2)
    assert_receive {:journal, {:mark, 0, 0, 65_535}}, 1_000
    tell(world, {:marked, 0})
    assert batch!() == {0, 65_535}
    slice!({:tick, 1})
    assert_receive {:journal, {:mark, 0, 1, 70_000}}, 1_000
  end

  test "marks that come long before their ticks are soon written later", %{world: world} do
    submit(world, ["1"])
    assert_receive {:journal, {:append, 0, [1]}}
    tell(world, {:durable, 1})

    # Late at these ticks: the next mark is written ever earlier.
    for {tick, begun} <- [{0, 0}, {2, 1}, {6, 3}] do
      for now <- begun..tick, now < tick, do: marked_at!(world, now, begun, tick)
      job = advance(world, 1)
      if begun == tick, do: assert_receive({:journal, {:mark, 0, ^tick, 1}})
      assert_receive {:journal, {:unmark, ^tick}}, 1_000
      slice!({:tick, tick + 1})
      Task.await(job)
    end

    marked_at!(world, 7, 7, 14)
    tell(world, {:marked, 14})
    submit(world, ["2"])
    assert_receive {:journal, {:append, 0, [2]}}
    tell(world, {:durable, 2})
    job = advance(world, 7)
    slice!({:tick, 14})
    assert batch!() == {14, 1}
    slice!({:tick, 15})
    Task.await(job)
    # It came 7 ticks before it was needed.
    marked_at!(world, 15, 15, 19)
  end

  # A tick, in the first of which that mark is written.
  defp marked_at!(world, now, first, tick) do
    job = advance(world, 1)
    if now == first, do: assert_receive({:journal, {:mark, 0, ^tick, _}})
    slice!({:tick, now + 1})
    Task.await(job)
  end

  test "more than 20,000 actions do not wait", %{world: world} do
    for n <- 1..2, do: submit(world, Enum.map(1..10_000, &"#{n} #{&1}"))
    for _ <- 1..2, do: assert_receive({:journal, {:append, 0, _}}, 5_000)
    assert told(submit(world, ["more"])) == [:log_behind]
  end

  test "a world ends with its journal" do
    world = world!(["ann"])
    journal = spawn(fn -> Process.sleep(:infinity) end)
    :ok = WorldProcess.keep(world.pid, {Scripted, journal, 0}, 0, [], %{})
    monitor = Process.monitor(world.pid)
    first = submit(world, ["1"])
    assert waits?(first)
    Process.exit(journal, :kill)
    assert_receive {:DOWN, ^monitor, _, _, {:shutdown, :journal_down}}
    assert {:error, _} = Task.await(first)
  end
end
