defmodule GamePlatform.Compute.Node.BatchesTest do
  use ExUnit.Case, async: true

  alias GamePlatform.Compute.Node.Batches

  test "the last batch is at hand, and all of them for another memory" do
    batches = Batches.new() |> Batches.put(3, "a") |> Batches.put(5, "b")
    assert Batches.at(batches, 5) == "b"
    assert Batches.at(batches, 3) == nil
    assert Batches.at(Batches.new(), 0) == nil
    assert Batches.past(batches) == {:ok, [{3, "a"}, {5, "b"}]}
    assert Batches.past(Batches.new()) == {:ok, []}
  end

  test "the same tick again replaces, and an earlier one forgets what came after it" do
    batches = Batches.new() |> Batches.put(3, "aa") |> Batches.put(5, "bb") |> Batches.put(5, "c")
    assert Batches.past(batches) == {:ok, [{3, "aa"}, {5, "c"}]}
    assert batches.bytes == 3
    assert Batches.past(Batches.put(batches, 3, "d")) == {:ok, [{3, "d"}]}
  end

  test "more than fits leaves the present batch only, and the past is lost" do
    batches = Batches.new(4) |> Batches.put(1, "aaa") |> Batches.put(2, "b")
    assert {:ok, [_, _]} = Batches.past(batches)
    batches = Batches.put(batches, 3, "c")
    assert Batches.past(batches) == {:error, :corrupt_peer}
    assert Batches.at(batches, 3) == "c"
    batches = Batches.put(batches, 4, "d")
    assert Batches.past(batches) == {:error, :corrupt_peer}
    assert Batches.at(batches, 4) == "d"
  end

  test "what lies before a state to begin from is forgotten, and then nothing is lost any more" do
    batches = Batches.new(4) |> Batches.put(1, "aaa") |> Batches.put(2, "b")
    assert %{list: [{2, "b"}], bytes: 1} = since = Batches.since(batches, 2)
    assert Batches.past(since) == {:ok, [{2, "b"}]}
    assert %{list: [], bytes: 0} = Batches.since(batches, 3)

    lost = batches |> Batches.put(3, "ccc") |> Batches.put(4, "d")
    assert Batches.past(Batches.since(lost, 2)) == {:error, :corrupt_peer}
    assert Batches.past(Batches.since(lost, 3)) == {:ok, [{3, "ccc"}, {4, "d"}]}
  end
end
