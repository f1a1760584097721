defmodule GamePlatform.Deeds do
  @moduledoc """
  Random actions of some players near each other. Most are such that they may succeed as the world is now; the others
  are anything at all, because what is refused matters as well.
  """

  alias GamePlatform.Compute

  @players ~w(ann ben cleo)
  # How far from home anything is done.
  @steps 3

  @doc "The players who join: one at home, the others so far away that there is land for each."
  def joins(home, frequency) do
    cells = [home, walk(frequency, home, [0, 0, 0]), walk(frequency, home, [2, 2, 2])]
    for {name, cell} <- Enum.zip(@players, cells), do: %{"action" => "join", "by" => name, "cell" => cell}
  end

  @doc "A cell in the middle of a diamond, far from pentagons if the sphere is large enough."
  def home(frequency), do: div(frequency, 2) * frequency + div(frequency, 2)

  @doc """
  Some actions for a tick, with the process's random numbers. They are made from what a world shows now, so for worlds
  that are to be the same they are made once.
  """
  def some(world, home, tick, most \\ 6) do
    {:ok, players} = Compute.players(world)
    seen = see(world, home)

    for _ <- 1..Enum.random(0..most)//1 do
      name = Enum.random(@players)
      player = Enum.find(players, &(&1.name == name))
      actions = (player && coin(0.8) && attempt(seen, player, 3)) || anything(seen)
      for action <- List.wrap(actions), do: Map.put(action, "by", name)
    end
    |> Enum.concat()
    |> Enum.with_index(fn action, n -> Map.put(action, "action_id", "#{tick}.#{n + 1}") end)
  end

  @doc """
  What makes a town of two players in the first tick, machines beside machines: the cells within three steps, some of
  them granted to the neighbour across the border.
  """
  def town(world, home) do
    frequency = world.frequency
    bens = walk(frequency, home, [0, 0, 0])
    ours = Enum.filter([home | around(frequency, home, @steps)], &ordinary?(frequency, &1))
    theirs = for id <- [bens | around(frequency, bens, 1)], id in ours, do: id
    border = for id <- ours -- theirs, Enum.any?(Compute.neighbours(frequency, id), &(&1 in theirs)), do: id
    across = for id <- theirs, Enum.any?(Compute.neighbours(frequency, id), &(&1 in border)), do: id

    (outwards(frequency, ours -- theirs, [home], "ann") ++
       Enum.map(border, &grant("ann", &1, "ben")) ++
       outwards(frequency, theirs, [bens], "ben") ++
       for(id <- across, coin(0.5), do: grant("ben", id, "ann")) ++
       for(id <- border, coin(0.5), do: grant("ann", id, nil)) ++
       Enum.flat_map(ours -- theirs, &build(world.economy, "ann", &1)) ++
       Enum.flat_map(theirs, &build(world.economy, "ben", &1)))
    |> Enum.with_index(fn action, n -> Map.put(action, "action_id", "town #{n}") end)
  end

  # Claims of those cells, each beside one before.
  defp outwards(_, _, [], _), do: []

  defp outwards(frequency, cells, [id | later], by) do
    left = List.delete(cells, id)
    next = for beside <- Compute.neighbours(frequency, id), beside in left, beside not in later, do: beside
    claim = %{"action" => "claim", "by" => by, "cell" => id}

    if id in cells,
      do: [claim | outwards(frequency, left, later ++ next, by)],
      else: outwards(frequency, left, later, by)
  end

  defp grant(by, id, to), do: %{"action" => "grant", "by" => by, "cell" => id, "player" => to}

  # Sorters and dynamos need much around them to matter, so there are some more.
  @built ~w(carry carry split sort sort cross store store store drive drive craft craft craft craft craft craft)

  defp build(economy, by, id) do
    of = Enum.group_by(economy["prototypes"], & &1["does"])

    does = Enum.random(@built)

    prototype = Enum.random(of[does])
    at = %{"by" => by, "cell" => id}

    place =
      Map.merge(at, %{"action" => "place", "prototype" => prototype["name"], "direction" => Enum.random(0..5)})

    recipe = Map.merge(at, %{"action" => "set_recipe", "recipe" => one(names(economy, prototype["name"]))})
    if coin(0.9), do: [place, recipe], else: [place]
  end

  @doc """
  What feeds a town: each of its players puts what is missing into all that is within reach, and goes on. The next tick
  shows them where they were, so they do it in every other.
  """
  def feed(_, _, tick) when rem(tick, 2) == 1, do: []

  def feed(world, home, tick) do
    seen = see(world, home)
    {:ok, players} = Compute.players(world)

    for %{name: name} = player when name != "cleo" <- players do
      near = Enum.filter(beside(seen, player.position), &is_map_key(seen.near, &1))
      go = for cell <- [one(near)], cell != nil, do: %{"action" => "move", "cell" => cell}
      reach = reach(seen, player)

      fed =
        for %{id: id, machine: machine} <- machines(seen, player), id in reach, coin(0.8) do
          for put <- List.wrap(lacking(seen, player, id, machine)), do: Map.put(put, "action", "put")
        end

      for action <- List.flatten(fed) ++ go, do: Map.put(action, "by", name)
    end
    |> Enum.concat()
    |> Enum.with_index(fn action, n -> Map.put(action, "action_id", "#{tick} feeds #{n}") end)
  end

  defp ordinary?(frequency, id) do
    Enum.all?([id | Compute.neighbours(frequency, id)], &(length(Compute.neighbours(frequency, &1)) == 6))
  end

  @doc "The cells at most so many steps from one, without it."
  def around(frequency, cell, steps) do
    Enum.reduce(1..steps//1, MapSet.new([cell]), fn _, cells ->
      for id <- cells, beside <- Compute.neighbours(frequency, id), into: cells, do: beside
    end)
    |> MapSet.delete(cell)
    |> Enum.sort()
  end

  # Building comes first: a world without machines shows little.
  @kinds ~w(claim claim claim place place place place place place place place set_recipe set_recipe put put put put put put put
    take take gather move craft rotate remove release grant)

  defp see(world, home) do
    {:ok, cells} = Compute.cells(world, [home | around(world.frequency, home, @steps)])
    %{world: world, home: home, cells: cells, near: Map.new(cells, &{&1.id, &1})}
  end

  # An action that may succeed, or some that belong together, of one of some kinds; nil if there is none.
  defp attempt(_, _, 0), do: nil

  defp attempt(seen, player, kinds) do
    action = Enum.random(@kinds)

    case sensible(action, seen, player) do
      nil -> attempt(seen, player, kinds - 1)
      fields when is_list(fields) -> Enum.map(fields, &Map.put(&1, "action", action))
      fields -> Map.put(fields, "action", action)
    end
  end

  defp sensible("claim", seen, player) do
    beside = for cell <- own(seen, player), id <- beside(seen, cell.id), do: id
    at(Enum.filter(if(beside == [], do: reach(seen, player), else: beside), &unowned?(seen, &1)))
  end

  defp sensible("place", seen, player) do
    empty = for %{machine: nil, id: id} <- own(seen, player), do: id
    next = for id <- empty, beside <- beside(seen, id), unowned?(seen, beside), do: beside
    # What stands within reach can be filled and emptied.
    sites = empty ++ next
    near = Enum.filter(sites, &(&1 in reach(seen, player)))
    sites = if near != [] and coin(0.7), do: near, else: sites
    with %{} = cell <- at(sites), do: Map.merge(cell, fields("place", seen.world.economy))
  end

  defp sensible("set_recipe", seen, player) do
    with %{id: id, machine: machine} <- one(machines(seen, player)) do
      %{"cell" => id, "recipe" => one(names(seen.world.economy, machine.prototype))}
    end
  end

  # All that a machine lacks, or something that it takes.
  defp sensible("put", seen, player) do
    reach = reach(seen, player)

    with %{id: id, machine: machine} <- one(Enum.filter(machines(seen, player), &(&1.id in reach))) do
      lacking(seen, player, id, machine)
    end
  end

  defp sensible("take", seen, player) do
    reach = reach(seen, player)

    held =
      for %{id: id, machine: machine} <- machines(seen, player), id in reach, {item, n} <- inside(machine) do
        %{"cell" => id, "item" => item, "count" => Enum.random(1..n)}
      end

    one(held)
  end

  defp sensible("gather", seen, player), do: at(reach(seen, player))
  defp sensible("move", seen, player), do: at(beside(seen, player.position))
  defp sensible("craft", seen, _), do: fields("craft", seen.world.economy)

  defp sensible(action, seen, player) when action in ["rotate", "remove"] do
    with %{id: id} <- one(machines(seen, player)),
         do: Map.put(fields(action, seen.world.economy), "cell", id)
  end

  defp sensible(action, seen, player) do
    with %{id: id} <- one(own(seen, player)),
         do: Map.put(fields(action, seen.world.economy), "cell", id)
  end

  defp own(seen, %{name: name}), do: for(%{owner: ^name} = cell <- seen.cells, do: cell)

  # Those of the player, and those that others let them use.
  defp machines(seen, %{name: name}),
    do: for(%{machine: %{}} = cell <- seen.cells, name in [cell.owner, cell.grant], do: cell)

  defp lacking(seen, player, id, machine) do
    wanted =
      for {item, count} <- player.inventory, need = need(seen.world.economy, machine, item), need > 0 do
        {lacks?(machine, item),
         %{"cell" => id, "item" => item, "count" => min(count, Enum.random([need, 2 * need, 5]))}}
      end

    case for {true, put} <- wanted, do: put do
      [] -> one(Enum.map(wanted, &elem(&1, 1)))
      lacking -> lacking
    end
  end

  # What a machine can be set to.
  defp names(economy, name) do
    index = Enum.find_index(economy["prototypes"], &(&1["name"] == name))
    recipes = for %{"at" => ^index, "name" => recipe} <- economy["recipes"], do: recipe
    sets? = Enum.at(economy["prototypes"], index)["does"] in ["sort", "store"]
    if sets?, do: [any(economy["items"]), any(economy["items"]), nil], else: recipes
  end

  # How many of an item are of use; 0 if none.
  defp need(economy, machine, item) do
    id = Enum.find_index(economy["items"], &(&1["name"] == item))
    recipe = Enum.find(economy["recipes"], &(&1["name"] == machine.recipe))
    %{"does" => does} = Enum.find(economy["prototypes"], &(&1["name"] == machine.prototype))
    input = recipe && Enum.find(recipe["inputs"], &(hd(&1) == id))

    cond do
      input -> List.last(input)
      does == "store" -> 10
      machine.fuel != nil and Enum.at(economy["items"], id)["burns"] > 0 -> 1
      true -> 0
    end
  end

  defp lacks?(%{fuel: %{item: item}}, item), do: false
  defp lacks?(%{contents: contents}, item), do: contents[item] == nil

  defp inside(%{contents: contents, fuel: %{item: item, count: count}}) when item != nil and count > 0,
    do: [{item, count} | Map.to_list(contents)]

  defp inside(%{contents: contents}), do: Map.to_list(contents)

  defp reach(seen, %{position: position}), do: [position | beside(seen, position)]
  defp beside(seen, id), do: Compute.neighbours(seen.world.frequency, id)
  defp unowned?(seen, id), do: match?(%{owner: nil}, seen.near[id])

  defp at([]), do: nil
  defp at(ids), do: %{"cell" => Enum.random(ids)}

  defp one([]), do: nil
  defp one(list), do: Enum.random(list)

  # Whatever it is, near home.
  defp anything(seen) do
    action = Enum.random(@kinds)
    fields = fields(action, seen.world.economy)
    cell = Enum.random([seen.home | Enum.map(seen.cells, & &1.id)])
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
    recipes = if by_hand == [] or coin(0.1), do: economy["recipes"], else: by_hand
    %{"recipe" => any(recipes), "count" => Enum.random(1..3)}
  end

  defp fields("grant", _), do: %{"player" => Enum.random([nil, "eve" | @players])}
  defp fields(_, _), do: %{}

  defp any(list), do: Enum.random(list)["name"]

  defp walk(frequency, cell, directions),
    do: Enum.reduce(directions, cell, &Enum.at(Compute.neighbours(frequency, &2), &1))

  defp coin(p), do: :rand.uniform() < p
end
