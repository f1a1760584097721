defmodule GamePlatform.Compute.ChunkTest do
  # One chunk, read alone, is what the whole world says of it.
  use ExUnit.Case, async: true

  alias GamePlatform.Compute

  for {backend, frequency} <- [nif: 1, nif: 64, nif: 65, nif: 130, beam: 8] do
    test "#{backend} #{frequency}: every chunk is as in the keyframe, and each cell is in one" do
      {:ok, world} = Compute.new_world(seed: 5, frequency: unquote(frequency), backend: unquote(backend))
      {:ok, _} = Compute.advance(world, 3)
      last = Compute.chunks(world.frequency) - 1

      ids =
        for chunk <- 0..last do
          {:ok, 3, keyframe} = Compute.keyframe(world, chunks: [chunk])
          assert {:ok, 3, ^keyframe} = Compute.chunk_keyframe(world, chunk)
          {:ok, 3, cells} = Compute.chunk(world, chunk)
          Enum.map(cells, &elem(&1, 0))
        end

      assert ids |> Enum.concat() |> Enum.sort() == Enum.to_list(0..(world.cells - 1))

      for chunk <- [-1, last + 1, 0.0, "0", nil] do
        assert {:error, {:invalid_option, %{option: :chunk}}} = Compute.chunk(world, chunk)
        assert {:error, {:invalid_option, %{option: :chunk}}} = Compute.chunk_keyframe(world, chunk)
      end

      Compute.close(world)
    end
  end

  test "the field is what the cells say" do
    {:ok, world} = Compute.new_world(seed: 5, frequency: 8, backend: :nif)
    {:ok, cells} = Compute.cells(world, [641, 0, 300])
    assert {:ok, 0, field} = Compute.field(world, [641, 0, 300])
    assert field == for(cell <- cells, do: {cell.id, cell.kind, cell.amount})
    assert {:error, {:invalid_option, %{option: :id}}} = Compute.field(world, [642])
    assert {:error, {:invalid_option, %{option: :world}}} = Compute.field(nil, [0])
    Compute.close(world)
  end
end
