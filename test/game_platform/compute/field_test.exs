defmodule GamePlatform.Compute.FieldTest do
  use ExUnit.Case, async: true

  alias GamePlatform.Compute

  setup do
    {:ok, world} = Compute.new_world(seed: 3, frequency: 66, backend: :nif)
    on_exit(fn -> Compute.close(world) end)
    %{world: world}
  end

  test "a keyframe holds what the planes hold, whole and in parts", %{world: world} do
    {:ok, 20} = Compute.advance(world, 20)
    {:ok, 20, {kinds, amounts} = planes} = Compute.planes(world)
    empty = {:binary.copy(<<0>>, byte_size(kinds)), :binary.copy(<<0>>, byte_size(amounts))}

    {:ok, 20, whole} = Compute.keyframe(world)
    assert Compute.apply_diff(empty, whole) == {:ok, 20, planes}

    parts = for chunk <- 0..(Compute.chunks(66) - 1), do: Compute.keyframe(world, chunks: [chunk])

    together =
      Enum.reduce(parts, empty, fn {:ok, 20, part}, planes ->
        {:ok, 20, planes} = Compute.apply_diff(planes, part)
        planes
      end)

    assert together == planes
  end

  test "the parts of a diff lead where the diff leads", %{world: world} do
    {:ok, 0, planes} = Compute.planes(world)
    {:ok, 5} = Compute.advance(world, 5)
    {:ok, diff} = Compute.diff(world, 0)
    all = Enum.to_list(0..(Compute.chunks(66) - 1))
    {:ok, parts} = Compute.split_diff(diff, all)

    together =
      Enum.reduce(parts, planes, fn {_, part}, planes ->
        {:ok, 5, planes} = Compute.apply_diff(planes, part)
        planes
      end)

    assert Compute.planes(world) == {:ok, 5, together}
    {:ok, [{7, only}]} = Compute.split_diff(diff, [7])
    assert List.keyfind(parts, 7, 0) == {7, only}
    assert Compute.split_diff(diff, []) == {:ok, []}
  end

  test "what does not fit is refused", %{world: world} do
    for chunks <- [[42], [-1], [0 | 1], :all, ["0"], List.duplicate(0, 43)] do
      assert {:error, {:invalid_option, _}} = Compute.keyframe(world, chunks: chunks), inspect(chunks)
    end

    assert {:error, {:invalid_option, _}} = Compute.keyframe(:world)
    assert {:error, {:invalid_option, _}} = Compute.split_diff(:diff, [])
    assert {:error, {:invalid_option, _}} = Compute.split_diff("gpd1", [:a])
    assert {:error, {:invalid_diff, _}} = Compute.split_diff("gpd1", [0])
    assert {:error, {:invalid_diff, sentence}} = Compute.split_diff("none", [0])
    assert sentence =~ "gpk1"

    for {cell, radius} <- [{43_562, 1}, {-1, 1}, {0, 1025}, {0, -1}, {"0", 1}, {0, nil}] do
      assert {:error, {:invalid_option, _}} = Compute.chunks_around(66, cell, radius)
    end

    assert {:error, {:invalid_option, _}} = Compute.chunks(0)
  end
end
