defmodule GamePlatform.Bots.Bot.Errands do
  @moduledoc false
  # Ways to what a bot lacks, and back.

  alias GamePlatform.Bots.Player
  alias GamePlatform.Game.World.Chart

  import Player, only: [has: 2, position: 1]

  # What machines cost, with the stone of the claim; where it comes from.
  @costs %{
    "furnace" => %{"stone" => 9},
    "extractor" => %{"stone" => 5, "iron" => 2},
    "depot" => %{"wood" => 6, "stone" => 1},
    "mill" => %{"brick" => 4, "gear" => 2, "stone" => 1},
    "dynamo" => %{"brick" => 4, "iron" => 2, "gear" => 2, "stone" => 1},
    "conveyor" => %{"cord" => 1, "stone" => 1}
  }
  @fields %{"stone" => "rock", "wood" => "thicket", "fibre" => "moss", "ore" => "ferrite", "peat" => "peat"}
  @products %{"iron" => :store, "brick" => :store, "gear" => :gears}

  @doc "Gathers so many times from the nearest cell of a kind."
  def gather(%{player: player} = bot, kind, times) do
    case Player.go(player, &good?(player, &1, kind)) do
      {:ok, player} ->
        here = position(player)
        {results, player} = Player.play(player, List.duplicate({"gather", %{cell: here}}, times))
        player = player |> Player.refresh() |> Player.look([here])
        # Not once more to a cell that has nothing.
        spoilt? = Enum.any?(results, &(&1 != :ok))

        %{
          bot
          | player: if(spoilt?, do: %{player | spoilt: MapSet.put(player.spoilt, {kind, here})}, else: player)
        }

      {:far, player} ->
        wander(%{bot | player: player})

      {_, player} ->
        %{bot | player: player}
    end
  end

  defp good?(player, cell, kind) do
    case player.cells[cell] do
      %{"name" => ^kind, "owner" => owner, "amount" => amount} ->
        owner in [nil, player.name] and (kind == "rock" or amount > 4) and {kind, cell} not in player.spoilt

      _ ->
        false
    end
  end

  @doc "Gets fuel: peat if it may, wood else."
  def fuel(%{player: player} = bot, burns) do
    kinds = if burns == "wood", do: ["thicket", "peat"], else: ["peat", "thicket"]
    kind = Enum.find(kinds, fn kind -> Enum.any?(Map.keys(player.cells), &good?(player, &1, kind)) end)
    gather(bot, kind || "peat", 4)
  end

  @doc "Gets the first thing that a machine's cost lacks."
  def supply(%{player: player} = bot, prototype) do
    case Enum.find(@costs[prototype] || %{}, fn {item, n} -> has(player, item) < n end) do
      {item, n} -> supply(bot, item, n - has(player, item))
      # It costs more than is known here: claims have become dear.
      nil -> gather(bot, "rock", 2)
    end
  end

  defp supply(bot, "cord", n), do: twist(bot, max(n, 4))

  defp supply(bot, item, _) when is_map_key(@products, item) do
    case bot.plan && bot.plan[@products[item]] do
      nil -> bot
      %{cell: cell} -> take(bot, cell, item)
    end
  end

  defp supply(bot, item, n), do: gather(bot, Map.get(@fields, item, "rock"), div(n + 7, 8))

  @doc "Twists cords of fibre, which is gathered first if there is none."
  def twist(%{player: player} = bot, n) do
    if has(player, "fibre") >= 2 do
      count = min(n, div(has(player, "fibre"), 2))
      {_, player} = Player.play(player, [{"craft", %{recipe: "twist_cord", count: count}}])
      %{bot | player: player}
    else
      gather(bot, "moss", 2)
    end
  end

  @doc "Takes all of an item out of a machine, up to 100."
  def take(%{player: player} = bot, cell, item) do
    held = get_in(player.cells, [cell, "machine", "contents", item]) || 0

    with true <- held > 0,
         {:ok, player} <- GamePlatform.Bots.Bot.beside(bot, cell) do
      {_, player} = Player.act(player, "take", %{cell: cell, item: item, count: min(held, 100)})
      %{bot | player: player}
    else
      false -> bot
      {_, player} -> %{bot | player: player}
    end
  end

  @doc "Some steps to anywhere, to see more of the world, and what is there."
  def wander(%{player: player} = bot) do
    ring = player.frequency |> Chart.rings(position(player), 6) |> List.last()
    goal = Enum.random(ring)
    {_, player} = Player.go(player, &(&1 == goal))
    around = player.frequency |> Chart.rings(position(player), 8) |> Enum.concat()
    %{bot | player: Player.look(player, around)}
  end
end
