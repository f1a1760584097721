defmodule GamePlatform.Deeds do
  @moduledoc "Random actions of some players near each other, most of which can be done."

  alias GamePlatform.Compute

  @players ~w(ann ben cleo)

  @doc "The players who join, around a cell."
  def joins(home, frequency) do
    around = [home | Compute.neighbours(frequency, home)]
    for {name, cell} <- Enum.zip(@players, around), do: %{"action" => "join", "by" => name, "cell" => cell}
  end

  @doc "A cell in the middle of a diamond, far from pentagons if the sphere is large enough."
  def home(frequency), do: div(frequency, 2) * frequency + div(frequency, 2)

  @doc "Some actions for a tick, with the process's random numbers."
  def some(world, home, tick, most \\ 6) do
    for n <- 1..Enum.random(0..most)//1 do
      action = one(world.economy, near(world.frequency, home, 3))
      Map.merge(action, %{"by" => Enum.random(@players), "action_id" => "#{tick}.#{n}"})
    end
  end

  # Building comes first: a world without machines shows little.
  @kinds ~w(claim claim claim place place place place place set_recipe set_recipe put put take gather gather move craft
    rotate remove release grant)

  defp one(economy, cell) do
    action = Enum.random(@kinds)
    fields = fields(action, economy)
    fields = if action == "craft", do: fields, else: Map.put(fields, "cell", cell)
    Map.put(fields, "action", action)
  end

  defp fields("place", economy),
    do: %{"prototype" => any(economy["prototypes"]), "direction" => Enum.random(0..5)}

  defp fields("rotate", _), do: %{"direction" => Enum.random(0..5)}

  defp fields("set_recipe", economy),
    do: %{"recipe" => Enum.random([any(economy["recipes"]), any(economy["items"]), nil])}

  defp fields(action, economy) when action in ["put", "take"],
    do: %{"item" => any(economy["items"]), "count" => Enum.random([1, 1, 2, 5, 20])}

  defp fields("craft", economy) do
    by_hand = Enum.filter(economy["recipes"], & &1["hand"])
    recipes = if by_hand == [], do: economy["recipes"], else: by_hand
    %{"recipe" => any(recipes), "count" => Enum.random(1..3)}
  end

  defp fields("grant", _), do: %{"player" => Enum.random([nil | @players])}
  defp fields(_, _), do: %{}

  defp any(list), do: Enum.random(list)["name"]

  defp near(frequency, cell, steps) do
    Enum.reduce(1..Enum.random(1..(steps + 1)), cell, fn
      1, cell -> cell
      _, cell -> Enum.random(Compute.neighbours(frequency, cell))
    end)
  end
end
