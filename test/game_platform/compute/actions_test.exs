defmodule GamePlatform.Compute.ActionsTest do
  use ExUnit.Case, async: true

  alias GamePlatform.Compute.Actions
  alias GamePlatform.Tiny

  setup_all do: %{world: Tiny.handle()}

  @base %{"by" => "ann", "action_id" => "a1"}
  @fields %{
    "join" => %{"cell" => 161},
    "move" => %{"cell" => 7},
    "gather" => %{"cell" => 7},
    "claim" => %{"cell" => 7},
    "release" => %{"cell" => 7},
    "place" => %{"cell" => 7, "prototype" => "oven", "direction" => 5},
    "remove" => %{"cell" => 7},
    "rotate" => %{"cell" => 7, "direction" => 0},
    "set_recipe" => %{"cell" => 7, "recipe" => "mow"},
    "take" => %{"cell" => 7, "item" => "gear", "count" => 60_000},
    "put" => %{"cell" => 7, "item" => "stone", "count" => 1},
    "craft" => %{"recipe" => "turn_gear", "count" => 1_000},
    "grant" => %{"cell" => 7, "player" => "béa"}
  }

  defp action(name, changes \\ %{}),
    do: @base |> Map.merge(@fields[name]) |> Map.put("action", name) |> Map.merge(changes)

  defp bytes(world, action) do
    assert {:ok, %{bytes: <<3, "ann", n, _id::binary-size(n), rest::binary>>}} = Actions.check(world, action)
    rest
  end

  defp sentence(world, action) do
    assert {:refused, _, :bad_action, sentence} = Actions.check(world, action)
    sentence
  end

  test "every action has its number and fields", %{world: world} do
    expected = %{
      "join" => <<0, 161::32-little>>,
      "move" => <<1, 7::32-little>>,
      "gather" => <<2, 7::32-little>>,
      "claim" => <<3, 7::32-little>>,
      "release" => <<4, 7::32-little>>,
      "place" => <<5, 7::32-little, 5, 5>>,
      "remove" => <<6, 7::32-little>>,
      "rotate" => <<7, 7::32-little, 0>>,
      "set_recipe" => <<8, 7::32-little, 1, 0xFF>>,
      "take" => <<9, 7::32-little, 5, 60_000::16-little>>,
      "put" => <<10, 7::32-little, 0, 1::16-little>>,
      "craft" => <<11, 4, 1_000::16-little>>,
      "grant" => <<12, 7::32-little, 4, "béa">>
    }

    assert Enum.sort(Map.keys(expected)) == Enum.sort(Actions.names())
    for name <- Actions.names(), do: assert(bytes(world, action(name)) == expected[name], name)
  end

  test "atoms will do as keys", %{world: world} do
    atoms = Map.new(action("place"), fn {key, value} -> {String.to_atom(key), value} end)
    assert Actions.check(world, atoms) == Actions.check(world, action("place"))
  end

  test "a recipe may be an item or nothing, a grantee nobody", %{world: world} do
    assert bytes(world, action("set_recipe", %{"recipe" => "gear"})) == <<8, 7::32-little, 0xFF, 5>>
    assert bytes(world, action("set_recipe", %{"recipe" => nil})) == <<8, 7::32-little, 0xFF, 0xFF>>
    assert bytes(world, action("grant", %{"player" => nil})) == <<12, 7::32-little, 0>>
  end

  test "who joins needs no id, and is answered with that which came", %{world: world} do
    assert {:ok, %{id: "join", shown: "join"}} = Actions.check(world, Map.delete(action("join"), "action_id"))

    assert {:ok, %{id: "join", shown: "a1", bytes: <<3, "ann", 4, "join", _::binary>>}} =
             Actions.check(world, action("join"))
  end

  test "a batch is a count and actions with their lengths", %{world: world} do
    {:ok, %{bytes: move}} = Actions.check(world, action("move"))
    assert Actions.batch([]) == <<0, 0>>
    assert Actions.batch([move, "x"]) == <<2, 0, byte_size(move), 0, move::binary, 1, 0, "x">>
  end

  test "what is wrong is named, with what is expected", %{world: world} do
    for {change, expected} <- [
          {%{"action" => "fly"},
           ~s(action is "fly", expected one of join, move, gather, claim, release, place)},
          {%{"action" => 3}, "action is 3, expected one of join, move"},
          {%{"by" => ""}, ~s(by is "", expected the name of the player who acts, a string of 1..64 bytes)},
          {%{"by" => String.duplicate("a", 65)}, "by is a string of 65 bytes, expected"},
          {%{"by" => <<0xFF>>}, "by is <<255>>, expected"},
          {%{"action_id" => nil}, "action_id is null, expected a string of 1..64 bytes"},
          {%{"action_id" => 7}, "action_id is 7, expected"},
          {%{"cell" => 162}, "cell is 162, expected a cell id in 0..161"},
          {%{"cell" => -1}, "cell is -1, expected a cell id in 0..161"},
          {%{"cell" => 1.0}, "cell is 1.0, expected"},
          {%{"cell" => "7"}, ~s(cell is "7", expected)},
          {%{"cell" => [1]}, "cell is a list, expected"},
          {%{"cell" => %{}}, "cell is an object, expected"},
          {%{"cell" => Integer.pow(10, 1_000)}, "cell is a number of more than 64 bits, expected"},
          {%{"prototype" => "rocket"}, ~s(prototype is "rocket", expected a machine: belt, fork, sieve)},
          {%{"prototype" => nil}, "prototype is null, expected a machine"},
          {%{"direction" => 6}, "direction is 6, expected a direction in 0..5"}
        ] do
      assert sentence(world, action("place", change)) =~ expected
    end

    for {name, change, expected} <- [
          {"take", %{"count" => 0}, "count is 0, expected a whole number in 1..60000"},
          {"put", %{"count" => 60_001}, "count is 60001, expected a whole number in 1..60000"},
          {"put", %{"item" => "smelt"}, ~s(item is "smelt", expected an item: stone, fibre, ore)},
          {"craft", %{"count" => 1_001}, "count is 1001, expected a whole number in 1..1000"},
          {"craft", %{"recipe" => "gear"}, ~s(recipe is "gear", expected a recipe: dig, mow, mine)},
          {"craft", %{"recipe" => nil}, "recipe is null, expected a recipe"},
          {"set_recipe", %{"recipe" => "fly"}, ~s(recipe is "fly", expected a recipe, an item or null)},
          {"grant", %{"player" => ""}, ~s(player is "", expected a player's name or null)},
          {"join", %{"action_id" => 5}, "action_id is 5, expected"}
        ] do
      assert sentence(world, action(name, change)) =~ expected
    end
  end

  test "what is missing is named", %{world: world} do
    for name <- Actions.names(), {field, _} <- action(name), {name, field} != {"join", "action_id"} do
      assert sentence(world, Map.delete(action(name), field)) =~ "#{field} is missing, expected "
    end
  end

  test "the id comes back with a refusal if it is one", %{world: world} do
    assert {:refused, "a1", :bad_action, _} = Actions.check(world, action("move", %{"cell" => nil}))
    assert {:refused, nil, :bad_action, _} = Actions.check(world, action("move", %{"action_id" => <<0xFF>>}))
  end

  test "anything at all is refused with a short sentence", %{world: world} do
    for term <- [
          nil,
          1,
          "move",
          [],
          [{"action", "move"}],
          {:move, 7},
          self(),
          %{},
          %{1 => 2},
          Date.utc_today()
        ] do
      assert byte_size(sentence(world, term)) < 300
    end

    junk = [
      nil,
      :atom,
      -1,
      1.5e300,
      String.duplicate("x", 100_000),
      <<0, 0xFF>>,
      [[]],
      %{a: %{}},
      {},
      self(),
      make_ref(),
      &is_map/1
    ]

    for name <- Actions.names(), {field, _} <- action(name), value <- junk, field != "action" do
      case Actions.check(world, action(name, %{field => value})) do
        {:refused, _, :bad_action, sentence} -> assert byte_size(sentence) < 300
        {:ok, _} -> assert value == nil and field in ~w(recipe player action_id)
      end
    end
  end
end
