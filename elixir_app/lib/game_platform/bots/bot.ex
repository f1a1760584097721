defmodule GamePlatform.Bots.Bot do
  @moduledoc false
  # A player that is a program. Each turn it looks at its factory and does what is most urgent, so that it does not
  # matter what was refused, forgotten, burnt or built by another run before.

  alias GamePlatform.Bots.{Factory, Player, Tally}
  alias GamePlatform.Bots.Bot.{Errands, Tending}
  alias GamePlatform.Game.World.Chart

  import Player, only: [has: 2, position: 1]

  # Steps around the home that it knows, and for how many turns it believes what it saw.
  @sight 15
  @survey_turns 60
  @turn_ticks 20
  # Pieces of fuel under which a fire is fed, and up to which.
  @low 2
  @feed 8
  # A mill and its dynamo.
  @bricks 8

  defstruct [:player, :plan, :number, turns: 0, trail: []]

  @doc "Plays until the connection ends; returns why."
  @spec run(pos_integer, String.t(), keyword, Tally.t()) :: String.t()
  def run(number, url, params, tally) do
    case Player.enter(url, params, tally) do
      {:ok, player} -> play(%__MODULE__{player: player, number: number})
      {:error, reason} -> reason
    end
  catch
    {:closed, reason} -> reason
  end

  defp play(%{player: player} = bot) do
    bot = bot |> look() |> turn()
    bot = %{bot | turns: bot.turns + 1, player: Player.rest(bot.player, pause_ms(player))}
    play(bot)
  end

  defp pause_ms(%{ups: ups}), do: max(div(1000 * @turn_ticks, ups), 50)

  defp look(%{player: player, plan: plan, turns: turns} = bot) do
    player = Player.refresh(player)
    around = player.frequency |> Chart.rings(player.home, @sight) |> Enum.concat()
    ids = if plan == nil or rem(turns, @survey_turns) == 0, do: around, else: cells(plan)
    bot = %{bot | player: Player.look(player, ids)}
    tell(bot)
    bot
  end

  defp cells(plan), do: Enum.map(Map.values(plan), & &1.cell)

  defp tell(%{plan: nil}), do: :ok

  defp tell(%{player: player} = bot) do
    if made = machine(bot, :mill)["made"], do: Tally.put(player.tally, {:gears, bot.number}, made)
    standing = Enum.count(Map.keys(bot.plan), &(machine(bot, &1) != %{}))
    Tally.put(player.tally, {:machines, bot.number}, standing + length(bot.trail))
  end

  @doc "The machine of a role as it was seen, or an empty map."
  def machine(%{player: player, plan: plan}, role) do
    case player.cells[plan[role].cell]["machine"] do
      %{"prototype" => prototype} = machine -> if prototype == plan[role].prototype, do: machine, else: %{}
      nil -> %{}
    end
  end

  defp turn(%{plan: nil} = bot), do: settle(bot)

  defp turn(bot) do
    cond do
      role = missing(bot, Factory.first()) -> build(bot, role)
      role = astray(bot) -> set_right(bot, role)
      role = cold(bot) -> heat(bot, role)
      hungry?(bot) -> feed(bot)
      role = missing(bot, Factory.second()) -> equip(bot, role)
      machine(bot, :store)["item"] != "iron" -> give_iron(bot)
      true -> Tending.tend(bot)
    end
  end

  # The site near the home that suits best, and a claim in its middle.
  defp settle(%{player: player} = bot) do
    case Factory.site(player.frequency, player.home, player.name, player.cells, player.spoilt) do
      nil ->
        Errands.wander(bot)

      plan ->
        middle = plan.store.cell

        with {:ok, player} <- Player.go(player, &(&1 == middle)),
             {claimed, player} when claimed in [:ok, "already_yours"] <-
               Player.act(player, "claim", %{cell: middle}) do
          %{bot | player: player, plan: plan}
        else
          {"missing_items", player} -> Errands.gather(%{bot | player: player}, "rock", 1)
          {_, player} -> %{bot | player: %{player | spoilt: MapSet.put(player.spoilt, middle)}}
        end
    end
  end

  defp missing(%{player: player, plan: plan} = bot, roles) do
    Enum.find(roles, fn role ->
      machine(bot, role) == %{} and Factory.useful?(plan[role], player.frequency, player.cells)
    end)
  end

  @doc "Places the machine of a role, or gets what that lacks."
  def build(%{player: player, plan: plan} = bot, role) do
    %{cell: cell, prototype: prototype, direction: direction} = plan[role]
    other = player.cells[cell]["machine"]

    result =
      if other,
        do: Player.act(player, "remove", %{cell: cell}),
        else: Player.act(player, "place", %{cell: cell, prototype: prototype, direction: direction})

    case result do
      {:ok, player} -> %{bot | player: Player.look(player, [cell])} |> now(role)
      {"missing_items", player} -> Errands.supply(%{bot | player: player}, prototype)
      # Somebody else's by now.
      {code, player} when code in ["not_yours", "touches_foreign"] -> elsewhere(%{bot | player: player})
      {_, player} -> %{bot | player: player}
    end
  end

  # Many a turn is saved by doing at once what the next ones would.
  defp now(bot, role) do
    bot = %{bot | player: Player.refresh(bot.player)}
    next = missing(bot, Factory.first())

    cond do
      role in Factory.first() and wrong?(bot, role) -> set_right(bot, role)
      role in Factory.first() and next != nil and next != role -> build(bot, next)
      true -> bot
    end
  end

  defp elsewhere(%{player: player, plan: plan} = bot),
    do: %{bot | plan: nil, player: %{player | spoilt: MapSet.put(player.spoilt, plan.store.cell)}}

  defp astray(%{plan: plan} = bot), do: Enum.find(Map.keys(plan), &wrong?(bot, &1))

  defp wrong?(%{plan: plan} = bot, role) do
    machine = machine(bot, role)
    %{recipe: recipe, direction: direction} = plan[role]
    machine != %{} and ((recipe != nil and machine["recipe"] != recipe) or machine["direction"] != direction)
  end

  defp set_right(%{player: player, plan: plan} = bot, role) do
    %{cell: cell, recipe: recipe, direction: direction} = plan[role]

    {_, player} =
      if recipe != nil and machine(bot, role)["recipe"] != recipe,
        do: Player.act(player, "set_recipe", %{cell: cell, recipe: recipe}),
        else: Player.act(player, "rotate", %{cell: cell, direction: direction})

    bot = %{bot | player: Player.look(player, [cell])}
    if role in Factory.first(), do: now(bot, role), else: bot
  end

  # A fire that will soon be out.
  defp cold(bot) do
    Enum.find([:iron, :brick, :dynamo], fn role ->
      case machine(bot, role)["fuel"] do
        %{"count" => count} -> count < @low and (role != :brick or machine(bot, :mill) == %{} or count == 0)
        _ -> false
      end
    end)
  end

  defp heat(%{player: player, plan: plan} = bot, role) do
    # One fire has one kind of fuel.
    burns = machine(bot, role)["fuel"]["item"]
    fuels = if burns, do: [burns], else: ["peat", "charcoal", "wood"]

    case Enum.find(fuels, &(has(player, &1) > 0)) do
      nil ->
        Errands.fuel(bot, burns)

      item ->
        with {:ok, player} <- beside(bot, plan[role].cell) do
          count = min(has(player, item), @feed)
          {_, player} = Player.act(player, "put", %{cell: plan[role].cell, item: item, count: count})
          %{bot | player: player}
        else
          {_, player} -> %{bot | player: player}
        end
    end
  end

  @doc "Goes where a cell can be reached, in the middle of the factory if that will do."
  def beside(%{player: player, plan: plan}, cell) do
    middle = plan.store.cell
    near = [cell | GamePlatform.Compute.neighbours(player.frequency, cell)]
    goal = if middle in near, do: &(&1 == middle), else: &(&1 in near)
    if position(player) in near, do: {:ok, player}, else: Player.go(player, goal)
  end

  # Without bricks there is no mill, and one extractor's stone is slow; ore only if no extractor brings it.
  defp hungry?(bot), do: hungry_for(bot) != nil

  defp hungry_for(%{player: player} = bot) do
    cond do
      machine(bot, :mill) == %{} and bricks(bot) < @bricks and held(bot, :brick, "stone") < 6 -> :brick
      not fed?(bot) and held(bot, :iron, "ore") < 4 and has(player, "iron") < 40 -> :iron
      true -> nil
    end
  end

  defp fed?(bot),
    do: Enum.any?([:ore_1, :ore_2, :ore_3, :ore_4], &(machine(bot, &1)["state"] in ["working", "full"]))

  @doc "What a machine holds of an item."
  def held(bot, role, item), do: get_in(machine(bot, role), ["contents", item]) || 0

  defp bricks(%{player: player} = bot), do: has(player, "brick") + held(bot, :store, "brick")

  defp feed(bot) do
    role = hungry_for(bot)
    {item, kind, spare} = if role == :brick, do: {"stone", "rock", 6}, else: {"ore", "ferrite", 0}
    enough = 3 * (@bricks - if(role == :brick, do: bricks(bot), else: 0))

    if has(bot.player, item) >= min(enough, 12) + spare do
      with {:ok, player} <- beside(bot, bot.plan[role].cell) do
        count = min(enough, has(player, item) - spare)
        {_, player} = Player.act(player, "put", %{cell: bot.plan[role].cell, item: item, count: count})
        %{bot | player: player}
      else
        {_, player} -> %{bot | player: player}
      end
    else
      Errands.gather(bot, kind, 3)
    end
  end

  # The second part costs bricks, which come into the store.
  defp equip(%{player: player, plan: plan} = bot, role) do
    stored = held(bot, :store, "brick")

    cond do
      role == :gears or has(player, "brick") >= 4 ->
        build(bot, role)

      has(player, "brick") + stored >= 4 ->
        with {:ok, player} <- beside(bot, plan.store.cell),
             {_, player} <-
               Player.act(player, "take", %{cell: plan.store.cell, item: "brick", count: min(stored, 8)}) do
          %{bot | player: player}
        else
          {_, player} -> %{bot | player: player}
        end

      true ->
        Tending.pass_time(bot)
    end
  end

  defp give_iron(%{player: player, plan: plan} = bot) do
    {_, player} = Player.act(player, "set_recipe", %{cell: plan.store.cell, recipe: "iron"})
    %{bot | player: player}
  end
end
