defmodule GamePlatform.Compute.BackendsTest do
  # The specification and the kernel agree on whatever the schema allows.
  use ExUnit.Case, async: true

  alias GamePlatform.{Compute, Rulesets}
  alias GamePlatform.Compute.{Beam.Topology, Ruleset}

  @cases 60

  test "random rulesets, cells and frequencies" do
    # ExUnit seeds each test from `--seed`, so a failure is repeated with it.
    for n <- 1..@cases do
      text = Rulesets.random()
      assert {:ok, ruleset} = Ruleset.load({:text, text}), text
      frequency = Enum.random(1..12)
      cells = Rulesets.random_cells(frequency, ruleset.terms)
      seed = Enum.random([0, 1, 0xFFFF_FFFF_FFFF_FFFF, Enum.random(0..0xFFFF_FFFF_FFFF_FFFF)])
      opts = [seed: seed, frequency: frequency, ruleset: {:text, text}, cells: cells]
      ticks = if frequency > 6, do: 4, else: 20

      since = Enum.random(0..ticks)

      [spec, native, node] =
        for backend <- [:beam, :nif, :node] do
          {:ok, world} = Compute.new_world([backend: backend, threads: rem(n, 3) + 1] ++ opts)
          {:ok, ^since} = Compute.advance(world, since)
          {:ok, ^since, before} = Compute.planes(world)
          {:ok, ^ticks} = Compute.advance_to(world, ticks)
          {:ok, ^ticks, planes} = Compute.planes(world)
          {:ok, diff} = Compute.diff(world, since)
          assert Compute.apply_diff(before, diff) == {:ok, ticks, planes}, "diff on #{backend}\n#{text}"
          {:ok, digest} = Compute.digest(world)
          Compute.close(world)
          {planes, digest}
        end

      assert spec == native and native == node, "seed #{seed}, frequency #{frequency}\n#{text}"
    end
  end

  test "generated worlds, with seeds at the ends of their range" do
    for seed <- [0, 1, 0x7FFF_FFFF_FFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF], frequency <- [1, 2, 3, 9] do
      assert_same_digest([seed: seed, frequency: frequency], 33)
    end
  end

  test "a digest covers every chunk of a world with several to a side" do
    for frequency <- [64, 65] do
      ids = List.flatten(Topology.chunks(frequency))
      assert Enum.sort(ids) == Enum.to_list(0..(Topology.cells(frequency) - 1))
      assert_same_digest([frequency: frequency], 0)
    end
  end

  defp assert_same_digest(opts, ticks) do
    digests =
      for backend <- [:beam, :nif, :node] do
        {:ok, world} = Compute.new_world([backend: backend] ++ opts)
        {:ok, ^ticks} = Compute.advance(world, ticks)
        {:ok, digest} = Compute.digest(world)
        Compute.close(world)
        digest
      end

    assert [_] = Enum.uniq(digests), inspect(opts)
  end
end
