defmodule GamePlatform.Compute.WorldProcessTest do
  # When actions reach the backend, whatever its slices do.
  use ExUnit.Case, async: true

  import GamePlatform.ScriptedBackend

  alias GamePlatform.{Compute, Tiny}

  setup do: %{world: world!(["ann", "bob"])}

  defp advance(world, n), do: Task.async(fn -> Compute.advance(world, n) end)

  defp submit!(world, ids, action \\ "claim", fields \\ [cell: 5]) do
    {:ok, replies} = Compute.submit(world, Enum.map(ids, &Tiny.act("ann", &1, action, fields)))
    Enum.map(replies, &{&1.status, &1.code || &1.tick})
  end

  test "a batch comes just before the tick that it is for, in one piece", %{world: world} do
    assert submit!(world, ["1", "2"]) == [accepted: 1, accepted: 1]
    assert submit!(world, ["3"]) == [accepted: 1]
    job = advance(world, 2)
    assert batch!() == {0, 3}
    assert slice!({:tick, 2}) == {0, 2}
    assert Task.await(job) == {:ok, 2}

    # Nothing is given twice, and nothing if there is nothing.
    job = advance(world, 1)
    assert batch!() == nil
    assert slice!({:tick, 3}) == {2, 3}
    assert Task.await(job) == {:ok, 3}
    assert submit!(world, ["4"]) == [accepted: 4]
  end

  test "what comes in the middle of a tick waits for the next one, where the advance stops", %{world: world} do
    job = advance(world, 9)
    assert slice!({:tick, 4}) == {0, 9}
    # Asked while the next slice is under way, so that it is answered after it.
    reply = Task.async(fn -> submit!(world, ["1"]) end)
    assert slice!({:tick, 4}) == {4, 9}
    reply = finish_slices(reply, {:tick, 4})
    assert reply == [accepted: 6]
    assert slice!({:tick, 4}) == {4, 5}
    assert slice!({:tick, 5}) == {4, 5}
    assert batch!() == {5, 1}
    assert slice!({:tick, 9}) == {5, 9}
    assert Task.await(job) == {:ok, 9}
  end

  # Answers slices until a task is done.
  defp finish_slices(task, answer) do
    case Task.yield(task, 20) do
      {:ok, value} ->
        value

      nil ->
        slice!(answer)
        finish_slices(task, answer)
    end
  end

  test "a caller who gives up leaves a tick that has begun", %{world: world} do
    assert submit!(world, ["1"]) == [accepted: 1]
    job = Task.async(fn -> Compute.advance(world, 5, timeout_ms: 20) end)
    assert batch!() == {0, 1}
    Process.sleep(40)
    assert slice!({:tick, 0}) == {0, 5}
    assert Task.await(job) == {:error, :timeout}
    # To advance to where the world is changes nothing about that.
    assert Compute.advance(world, 0) == {:ok, 0}
    assert submit!(world, ["1"]) == [accepted: 1]
    assert submit!(world, ["2"]) == [accepted: 2]

    job = advance(world, 3)
    # The batch of the tick under way is not changed any more.
    assert batch!() == nil
    assert slice!({:tick, 1}) == {0, 1}
    assert batch!() == {1, 1}
    assert slice!({:tick, 3}) == {1, 3}
    assert Task.await(job) == {:ok, 3}
  end

  test "what is pending outlives an advance that fails", %{world: world} do
    assert submit!(world, ["1"]) == [accepted: 1]
    job = advance(world, 1)
    assert batch!({:error, :worker_down}) == {0, 1}
    assert Task.await(job) == {:error, :worker_down}

    job = advance(world, 1)
    assert batch!() == {0, 1}
    assert slice!({:error, :worker_down}) == {0, 1}
    assert Task.await(job) == {:error, :worker_down}

    # It has been given, and the tick may have begun.
    assert submit!(world, ["1", "2"]) == [accepted: 1, accepted: 2]
    job = advance(world, 2)
    assert batch!() == nil
    assert slice!({:tick, 1}) == {0, 1}
    assert batch!() == {1, 1}
    assert slice!({:tick, 2}) == {1, 2}
    assert Task.await(job) == {:ok, 2}
  end

  test "what is pending counts as what the body has to do", %{world: world} do
    # Steps of two ticks; four fit.
    assert submit!(world, ~w(1 2 3), "move") == [accepted: 3, accepted: 5, accepted: 7]

    assert submit!(world, ~w(2 4 5 1), "move") ==
             [accepted: 5, accepted: 9, refused: :queue_full, accepted: 3]

    assert submit!(world, ["6"]) == [accepted: 1]

    # Another player's are another's.
    assert {:ok, [%{tick: 3}]} = Compute.submit(world, [Tiny.act("bob", "1", "move", cell: 5)])
    job = advance(world, 1)
    assert batch!() == {0, 6}
    slice!({:tick, 1})
    Task.await(job)
  end

  test "a tick takes 65,535 actions", %{world: world} do
    ids = Enum.map(1..65_535, &Integer.to_string/1)

    for chunk <- Enum.chunk_every(ids, 10_000) do
      assert Enum.uniq(submit!(world, chunk)) == [accepted: 1]
    end

    assert submit!(world, ["more", "1"]) == [refused: :busy, accepted: 1]
    job = advance(world, 1)
    assert batch!() == {0, 65_535}
    slice!({:tick, 1})
    assert Task.await(job) == {:ok, 1}
    assert submit!(world, ["more"]) == [accepted: 2]
  end

  test "more than 10,000 actions at once are refused as a whole", %{world: world} do
    too_many = List.duplicate(Tiny.act("ann", "1", "claim", cell: 5), 10_001)

    assert {:error, {:invalid_option, %{option: :actions, value: {:length, 10_001}, expected: expected}}} =
             Compute.submit(world, too_many)

    assert expected == "a list of at most 10000 actions"
    assert {:error, {:invalid_option, %{option: :actions}}} = Compute.submit(world, %{})
    assert {:error, {:invalid_option, %{option: :actions}}} = Compute.submit(world, [%{} | %{}])
  end
end
