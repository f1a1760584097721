defmodule GamePlatform.Compute.ObjectsTest do
  use ExUnit.Case, async: true

  alias GamePlatform.Compute.Objects
  alias GamePlatform.Tiny

  # Numbers of `priv/rulesets/tiny.toml`.
  @items %{stone: 0, fibre: 1, ore: 2, metal: 3, slag: 4, gear: 5}
  @kinds %{rock: 0, moss: 1, ore: 2, ember: 3}
  @belt 0
  @fork 1
  @sieve 2
  @bridge 3
  @digger 4
  @oven 5
  @lathe 6
  @gardener 7
  @wheel 8
  @chest 9
  @tick 100
  @none 0xFF
  @idle 0xFFFF

  setup_all do: %{economy: Tiny.economy()}

  defp head(prototype, direction \\ 2), do: <<prototype, direction, 5>>
  defp slot(item, ready), do: <<item, ready::64-little>>
  defp belt(item, ready), do: head(@belt) <> slot(item, ready)

  defp craft(prototype, recipe, fields \\ []) do
    fields =
      Keyword.merge(
        [progress: @idle, fuel: {@none, 0, 0}, inputs: [0, 0, 0, 0], out: 0, by: 0, counts: {0, 0, 0}],
        fields
      )

    {fuel, count, burn} = fields[:fuel]
    {made, spilt, lit} = fields[:counts]
    inputs = for n <- fields[:inputs], into: <<>>, do: <<n::16-little>>

    head(prototype) <>
      <<recipe, fields[:progress]::16-little, fuel, count, burn::16-little, inputs::binary,
        fields[:out]::16-little, fields[:by]::16-little, made::32-little, spilt::32-little, lit::32-little>>
  end

  defp wheel(fuel, count, burn, lit \\ 0),
    do: head(@wheel) <> <<fuel, count, burn::16-little, lit::32-little>>

  defp chest(filter, pairs, ready \\ 0) do
    pairs = for {item, n} <- pairs, into: <<length(pairs)>>, do: <<@items[item], n::16-little>>
    head(@chest) <> <<filter, ready::64-little, pairs::binary>>
  end

  defp site(bytes, opts \\ []),
    do: {@kinds[opts[:kind] || :rock], 9, bytes, opts[:owner] || 1, opts[:grant] || 0}

  defp machine!(economy, bytes, opts \\ []) do
    assert {:ok, machine} = Objects.machine(economy, @tick, site(bytes, opts), opts[:around])
    machine
  end

  defp state(economy, bytes, opts \\ []), do: machine!(economy, bytes, opts).state

  test "no machine is none", %{economy: economy} do
    assert Objects.machine(economy, @tick, site(nil)) == {:ok, nil}
  end

  describe "machines" do
    test "of every kind show what they hold", %{economy: economy} do
      common = %{direction: 2, recipe: nil, item: nil, contents: %{}, fuel: nil, progress: nil}
      common = Map.merge(common, %{made: 0, spilt: 0, lit: 0})

      for {bytes, expected} <- [
            {belt(@none, 0), %{prototype: "belt", state: :idle}},
            {belt(2, 101), %{prototype: "belt", state: :working, contents: %{"ore" => 1}}},
            {head(@fork) <> slot(3, 90) <> <<2>>,
             %{prototype: "fork", state: :full, contents: %{"metal" => 1}}},
            {head(@sieve) <> slot(@none, 0) <> <<0, 5>>, %{prototype: "sieve", state: :idle, item: "gear"}},
            {head(@bridge) <> <<2, 3, 100::64-little, @none, 0, 0::64, 2, 5, 101::64-little>>,
             %{prototype: "bridge", state: :working, contents: %{"ore" => 2}}},
            {chest(5, stone: 3, gear: 4),
             %{prototype: "chest", state: :working, item: "gear", contents: %{"stone" => 3, "gear" => 4}}},
            {wheel(1, 3, 17, 9),
             %{prototype: "wheel", state: :working, lit: 9, fuel: %{item: "fibre", count: 3, burn: 17}}},
            {craft(@digger, 2, progress: 11, out: 4, counts: {7, 0, 0}),
             %{
               prototype: "digger",
               state: :working,
               recipe: "mine",
               progress: 11,
               contents: %{"ore" => 4},
               made: 7
             }},
            {craft(@oven, 3,
               progress: 0,
               fuel: {1, 2, 30},
               inputs: [3, 0, 0, 0],
               out: 2,
               by: 1,
               counts: {5, 6, 7}
             ),
             %{
               prototype: "oven",
               state: :working,
               recipe: "smelt",
               progress: 0,
               contents: %{"ore" => 3, "metal" => 2, "slag" => 1},
               fuel: %{item: "fibre", count: 2, burn: 30},
               made: 5,
               spilt: 6,
               lit: 7
             }},
            {craft(@digger, @none), %{prototype: "digger", state: :idle}}
          ] do
        assert machine!(economy, bytes) == Map.merge(common, expected)
      end
    end

    test "of which nothing but their fire shows are halted", %{economy: economy} do
      for bytes <- [belt(2, 0), chest(@none, []), wheel(1, 1, 1), craft(@digger, 0)] do
        assert state(economy, bytes, kind: :ember) == :halted
      end
    end

    test "that make something tell why they stand still", %{economy: economy} do
      for {expected, bytes} <- [
            waiting: craft(@digger, 0),
            full: craft(@digger, 0, out: 10),
            waiting: craft(@oven, 3, inputs: [1, 0, 0, 0]),
            full: craft(@oven, 3, out: 10),
            waiting: craft(@oven, 3, by: 10),
            waiting: craft(@lathe, 5, out: 27),
            full: craft(@lathe, 5, out: 28),
            waiting: craft(@gardener, 6, progress: 8),
            working: craft(@gardener, 6, progress: 7)
          ] do
        assert state(economy, bytes) == expected
      end
    end

    test "that burn need fuel, or fire beside them", %{economy: economy} do
      oven = &craft(@oven, 3, progress: 3, fuel: &1)
      assert state(economy, oven.({1, 1, 0})) == :working
      assert state(economy, oven.({@none, 0, 1})) == :working
      assert state(economy, oven.({@none, 0, 0})) == :no_fuel
      assert state(economy, oven.({@none, 0, 0}), around: [site(nil), site(nil, kind: :ember)]) == :working
      assert state(economy, oven.({@none, 0, 0}), around: [site(nil), site(nil)]) == :no_fuel
    end

    test "that are driven need a wheel that turns for them", %{economy: economy} do
      lathe = craft(@lathe, 4, progress: 3)
      assert state(economy, lathe) == :working
      assert state(economy, lathe, around: []) == :no_drive

      for {beside, expected} <- [
            {site(wheel(@none, 0, 0)), :no_drive},
            {site(wheel(@none, 0, 5)), :working},
            {site(wheel(1, 1, 0)), :working},
            {site(wheel(1, 1, 0), kind: :ember), :no_drive},
            {site(wheel(1, 1, 0), owner: 2), :no_drive},
            {site(chest(@none, [])), :no_drive}
          ] do
        assert state(economy, lathe, around: [site(nil), beside]) == expected
      end

      assert state(economy, lathe, around: [site(wheel(1, 1, 0), owner: 2)], grant: 2) == :working
      assert Objects.looks_around?(economy, site(lathe))
      refute Objects.looks_around?(economy, site(craft(@lathe, 4)))
      refute Objects.looks_around?(economy, site(craft(@digger, 0, progress: 3)))
      refute Objects.looks_around?(economy, site(nil))
      refute Objects.looks_around?(economy, site("junk"))
    end

    test "that move or keep things", %{economy: economy} do
      for {expected, bytes} <- [
            working: belt(2, 100),
            full: belt(2, 99),
            idle: chest(@none, []),
            idle: chest(@none, stone: 4),
            idle: chest(5, stone: 4),
            full: chest(@none, stone: 20, ore: 10),
            full: chest(0, stone: 30),
            no_fuel: wheel(@none, 0, 0),
            idle: wheel(1, 4, 0),
            working: wheel(@none, 0, 1)
          ] do
        assert state(economy, bytes) == expected
      end
    end
  end

  # A player with something of everything.
  defp player(opts \\ []) do
    name = opts[:name] || "ann"

    inventory =
      for {item, n} <- opts[:inventory] || [stone: 60, gear: 2],
          into: <<>>,
          do: <<@items[item], n::16-little>>

    queue = opts[:queue] || [body(1, 8, 0, "m"), body(11, 4, 3, "c")]

    <<opts[:number] || 7::32-little, byte_size(name), name::binary, 5::32-little, 6::32-little, 3::32-little,
      200::64-little, div(byte_size(inventory), 3), inventory::binary,
      opts[:playing] || <<1>> <> body(2, 9, 0, "g") <> <<120::64-little, 8::16-little>>::binary,
      length(queue)>> <>
      Enum.join(queue)
  end

  defp body(op, arg, count, id), do: <<op, arg::32-little, count::16-little, byte_size(id), id::binary>>

  describe "players" do
    test "show what they have and do", %{economy: economy} do
      assert {:ok, player} = Objects.player(economy, player())
      assert Objects.name(player()) == {:ok, 7, "ann"}
      assert player.results == 200
      assert %{op: 2, arg: 9, id: "g", ends: 120, n: 8} = player.playing

      assert Objects.public(economy, player) == %{
               name: "ann",
               number: 7,
               position: 5,
               home: 6,
               claims: 3,
               inventory: %{"stone" => 60, "gear" => 2},
               busy_until: 121,
               playing: %{action_id: "g", action: "gather", cell: 9},
               queue: [
                 %{action_id: "m", action: "move", cell: 8},
                 %{action_id: "c", action: "craft", recipe: "turn_gear", count: 3}
               ]
             }
    end

    test "who do nothing", %{economy: economy} do
      assert {:ok, player} = Objects.player(economy, player(playing: <<0>>, queue: [], inventory: []))
      assert %{busy_until: nil, playing: nil, queue: [], inventory: %{}} = Objects.public(economy, player)
    end
  end

  describe "bytes that no sound kernel writes" do
    test "are corrupt, whatever they say", %{economy: economy} do
      corrupt = [
        "",
        <<10, 0, 0>>,
        <<@belt, 6, 5>> <> slot(@none, 0),
        <<@belt, 0, 6>> <> slot(@none, 0),
        belt(6, 0),
        belt(@none, 3),
        belt(2, 0) <> <<0>>,
        head(@fork) <> slot(3, 90) <> <<3>>,
        head(@sieve) <> slot(@none, 0) <> <<0, 6>>,
        head(@bridge) <> <<0::240>> <> <<0>>,
        chest(@none, stone: 0),
        chest(@none, gear: 1, stone: 1),
        chest(@none, stone: 1, stone: 1),
        head(@chest) <> <<@none, 0::64, 2, 0, 1, 0>>,
        wheel(@none, 1, 0),
        wheel(0, 1, 0),
        wheel(1, 0, 0),
        wheel(9, 1, 0),
        craft(@oven, 0),
        craft(@oven, 200),
        craft(@oven, 3, progress: 13),
        craft(@oven, 3, inputs: [0, 1, 0, 0]),
        craft(@oven, @none, progress: 0),
        craft(@oven, @none, out: 1),
        craft(@lathe, 4, by: 1),
        craft(@gardener, 6, out: 1)
      ]

      for bytes <- corrupt do
        assert Objects.machine(economy, @tick, site(bytes)) == {:error, :corrupt_peer}, inspect(bytes)
      end

      for bytes <- [
            "",
            player(number: 0),
            player(name: ""),
            player(name: <<0xFF>>),
            player(name: String.duplicate("a", 65)),
            player() <> <<0>>,
            player(inventory: [gear: 1, stone: 1]),
            player(inventory: [stone: 0]),
            player(playing: <<2>>),
            player(queue: [body(3, 1, 0, "a")]),
            player(queue: [body(11, 99, 1, "a")]),
            player(queue: [body(1, 1, 0, "")])
          ] do
        assert Objects.player(economy, bytes) == {:error, :corrupt_peer}, inspect(bytes)
      end
    end

    test "cut off or changed anywhere raise nothing", %{economy: economy} do
      :rand.seed(:exsss, 11)

      sound = [
        belt(2, 1),
        chest(5, stone: 3, gear: 1),
        wheel(1, 1, 1),
        craft(@oven, 3, progress: 3),
        player()
      ]

      for bytes <- sound, _ <- 1..400 do
        at = :rand.uniform(byte_size(bytes)) - 1
        <<before::binary-size(at), byte, rest::binary>> = bytes

        changed =
          Enum.random([
            before,
            <<before::binary, Enum.random(0..255), rest::binary>>,
            <<before::binary, byte, byte, rest::binary>>
          ])

        assert match?({:ok, %{}}, Objects.machine(economy, @tick, site(changed))) or
                 Objects.machine(economy, @tick, site(changed)) == {:error, :corrupt_peer}

        assert match?({:ok, _}, Objects.player(economy, changed)) or
                 Objects.player(economy, changed) == {:error, :corrupt_peer}
      end
    end
  end
end
