defmodule GamePlatform.Compute.Economy do
  @moduledoc false
  # The economy of a ruleset, from its terms: what is asked for by name or by number at every action and cell.

  defstruct [:fire, :items, :prototypes, :recipes, :hands, :burns] ++
              [:item_ids, :prototype_ids, :recipe_ids, :start]

  @type t :: %__MODULE__{}

  @doc "Nil for a ruleset without one."
  @spec index(map | nil) :: t | nil
  def index(nil), do: nil

  def index(terms) do
    %__MODULE__{
      fire: terms["fire"],
      items: names(terms["items"]),
      burns: terms["items"] |> Enum.map(& &1["burns"]) |> List.to_tuple(),
      prototypes: List.to_tuple(terms["prototypes"]),
      recipes: List.to_tuple(terms["recipes"]),
      # How a kind is gathered by hand.
      hands:
        for(%{"hand" => hand} = harvest when hand > 0 <- terms["harvests"], into: %{}, do: by_kind(harvest)),
      item_ids: ids(terms["items"]),
      prototype_ids: ids(terms["prototypes"]),
      recipe_ids: ids(terms["recipes"]),
      start: terms["start"]
    }
  end

  defp by_kind(harvest), do: {harvest["kind"], harvest}
  defp names(list), do: list |> Enum.map(& &1["name"]) |> List.to_tuple()
  defp ids(list), do: list |> Enum.with_index() |> Map.new(fn {entry, id} -> {entry["name"], id} end)

  @spec item(t, non_neg_integer) :: String.t()
  def item(economy, id), do: elem(economy.items, id)

  @spec item?(t, non_neg_integer) :: boolean
  def item?(economy, id), do: id < tuple_size(economy.items)

  @spec fuel?(t, non_neg_integer) :: boolean
  def fuel?(economy, id), do: item?(economy, id) and elem(economy.burns, id) > 0

  @doc "The entry of a prototype or recipe, or nil."
  @spec prototype(t, non_neg_integer) :: map | nil
  def prototype(economy, id), do: at(economy.prototypes, id)

  @spec recipe(t, non_neg_integer) :: map | nil
  def recipe(economy, id), do: at(economy.recipes, id)

  defp at(tuple, id), do: if(id < tuple_size(tuple), do: elem(tuple, id))
end
