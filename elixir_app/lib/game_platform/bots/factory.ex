defmodule GamePlatform.Bots.Factory do
  @moduledoc false
  # The first factory of the guide: ore becomes iron, iron gears, and stone the bricks that the mill and its dynamo cost.
  # Axial coordinates around a cell at home; it may be turned.
  #
  #     stone (2,-2) ↙           brick furnace (1,-1) ↙
  #     ore (-1,-1) ↘, ore (-2,0) →  iron furnace (-1,0) →  depot (0,0) →  mill (1,0) →  depot (2,0)
  #                                                        dynamo (0,1)

  alias GamePlatform.Game.World.Chart

  @type machine :: %{
          role: atom,
          cell: non_neg_integer,
          prototype: String.t(),
          direction: 0..5,
          recipe: String.t() | nil
        }

  @first [
    {:store, {0, 0}, "depot", 0, nil},
    {:iron, {-1, 0}, "furnace", 0, "smelt_iron"},
    {:ore_1, {-2, 0}, "extractor", 0, "mine_ore"},
    {:ore_2, {-1, -1}, "extractor", 5, "mine_ore"},
    {:brick, {1, -1}, "furnace", 4, "fire_brick"},
    {:stone, {2, -2}, "extractor", 4, "dig_stone"}
  ]
  @second [
    {:mill, {1, 0}, "mill", 0, "cut_gear"},
    {:dynamo, {0, 1}, "dynamo", 0, nil},
    {:gears, {2, 0}, "depot", 0, nil}
  ]
  # More ore, as far as there is some: beside the iron furnace, and not where its slag leaves.
  @third [
    {:ore_3, {-1, 1}, "extractor", 2, "mine_ore"},
    {:ore_4, {0, -1}, "extractor", 4, "mine_ore"}
  ]
  @needs %{
    ore_1: "ferrite",
    ore_2: "ferrite",
    ore_3: "ferrite",
    ore_4: "ferrite",
    stone: "rock"
  }
  @search 8

  @doc "The machines of a factory around `cell`, by role; nil where a pentagon is in the way."
  @spec plan(pos_integer, non_neg_integer, 0..5) :: %{atom => machine} | nil
  def plan(frequency, cell, turn) do
    machines =
      for {role, place, prototype, d, recipe} <- @first ++ @second ++ @third do
        with {at, turn} <- Chart.at(frequency, cell, place, turn) do
          direction = Chart.direction(d, turn)
          {role, %{role: role, cell: at, prototype: prototype, direction: direction, recipe: recipe}}
        end
      end

    if Enum.all?(machines), do: Map.new(machines)
  end

  def first, do: Enum.map(@first, &elem(&1, 0))
  def second, do: Enum.map(@second, &elem(&1, 0))
  def third, do: Enum.map(@third, &elem(&1, 0))

  @doc "Whether a machine that harvests finds what it is for; others always do."
  @spec useful?(machine, pos_integer, %{non_neg_integer => map}) :: boolean
  def useful?(%{role: role, cell: cell}, frequency, cells) do
    case @needs[role] do
      nil ->
        true

      kind ->
        Enum.any?(
          [cell | GamePlatform.Compute.neighbours(frequency, cell)],
          &(cells[&1]["name"] == kind and (kind == "rock" or cells[&1]["amount"] > 1))
        )
    end
  end

  @doc """
  Where to build: around the home if everything is there, else the nearest place, however turned, with most of it, else
  the nearest at all. `cells` are those around the home; nothing is built on cells of others, or beside them.
  """
  @spec site(pos_integer, non_neg_integer, String.t(), %{non_neg_integer => map}, MapSet.t()) ::
          %{atom => machine} | nil
  def site(frequency, home, player, cells, spoilt) do
    near = for ring <- Chart.rings(frequency, home, @search), cell <- ring, cell not in spoilt, do: cell
    free = fn plan -> plan != nil and free?(plan, frequency, player, cells) end

    near
    |> Stream.flat_map(fn cell -> for turn <- 0..5, ore?(frequency, cell, turn, cells), do: {cell, turn} end)
    |> Stream.map(fn {cell, turn} -> plan(frequency, cell, turn) end)
    |> Stream.filter(free)
    |> Enum.reduce_while(nil, fn plan, best ->
      fits = Enum.count(Map.values(plan), &useful?(&1, frequency, cells))

      cond do
        Enum.all?(first(), &useful?(plan[&1], frequency, cells)) -> {:halt, {fits, plan}}
        best == nil or fits > elem(best, 0) -> {:cont, {fits, plan}}
        true -> {:cont, best}
      end
    end)
    |> case do
      nil -> near |> Stream.map(&plan(frequency, &1, 0)) |> Enum.find(free)
      {_, plan} -> plan
    end
  end

  # Whether the first extractor would find ore: few places have that, and it is soon seen.
  defp ore?(frequency, cell, turn, cells) do
    with {at, _} <- Chart.at(frequency, cell, {-2, 0}, turn),
         do: useful?(%{role: :ore_1, cell: at}, frequency, cells),
         else: (_ -> false)
  end

  defp free?(plan, frequency, player, cells) do
    Enum.all?(first() ++ second(), fn role ->
      around = GamePlatform.Compute.neighbours(frequency, plan[role].cell)

      Enum.all?([plan[role].cell | around], fn cell ->
        cells[cell]["owner"] in [nil, player] and
          length(GamePlatform.Compute.neighbours(frequency, cell)) == 6
      end)
    end)
  end
end
