defmodule GamePlatform.FactorySite do
  @moduledoc """
  A piece of land in the middle of a diamond on which the field stands still, with the default ruleset's
  economy and the `:beam` backend's factories, driven tick by tick without the field rule. Cells are
  axial, `{q, r}` from the middle: direction 0 is q + 1, direction 5 is r + 1.
  """

  alias GamePlatform.Compute.Beam.{Factory, Topology}
  alias GamePlatform.Compute.Beam.Factory.{Codec, Machine, Players}
  alias GamePlatform.Compute.Ruleset

  defstruct [:f, :terms, :cells, :factory, tick: 0]

  @codes ~w(applied not_used pentagon reserved not_yours already_yours touches_foreign not_adjacent
    too_close too_many_estates occupied no_machine missing_items inventory_full queue_full too_far empty
    not_harvestable not_enough not_accepted full wrong_recipe not_by_hand unknown_player)a

  @doc "All rock without ash. `start` and `claim` change the economy; `ruleset` is another's source."
  def new(options \\ []) do
    f = Keyword.get(options, :f, 16)
    {:ok, %{terms: terms}} = Ruleset.load(Keyword.get(options, :ruleset, :default))
    terms = update_in(terms["economy"]["start"], &Map.merge(&1, Map.new(options[:start] || %{})))
    terms = update_in(terms["economy"]["claim"], &Map.merge(&1, Map.new(options[:claim] || %{})))
    cells = Map.new(0..(Topology.cells(f) - 1), &{&1, {0, 0}})
    %__MODULE__{f: f, terms: terms, cells: cells, factory: Factory.new(terms, f)}
  end

  @doc "The id of an axial cell. Ids are themselves."
  def cell(_, id) when is_integer(id), do: id
  def cell(%{f: f}, {q, r}), do: Topology.id(f, {0, div(f, 2) + r, div(f, 2) + q})

  def kind(site, name), do: index(site.terms["kinds"], name)
  def item(site, name), do: index(site.terms["economy"]["items"], name)
  def recipe(site, name), do: index(site.terms["economy"]["recipes"], name)
  def prototype(site, name), do: index(site.terms["economy"]["prototypes"], name)

  defp index(_, nil), do: nil
  defp index(list, name), do: Enum.find_index(list, &(&1["name"] == name)) || raise("no #{name}")

  @doc "Sets a cell's field."
  def field(site, at, kind, amount \\ 400),
    do: put_in(site.cells[cell(site, at)], {kind(site, kind), amount})

  def field_at(site, at) do
    {kind, amount} = site.cells[cell(site, at)]
    {Enum.at(site.terms["kinds"], kind)["name"], amount}
  end

  @doc "Gives a cell an owner by number."
  def own(site, at, owner, grant \\ 0), do: put_in(site.factory.owners[cell(site, at)], {owner, grant})

  @doc "A machine as if placed before tick 0; `changes` are to its state (`owner:`, `recipe:`, `filter:` too)."
  def machine(site, at, prototype, direction, changes \\ []) do
    id = cell(site, at)
    {owner, changes} = Keyword.pop(changes, :owner, 1)
    {recipe, changes} = Keyword.pop(changes, :recipe)
    rules = site.factory.rules
    prototype = prototype(site, prototype)
    recipe = recipe(site, recipe) || elem(rules.prototypes, prototype).default
    machine = Machine.new(rules, prototype, direction, recipe, Topology.neighbours(site.f, id))

    site = put_in(site.factory.machines[id], machine)
    if(owner, do: own(site, at, owner), else: site) |> change(at, changes)
  end

  @doc "Changes a machine's state; `filter:` is an item's name."
  def change(site, at, changes) do
    changes =
      Map.new(changes, fn {key, value} -> {key, if(key == :filter, do: item(site, value), else: value)} end)

    update_in(site.factory.machines[cell(site, at)], &Map.merge(&1, changes))
  end

  @doc "A depot that gives one item and never empties."
  def source(site, at, direction, item),
    do: machine(site, at, "depot", direction, filter: item, items: %{item(site, item) => 1_000_000})

  @doc "Puts pieces into a machine as hands do."
  def fill(site, at, item, count) do
    update_in(site.factory.machines[cell(site, at)], fn machine ->
      Enum.reduce(1..count, machine, fn _, m ->
        Machine.put(site.factory.rules, m, item(site, item), :hand)
      end)
    end)
  end

  def machine_at(site, at), do: site.factory.machines[cell(site, at)]

  @doc "How many of an item a machine holds."
  def held(site, at, item), do: Machine.available(site.factory.rules, machine_at(site, at), item(site, item))

  @doc "Runs ticks; with `watch`, `watch.(site)` after each."
  def run(site, ticks, watch \\ fn _ -> :ok end) do
    Enum.reduce(1..ticks//1, site, fn _, site ->
      {factory, cells, _} = Factory.step(site.factory, site.tick, site.cells)
      site = %{site | factory: factory, cells: cells, tick: site.tick + 1}
      watch.(site)
      site
    end)
  end

  @doc """
  Runs ticks and gives `{site, arrivals}`: the ticks in which a machine has come to hold more of an item.
  """
  def arrivals(site, ticks, at, item) do
    {site, _, arrivals} =
      Enum.reduce(1..ticks//1, {site, held(site, at, item), []}, fn _, {site, before, arrivals} ->
        site = run(site, 1)
        now = held(site, at, item)
        {site, now, if(now > before, do: [site.tick - 1 | arrivals], else: arrivals)}
      end)

    {site, Enum.reverse(arrivals)}
  end

  @doc "A tick with actions, e.g. `[ann: {:claim, {0, 0}}]`; ids are made up. Gives `{site, answers}`."
  def act(site, actions) do
    since = site.tick

    site =
      give(site, Enum.map(actions, fn {by, action} -> {by, "a#{System.unique_integer()}", action} end))
      |> run(1)

    {site, for({_, _, code, _} <- outcomes(site, since), do: code)}
  end

  @doc "Hands a batch of `{by, id, action}` over for the next tick."
  def give(site, actions) do
    {:ok, factory} = Factory.act(site.factory, site.tick, batch(site, actions))
    %{site | factory: factory}
  end

  @doc "`{player, tick, answer, id}` of the results seen after `since`."
  def outcomes(site, since) do
    for {number, tick, _, code, id} <- Factory.outcomes(site.factory, since),
        do: {number, tick, Enum.at(@codes, code), id}
  end

  @doc "A player who has joined, with that inventory only."
  def join(site, name, at, inventory \\ %{}) do
    site = site |> give([{name, "join", {:join, at}}]) |> run(1)
    stock(site, name, inventory)
  end

  def stock(site, name, inventory) do
    put_in(
      site.factory.players[number(site, name)].inventory,
      Map.new(inventory, fn {i, n} -> {item(site, i), n} end)
    )
  end

  def player(site, name), do: site.factory.players[number(site, name)]

  def inventory(site, name) do
    Map.new(player(site, name).inventory, fn {i, n} ->
      {Enum.at(site.terms["economy"]["items"], i)["name"], n}
    end)
  end

  defp number(site, name), do: site.factory.numbers[to_string(name)]

  @doc "A player's free room."
  def free(site, name), do: Players.free(site.factory, number(site, name))

  def bytes(site, at), do: Codec.machine(machine_at(site, at))

  @doc "The bytes of `{by, id, action}`s."
  def batch(site, actions) do
    bodies =
      for {by, id, action} <- actions, into: <<>> do
        body = <<text(by)::binary, text(id)::binary, fields(site, action)::binary>>
        <<byte_size(body)::16-little, body::binary>>
      end

    <<length(actions)::16-little, bodies::binary>>
  end

  defp text(text), do: <<byte_size(to_string(text)), to_string(text)::binary>>

  defp fields(site, action) do
    case action do
      {:join, at} ->
        <<0, at(site, at)::binary>>

      {:move, at} ->
        <<1, at(site, at)::binary>>

      {:gather, at} ->
        <<2, at(site, at)::binary>>

      {:claim, at} ->
        <<3, at(site, at)::binary>>

      {:release, at} ->
        <<4, at(site, at)::binary>>

      {:place, at, prototype, d} ->
        <<5, at(site, at)::binary, prototype(site, prototype), d>>

      {:remove, at} ->
        <<6, at(site, at)::binary>>

      {:rotate, at, d} ->
        <<7, at(site, at)::binary, d>>

      {:set_recipe, at, name} ->
        <<8, at(site, at)::binary, named(site, "recipes", name), named(site, "items", name)>>

      {:take, at, item, count} ->
        <<9, at(site, at)::binary, item(site, item), count::16-little>>

      {:put, at, item, count} ->
        <<10, at(site, at)::binary, item(site, item), count::16-little>>

      {:craft, recipe, count} ->
        <<11, recipe(site, recipe), count::16-little>>

      {:grant, at, nil} ->
        <<12, at(site, at)::binary, 0>>

      {:grant, at, name} ->
        <<12, at(site, at)::binary, text(name)::binary>>
    end
  end

  defp at(site, at), do: <<cell(site, at)::32-little>>

  defp named(site, list, name),
    do: Enum.find_index(site.terms["economy"][list], &(&1["name"] == name)) || 0xFF
end
