defmodule GamePlatform.Game.Factory do
  @moduledoc """
  The economy of a ruleset with names instead of ids: what there is, what it costs, and how fast it is made.

  Each function takes the terms of a ruleset, as `load/1` gives them, or a world (`GamePlatform.Compute.World`).
  Of the economy alone, `world.economy`, the names of kinds of field are not known, and their numbers stay.
  A ruleset without an economy has no items, no prototypes and no recipes.

      iex> alias GamePlatform.Game.Factory
      iex> {:ok, ruleset} = Factory.load(:default)
      iex> {:ok, mill} = Factory.prototype(ruleset, "mill")
      iex> mill.cost
      %{"brick" => 4, "gear" => 2}
      iex> {:ok, rates} = Factory.rates(ruleset, "smelt_iron")
      iex> {rates.in, rates.out}
      {%{"ore" => {2, 3}}, %{"iron" => {1, 3}, "slag" => {1, 3}}}

  Items, prototypes and recipes are in the order of their ids. `docs/game.md` tells players the same.
  """

  alias GamePlatform.Compute.Ruleset

  # Rates are told for a world that ticks so often.
  @ticks_per_second 20

  @typedoc "Terms of a ruleset, a world, or the economy of one."
  @type source :: map

  @typedoc "A kind of field by name, or by number where names are not known."
  @type kind :: String.t() | non_neg_integer

  @typedoc "`burns`: ticks that a piece burns as fuel, 0 if it does not."
  @type item :: %{name: String.t(), burns: non_neg_integer}

  @typedoc "`hand`: ticks that a hand needs for a unit, nil if it cannot; `free`: it takes nothing from the cell."
  @type harvest :: %{kind: kind, item: String.t(), hand: pos_integer | nil, free: boolean}

  @typedoc """
  A kind of machine. `hold`, `room` and `buffer` are 0 where they do not apply; `wind` is work that costs nothing,
  `drive` tells whether dynamos add to it, and `burns` whether it needs fuel of its own.
  """
  @type prototype :: %{
          name: String.t(),
          does: :carry | :split | :sort | :cross | :craft | :drive | :store,
          hold: non_neg_integer,
          room: non_neg_integer,
          buffer: non_neg_integer,
          wind: non_neg_integer,
          drive: boolean,
          burns: boolean,
          default: String.t() | nil,
          cost: %{String.t() => pos_integer}
        }

  @typedoc """
  A way to make something. `out` and `by` have at most one item; `harvest` is the kind that it takes, and `last` tells
  whether it may take the last unit of a cell; `field` is what it does to a cell: without an amount the cell keeps its
  own; `hand` tells whether players may do it.
  """
  @type recipe :: %{
          name: String.t(),
          at: String.t(),
          time: pos_integer,
          in: %{String.t() => pos_integer},
          out: %{String.t() => pos_integer},
          by: %{String.t() => pos_integer},
          harvest: kind | nil,
          last: boolean,
          field: %{at: :front | :around, from: kind, to: kind, amount: pos_integer | nil} | nil,
          hand: boolean
        }

  @typedoc "A fraction in lowest terms."
  @type fraction :: {pos_integer, pos_integer}

  @doc """
  Reads a ruleset, as the option `ruleset:` of `GamePlatform.Compute.new_world/1` takes it, and gives its terms.

      iex> GamePlatform.Game.Factory.load({:text, "beat = 3"})
      {:error, {:invalid_ruleset, %{file: "(text)", line: 1, column: 8,
        reason: "beat must be a power of two from 1 to 256, found 3"}}}
  """
  @spec load(:default | Path.t() | {:text, binary}) :: {:ok, source} | {:error, {:invalid_ruleset, map}}
  def load(ruleset) do
    with {:ok, %{terms: terms}} <- Ruleset.load(ruleset), do: {:ok, terms}
  end

  @doc """
  All items.

      iex> {:ok, ruleset} = GamePlatform.Game.Factory.load(:default)
      iex> ruleset |> GamePlatform.Game.Factory.items() |> Enum.filter(&(&1.burns > 200))
      [%{name: "cinder", burns: 960}, %{name: "peat", burns: 240}, %{name: "charcoal", burns: 480}]
  """
  @spec items(source) :: [item]
  def items(source) do
    for %{"name" => name, "burns" => burns} <- economy(source)["items"] || [], do: %{name: name, burns: burns}
  end

  @doc """
  How kinds of field are gathered, in the order of the file.

      iex> {:ok, ruleset} = GamePlatform.Game.Factory.load(:default)
      iex> ruleset |> GamePlatform.Game.Factory.harvests() |> hd()
      %{kind: "rock", item: "stone", hand: 15, free: true}
  """
  @spec harvests(source) :: [harvest]
  def harvests(source) do
    names = names(source)

    for harvest <- economy(source)["harvests"] || [] do
      hand = if harvest["hand"] > 0, do: harvest["hand"]
      item = elem(names.items, harvest["item"])
      %{kind: kind(names, harvest["kind"]), item: item, hand: hand, free: harvest["free"]}
    end
  end

  @doc "All prototypes of machines."
  @spec prototypes(source) :: [prototype]
  def prototypes(source) do
    names = names(source)
    Enum.map(economy(source)["prototypes"] || [], &shown_prototype(&1, names))
  end

  @doc """
  The prototype of a name.

      iex> {:ok, ruleset} = GamePlatform.Game.Factory.load(:default)
      iex> {:ok, pump} = GamePlatform.Game.Factory.prototype(ruleset, "pump")
      iex> {pump.does, pump.wind, pump.drive, pump.default}
      {:craft, 1, true, "pump_water"}
      iex> GamePlatform.Game.Factory.prototype(ruleset, "cannon")
      {:error, :unknown_prototype}
  """
  @spec prototype(source, String.t()) :: {:ok, prototype} | {:error, :unknown_prototype}
  def prototype(source, name), do: source |> prototypes() |> named(name, :unknown_prototype)

  @doc "All recipes."
  @spec recipes(source) :: [recipe]
  def recipes(source) do
    names = names(source)
    Enum.map(economy(source)["recipes"] || [], &shown_recipe(&1, names))
  end

  @doc """
  The recipe of a name.

      iex> {:ok, ruleset} = GamePlatform.Game.Factory.load(:default)
      iex> {:ok, plant} = GamePlatform.Game.Factory.recipe(ruleset, "plant_moss")
      iex> {plant.at, plant.in, plant.field}
      {"planter", %{"spore" => 1, "water" => 1}, %{at: :front, from: "rock", to: "moss", amount: 24}}
      iex> GamePlatform.Game.Factory.recipe(ruleset, "make_gold")
      {:error, :unknown_recipe}
  """
  @spec recipe(source, String.t()) :: {:ok, recipe} | {:error, :unknown_recipe}
  def recipe(source, name), do: source |> recipes() |> named(name, :unknown_recipe)

  @doc """
  What a machine at work 1 does in a second of #{@ticks_per_second} ticks, exactly: how often it finishes, and pieces
  of each item that go in and come out, by-products too. A recipe for the field changes as many cells as `crafts` says.
  At work 2 everything is twice as fast.

      iex> {:ok, ruleset} = GamePlatform.Game.Factory.load(:default)
      iex> GamePlatform.Game.Factory.rates(ruleset, "build_motor")
      {:ok, %{crafts: {1, 6}, in: %{"gear" => {1, 6}, "steel" => {1, 6}, "wire" => {1, 3}}, out: %{"motor" => {1, 6}}}}
  """
  @spec rates(source, String.t()) ::
          {:ok, %{crafts: fraction, in: %{String.t() => fraction}, out: %{String.t() => fraction}}}
          | {:error, :unknown_recipe}
  def rates(source, name) do
    with {:ok, recipe} <- recipe(source, name) do
      rate = fn count -> fraction(count * @ticks_per_second, recipe.time) end
      rates = fn counts -> Map.new(counts, fn {item, count} -> {item, rate.(count)} end) end
      made = Map.merge(recipe.out, recipe.by, fn _, out, by -> out + by end)
      {:ok, %{crafts: rate.(1), in: rates.(recipe.in), out: rates.(made)}}
    end
  end

  defp fraction(n, d) do
    divisor = Integer.gcd(n, d)
    {div(n, divisor), div(d, divisor)}
  end

  defp named(list, name, reason) do
    case Enum.find(list, &(&1.name == name)) do
      nil -> {:error, reason}
      found -> {:ok, found}
    end
  end

  defp shown_prototype(terms, names) do
    %{
      name: terms["name"],
      does: does(terms["does"]),
      hold: terms["hold"],
      room: terms["room"],
      buffer: terms["buffer"],
      wind: terms["wind"],
      drive: terms["drive"],
      burns: terms["burns"],
      default: terms["default"] && elem(names.recipes, terms["default"]),
      cost: counts(terms["cost"], names)
    }
  end

  for does <- [:carry, :split, :sort, :cross, :craft, :drive, :store] do
    defp does(unquote(Atom.to_string(does))), do: unquote(does)
  end

  defp shown_recipe(terms, names) do
    %{
      name: terms["name"],
      at: elem(names.prototypes, terms["at"]),
      time: terms["time"],
      in: counts(terms["inputs"], names),
      out: counts(List.wrap(terms["out"] && [terms["out"]]), names),
      by: counts(List.wrap(terms["by"] && [terms["by"]]), names),
      harvest: terms["harvest"] && kind(names, terms["harvest"]),
      last: terms["last"],
      field: terms["field"] && change(terms["field"], names),
      hand: terms["hand"]
    }
  end

  defp change(field, names) do
    at = if field["around"], do: :around, else: :front
    %{at: at, from: kind(names, field["from"]), to: kind(names, field["to"]), amount: field["amount"]}
  end

  defp counts(pairs, names), do: Map.new(pairs, fn [item, count] -> {elem(names.items, item), count} end)

  defp kind(%{kinds: nil}, id), do: id
  defp kind(%{kinds: kinds}, id), do: Enum.at(kinds, id)

  defp names(source) do
    economy = economy(source)
    of = fn key -> (economy[key] || []) |> Enum.map(& &1["name"]) |> List.to_tuple() end
    %{kinds: kinds(source), items: of.("items"), prototypes: of.("prototypes"), recipes: of.("recipes")}
  end

  # A world, a ruleset, or an economy.
  defp economy(%{economy: economy}), do: economy || %{}
  defp economy(%{"kinds" => _} = ruleset), do: ruleset["economy"] || %{}
  defp economy(%{"items" => _} = economy), do: economy

  defp kinds(%{economy: _, kinds: kinds}), do: kinds
  defp kinds(%{"kinds" => kinds}), do: Enum.map(kinds, & &1["name"])
  defp kinds(%{"items" => _}), do: nil
end
