defmodule GamePlatform.Compute.SnapshotTest do
  use ExUnit.Case, async: true

  alias GamePlatform.{Compute, Deeds, Native, Plant}

  @backends [:nif, :node, :beam]
  @frequency 24
  @golden "test/fixtures/golden/snapshot"

  # Two players and random deeds on a field that lives; the world at the last of the ticks.
  defp played(backend, deeds, ticks) do
    {:ok, world} =
      Compute.new_world(
        backend: backend,
        seed: 3,
        frequency: @frequency,
        ruleset: Plant.ruleset(field: :default)
      )

    play(world, deeds, ticks)
  end

  defp play(world, deeds, ticks) do
    for tick <- ticks do
      {:ok, ^tick} = Compute.advance_to(world, tick)
      {:ok, _} = Compute.submit(world, Map.get(deeds, tick, []))
    end

    {:ok, _} = Compute.advance_to(world, Enum.max(ticks) + 1)
    world
  end

  defp deeds(ticks) do
    :rand.seed(:exsss, 5)
    home = Deeds.home(@frequency)

    {:ok, world} =
      Compute.new_world(
        backend: :nif,
        seed: 3,
        frequency: @frequency,
        ruleset: Plant.ruleset(field: :default)
      )

    for tick <- ticks, into: %{} do
      {:ok, ^tick} = Compute.advance_to(world, tick)
      actions = if tick == 0, do: Deeds.joins(home, @frequency), else: Deeds.some(world, home, tick, 12)
      {:ok, _} = Compute.submit(world, actions)
      {tick, actions}
    end
  end

  defp snapshot!(world) do
    {:ok, snapshot} = Compute.snapshot(world)
    snapshot
  end

  defp seen(world) do
    {:ok, digest} = Compute.digest(world)
    {:ok, players} = Compute.players(world)
    {:ok, outcomes} = Compute.outcomes(world, 0)
    {:ok, tick} = Compute.tick(world)
    {tick, digest, players, outcomes}
  end

  @tag timeout: 120_000
  test "of one backend goes on on every other" do
    deeds = deeds(0..59)
    worlds = for backend <- @backends, do: played(backend, deeds, 0..39)
    [snapshot | _] = snapshots = Enum.map(worlds, &snapshot!/1)
    # The format leaves nothing to choose.
    assert Enum.uniq(snapshots) == [snapshot]
    before = seen(hd(worlds))
    assert {40, _, [%{queue: queue} | _], [_ | _]} = before
    assert Compute.snapshot_info(snapshot) |> elem(1) |> Map.fetch!(:digest) == elem(before, 1)
    copies = for backend <- @backends, do: elem(Compute.restore(snapshot, backend: backend), 1)
    for copy <- copies, do: assert(seen(copy) == before)

    after_all = hd(worlds) |> play(deeds, 40..59) |> seen()
    assert {60, _, [%{queue: later} | _], _} = after_all
    assert queue != [] or later != []
    for copy <- copies, do: assert(copy |> play(deeds, 40..59) |> seen() == after_all)
    assert copies |> Enum.map(&snapshot!/1) |> Enum.uniq() |> length() == 1
  end

  test "an action that was played before is known afterwards" do
    for backend <- @backends do
      {:ok, world} = Compute.new_world(backend: :nif, frequency: 8)
      craft = %{action: "craft", by: "ann", action_id: "1", recipe: "twist_cord", count: 2}
      walk = %{action: "move", by: "ann", action_id: "2", cell: 301}
      {:ok, _} = Compute.submit(world, [%{action: "join", by: "ann", cell: 300}, craft, walk])
      {:ok, _} = Compute.advance(world, 20)
      {:ok, copy} = Compute.restore(snapshot!(world), backend: backend)
      assert {:ok, [%{tick: 41}]} = Compute.submit(copy, [craft])
      assert {:ok, %{playing: %{action_id: "1"}, queue: [%{action_id: "2"}]}} = Compute.player(copy, "ann")
      {:ok, _} = Compute.advance_to(copy, 60)
      assert {:ok, [%{action_id: "1", tick: 41}, %{action_id: "2"}]} = Compute.outcomes(copy, 0)
      {:ok, _} = Compute.advance_to(world, 60)
      assert Compute.digest(copy) == Compute.digest(world)
    end
  end

  test "a world has no past before the tick that it was restored at" do
    {:ok, world} = Compute.new_world(backend: :nif, frequency: 8)
    {:ok, 30} = Compute.advance(world, 30)

    for backend <- @backends do
      {:ok, copy} = Compute.restore(snapshot!(world), backend: backend)
      assert Compute.tick(copy) == {:ok, 30}
      {:ok, 30, planes} = Compute.planes(copy)
      assert Compute.diff(copy, 29) == {:error, :too_old}
      assert Compute.diff(copy, 0) == {:error, :too_old}
      assert {:error, {:invalid_option, %{option: :since}}} = Compute.diff(copy, 31)
      {:ok, 40} = Compute.advance(copy, 10)
      assert Compute.diff(copy, 29) == {:error, :too_old}
      {:ok, diff} = Compute.diff(copy, 30)
      assert Compute.apply_diff(planes, diff) == Compute.planes(copy)
    end
  end

  test "a name, and what it is of" do
    {:ok, world} = Compute.new_world(backend: :nif, seed: 9, frequency: 5, ruleset: "priv/rulesets/tiny.toml")
    snapshot = snapshot!(world)
    {:ok, digest} = Compute.digest(world)
    text = File.read!("priv/rulesets/tiny.toml")

    assert {:ok, %{version: 1, seed: 9, frequency: 5, tick: 0, ruleset: ^text, digest: ^digest} = info} =
             Compute.snapshot_info(snapshot)

    assert <<_::256>> = info.ruleset_hash
    {:ok, copy} = Compute.restore(snapshot, backend: :nif, name: __MODULE__.Named)
    assert Compute.world(__MODULE__.Named) == {:ok, copy}
    assert {:error, {:name_taken, _}} = Compute.restore(snapshot, backend: :nif, name: __MODULE__.Named)
    assert {:error, {:out_of_memory, _}} = Compute.restore(snapshot, backend: :nif, max_bytes: 100)
    assert {:error, {:invalid_option, %{option: :seed}}} = Compute.restore(snapshot, seed: 1)
    assert {:error, {:invalid_option, %{option: :snapshot}}} = Compute.restore(:none, backend: :nif)
    Compute.close(world)
    assert Compute.snapshot(world) == {:error, :closed}
  end

  test "the header is the one that docs/persistence.md shows" do
    {:ok, world} = Compute.new_world(backend: :nif, seed: 9, frequency: 5, ruleset: "priv/rulesets/tiny.toml")
    {:ok, 7} = Compute.advance(world, 7)
    snapshot = snapshot!(world)
    {:ok, info} = Compute.snapshot_info(snapshot)
    [_, table] = Regex.run(~r/^\| offset \|.*\n\|[-|]+\n((?:\|.*\n)+)/m, File.read!("docs/persistence.md"))

    rows =
      for line <- String.split(table, "\n", trim: true) do
        [_, offset, bytes, what, _] = String.split(line, "|") |> Enum.map(&String.trim/1)
        {String.to_integer(offset), String.to_integer(bytes), what}
      end

    assert Enum.reduce(rows, 0, fn {offset, bytes, _}, at -> if offset == at, do: at + bytes end) == 112

    part = fn name ->
      Enum.find_value(rows, fn {at, n, what} -> what =~ name && binary_part(snapshot, at, n) end)
    end

    assert part.("gps1") == "gps1"
    assert part.("version") == <<1::16-little>>
    assert part.("frequency") == <<5::32-little>>
    assert part.("tick") == <<7::64-little>>
    assert part.("seed") == <<9::64-little>>
    assert part.("hash of the ruleset") == info.ruleset_hash
    assert part.("digest of the state") == info.digest
    # The ruleset, a chunk for each diamond, the poles and the end; nobody has joined.
    assert part.("number of sections") == <<14::32-little>>
    assert part.("check") == binary_part(Native.hash_blake3(binary_part(snapshot, 0, 96)), 0, 16)
  end

  test "the first difference has a place" do
    {:ok, world} = Compute.new_world(backend: :nif, frequency: 70)
    {:ok, tick, {kinds, amounts}} = Compute.planes(world)
    snapshot = snapshot!(world)
    assert Compute.compare(snapshot, snapshot) == :equal
    <<head::binary-size(200), amount::16-little, rest::binary>> = amounts
    changed = <<head::binary, amount + 1::16-little, rest::binary>>
    {:ok, other} = Compute.new_world(backend: :nif, frequency: 70, cells: {kinds, changed})
    assert {:differs, %{chunk: 0, cell: 100, what: what}} = Compute.compare(snapshot, snapshot!(other))
    assert what =~ "#{amount} against"
    {:ok, _} = Compute.advance_to(other, tick + 1)
    assert {:differs, %{chunk: nil, cell: nil}} = Compute.compare(snapshot, snapshot!(other))
    assert {:error, {:invalid_snapshot, "the second: in the header" <> _}} = Compute.compare(snapshot, "gps1")
  end

  test "bytes that were cut or changed are refused with the place, by every backend" do
    {:ok, world} = Compute.new_world(backend: :nif, frequency: 2, ruleset: "priv/rulesets/tiny.toml")
    {:ok, _} = Compute.submit(world, [%{action: "join", by: "ann", cell: 3}])
    {:ok, 5} = Compute.advance(world, 5)
    snapshot = snapshot!(world)
    size = byte_size(snapshot)

    bad =
      for(n <- 0..(size - 1)//41, do: binary_part(snapshot, 0, n)) ++
        [snapshot <> "x"] ++
        for at <- 0..(size - 1)//23 do
          <<head::binary-size(at), byte, rest::binary>> = snapshot
          <<head::binary, Bitwise.bxor(byte, 16), rest::binary>>
        end

    for bytes <- bad do
      {:error, {:invalid_snapshot, sentence}} = Compute.snapshot_info(bytes)
      assert sentence =~ ~r/^in (the header|section \d+ \(.*\)|what follows the end), at byte \d+: /
      assert Compute.restore(bytes, backend: :nif) == {:error, {:invalid_snapshot, sentence}}
    end

    # Without the look at it beforehand.
    {:ok, info} = Compute.snapshot_info(snapshot)
    {:ok, ruleset} = GamePlatform.Compute.Ruleset.load({:text, info.ruleset})

    options = %{
      frequency: 2,
      seed: info.seed,
      ruleset: ruleset,
      threads: 1,
      worker: Compute.Worker,
      cells: nil
    }

    for module <- [Compute.Nif, Compute.Node, Compute.Beam], bytes <- Enum.take_every(bad, 7) do
      {:ok, state} = module.new(options)
      assert {:error, {:invalid_snapshot, "in " <> _}} = module.load(state, bytes)
      module.close(state)
    end
  end

  test "content without its digest, or of another world, is refused by every backend" do
    {:ok, world} = Compute.new_world(backend: :nif, frequency: 2, ruleset: "priv/rulesets/tiny.toml")
    {:ok, _} = Compute.submit(world, [%{action: "join", by: "ann", cell: 3}])
    {:ok, 5} = Compute.advance(world, 5)
    snapshot = snapshot!(world)
    {:ok, info} = Compute.snapshot_info(snapshot)
    {:ok, 5, kinds, amounts, [{_, ann}, counters] = objects} = Native.snapshot_unpack(snapshot)

    pack = fn kinds, objects ->
      {:ok, bytes} = Native.snapshot_pack(2, info.seed, 5, info.ruleset, info.digest, kinds, amounts, objects)
      bytes
    end

    assert pack.(kinds, objects) == snapshot
    player = Bitwise.bsl(3, 56)
    <<_, rest::binary>> = kinds

    bad = [
      pack.(<<3, rest::binary>>, objects),
      pack.(<<7, rest::binary>>, objects),
      pack.(kinds, []),
      pack.(kinds, [{player + 1, ann}]),
      pack.(kinds, [{player + 2, ann}, counters]),
      pack.(kinds, [{player + 1, ann <> "x"}, counters]),
      pack.(kinds, [{Bitwise.bsl(1, 56) + 40, <<0, 0, 0>>}, {player + 1, ann}, counters]),
      pack.(kinds, [{Bitwise.bsl(2, 56) + 40, <<9::32-little, 0::32>>}, {player + 1, ann}, counters])
    ]

    for backend <- @backends, {bytes, n} <- Enum.with_index(bad) do
      assert {:error, {:invalid_snapshot, sentence}} = Compute.restore(bytes, backend: backend),
             "#{backend} #{n}"

      assert is_binary(sentence)
    end

    for backend <- @backends do
      {:ok, copy} = Compute.restore(pack.(kinds, objects), backend: backend)
      assert Compute.tick(copy) == {:ok, 5}
    end
  end

  test "a file that was written before is restored to what it was" do
    bytes = File.read!(@golden <> ".gps")

    rows =
      for line <- File.stream!(@golden <> ".tsv"), not String.starts_with?(line, "#") do
        [tick, digest] = line |> String.trim() |> String.split("\t")
        {String.to_integer(tick), Base.decode16!(digest, case: :lower)}
      end

    for backend <- @backends do
      {:ok, world} = Compute.restore(bytes, backend: backend)
      {:ok, restored} = Compute.tick(world)
      assert restored == rows |> hd() |> elem(0)

      for {tick, digest} <- rows do
        {:ok, ^tick} = Compute.advance_to(world, tick)
        assert Compute.digest(world) == {:ok, digest}
      end
    end
  end
end
