defmodule GamePlatform.Compute.FirstMinutesTest do
  # The first five minutes of a player, action by action as `mix game.world --actions` plays them, on land that the
  # default ruleset makes and that stands still.
  use ExUnit.Case, async: true

  alias GamePlatform.{Compute, JSON, Plant}

  @script "test/fixtures/first_minutes.jsonl"
  @seed 7
  @frequency 24
  # The depots beside the furnaces and behind the mill.
  @home 968
  @gears 970

  test "they come to what was computed, on every backend" do
    lines =
      for line <- File.stream!(@script) do
        {:ok, action} = JSON.decode(line)
        Map.pop!(action, "tick")
      end

    ruleset = Plant.ruleset(gen: true, start: :default)

    digests =
      for {backend, task} <-
            Enum.map([:beam, :nif, :node], &{&1, Task.async(fn -> play(&1, ruleset, lines) end)}) do
        {found, digest} = Task.await(task, :infinity)

        expected = %{
          # The kit less what was built, with what was put in.
          40 => %{"stone" => 6, "iron" => 6, "wood" => 14, "peat" => 4},
          960 => %{"iron" => 14, "brick" => 10, "fibre" => 4, "cord" => 20, "peat" => 12},
          first_gear: [0, 1],
          gears: 14,
          end: {47, 32},
          unfinished: 0
        }

        assert found == expected, "on #{backend}: #{inspect(found)}"
        digest
      end

    assert Enum.uniq(digests) == [Plant.golden({"first minutes", 6_000})]
  end

  @tag :tmp_dir
  test "mix game.world plays them from the file", %{tmp_dir: dir} do
    path = Path.join(dir, "still.toml")
    {:text, text} = Plant.ruleset(gen: true, start: :default)
    File.write!(path, text)
    world = ~w(--seed #{@seed} --frequency #{@frequency} --ruleset #{path})

    for backend <- ~w(beam nif node) do
      args = world ++ ~w(--backend #{backend} --actions #{@script} --ticks 6000 --digest)

      assert [told, "tick 6000, " <> _, "digest " <> digest] =
               ExUnit.CaptureIO.capture_io(fn -> Mix.Tasks.Game.World.run(args) end)
               |> String.split("\n", trim: true)

      assert told == "52 actions: 52 applied, 0 refused, 0 unfinished"
      assert digest == Plant.golden({"first minutes", 6_000})
    end
  end

  defp play(backend, ruleset, lines) do
    {:ok, world} = Compute.new_world(backend: backend, seed: @seed, frequency: @frequency, ruleset: ruleset)
    to = &play_to(world, lines, &1, &2)
    to.(0, 41)
    started = has(world, ~w(stone iron wood peat))
    to.(41, 960)
    stored = Map.take(depot(world, @home), ~w(iron brick))
    twisted = has(world, ~w(fibre cord peat))
    to.(960, 1_026)
    before = depot(world, @gears)["gear"] || 0
    to.(1_026, 1_027)
    first = depot(world, @gears)["gear"]
    to.(1_027, 2_000)
    gears = depot(world, @gears)["gear"]
    to.(2_000, 6_000)

    # The rules have refused nothing.
    {:ok, outcomes} = Compute.outcomes(world, 0)
    [] = Enum.reject(outcomes, &(&1.outcome == :applied))

    found = %{
      40 => started,
      960 => Map.merge(stored, twisted),
      first_gear: [before, first],
      gears: gears,
      end: {depot(world, @gears)["gear"], depot(world, @home)["brick"]},
      # A join has no outcome.
      unfinished: length(lines) - 1 - length(outcomes)
    }

    {found, Plant.digest(world)}
  end

  # Advances to `last`, with the lines of the ticks before it.
  defp play_to(world, lines, first, last) do
    for [{tick, _} | _] = together <- Enum.chunk_by(lines, &elem(&1, 0)), tick in first..(last - 1) do
      {:ok, ^tick} = Compute.advance_to(world, tick)
      {:ok, replies} = Compute.submit(world, for({_, action} <- together, do: action))
      [] = Enum.reject(replies, &(&1.status == :accepted))
    end

    {:ok, ^last} = Compute.advance_to(world, last)
  end

  defp depot(world, cell) do
    {:ok, %{machine: %{contents: contents}}} = Compute.cell(world, cell)
    contents
  end

  defp has(world, items) do
    {:ok, %{inventory: inventory}} = Compute.player(world, "ann")
    Map.take(inventory, items)
  end
end
