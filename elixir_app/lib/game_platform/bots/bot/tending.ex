defmodule GamePlatform.Bots.Bot.Tending do
  @moduledoc false
  # What a bot does when its factory runs: stocks up, takes the gears home, builds on.

  alias GamePlatform.Bots.Bot
  alias GamePlatform.Bots.Bot.Errands
  alias GamePlatform.Bots.{Factory, Player}
  alias GamePlatform.Compute

  import Player, only: [has: 2]

  @stone 16
  @fuel 16
  # Conveyors laid for the sake of it.
  @trail 8

  def tend(%{player: player, plan: plan} = bot) do
    role = Enum.find(Factory.third(), &worth?(bot, &1))

    cond do
      Bot.held(bot, :gears, "gear") >= 10 -> Errands.take(bot, plan.gears.cell, "gear")
      has(player, "peat") + has(player, "wood") < @fuel -> Errands.fuel(bot, nil)
      has(player, "stone") < @stone -> Errands.gather(bot, "rock", 2)
      role != nil and has(player, "iron") >= 2 -> Bot.build(bot, role)
      role != nil and Bot.held(bot, :store, "iron") >= 4 -> Errands.take(bot, plan.store.cell, "iron")
      has(player, "cord") < 4 -> Errands.twist(bot, 4)
      true -> play_about(bot)
    end
  end

  defp worth?(%{player: player, plan: plan} = bot, role) do
    Bot.machine(bot, role) == %{} and player.cells[plan[role].cell]["machine"] == nil and
      player.cells[plan[role].cell]["owner"] in [nil, player.name] and
      Factory.useful?(plan[role], player.frequency, player.cells)
  end

  @doc "While something else is being made: what will be of use later."
  def pass_time(%{player: player} = bot) do
    cond do
      has(player, "peat") < @fuel -> Errands.fuel(bot, nil)
      has(player, "cord") < 20 and has(player, "fibre") >= 6 -> Errands.twist(bot, 2)
      has(player, "stone") < @stone -> Errands.gather(bot, "rock", 1)
      true -> bot
    end
  end

  # A trail of conveyors that grows, turns and is taken up again: nothing that anybody needs, but the world has work.
  defp play_about(%{trail: trail} = bot) do
    case :rand.uniform(6) do
      1 -> Errands.wander(bot)
      2 when trail != [] -> change(bot, "rotate", %{cell: hd(trail), direction: :rand.uniform(6) - 1}, trail)
      3 when length(trail) >= @trail -> change(bot, "remove", %{cell: hd(trail)}, tl(trail))
      _ when length(trail) < @trail -> lay(bot)
      _ -> bot
    end
  end

  defp lay(%{player: player, plan: plan, trail: trail} = bot) do
    mine = if trail == [], do: [plan.gears.cell], else: [hd(trail)]
    taken = MapSet.new(Enum.map(Map.values(plan), & &1.cell) ++ trail)

    free =
      for at <- mine,
          cell <- Compute.neighbours(player.frequency, at),
          cell not in taken,
          player.cells[cell]["owner"] in [nil, player.name],
          do: cell

    case free do
      [] ->
        bot

      cells ->
        cell = Enum.random(cells)
        fields = %{cell: cell, prototype: "conveyor", direction: :rand.uniform(6) - 1}
        change(bot, "place", fields, [cell | trail])
    end
  end

  defp change(bot, action, fields, trail) do
    case Player.act(bot.player, action, fields) do
      {:ok, player} -> %{bot | player: player, trail: trail}
      # Burnt, or never there.
      {"no_machine", player} -> %{bot | player: player, trail: List.delete(bot.trail, fields.cell)}
      {"missing_items", player} -> Errands.supply(%{bot | player: player}, "conveyor")
      {_, player} -> %{bot | player: player}
    end
  end
end
