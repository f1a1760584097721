defmodule GamePlatform.Compute.Reads do
  @moduledoc false
  # What is read of a world, as callers get it. `source` is the reader of the world, for any process, or the backend's
  # state, for the world's own process.

  alias GamePlatform.Compute.{Economy, Objects, Refusal, World}
  alias GamePlatform.Compute.Beam.Topology

  @type answer(value) :: {:ok, value} | {:error, term}

  @spec cells(World.t(), term, [non_neg_integer]) :: answer([map])
  def cells(%World{index: nil} = world, source, ids) do
    with {:ok, _, cells} <- world.module.cells(source, ids) do
      {:ok,
       Enum.zip_with(ids, cells, fn id, {kind, amount} -> cell(world, id, kind, amount, nil, nil, nil) end)}
    end
  end

  def cells(world, source, ids) do
    with {:ok, tick, sites} <- world.module.sites(source, ids),
         {:ok, around} <- around(world, source, ids, sites),
         {:ok, names} <-
           names(world, source, for({_, _, _, owner, grant} <- sites, n <- [owner, grant], do: n)),
         {:ok, machines} <- machines(world, tick, ids, sites, around) do
      {:ok,
       Enum.zip_with([ids, sites, machines], fn [id, {kind, amount, _, owner, grant}, machine] ->
         cell(world, id, kind, amount, machine, names[owner], names[grant])
       end)}
    end
  end

  defp cell(world, id, kind, amount, machine, owner, grant) do
    name = Enum.at(world.kinds, kind)
    %{id: id, kind: kind, name: name, amount: amount, machine: machine, owner: owner, grant: grant}
  end

  # The sites beside the machines whose state depends on them, by the machine's cell.
  defp around(world, source, ids, sites) do
    asked =
      for {id, site} <- Enum.zip(ids, sites), Objects.looks_around?(world.index, site), uniq: true, do: id

    beside = Map.new(asked, &{&1, Topology.neighbours(world.frequency, &1)})
    wanted = beside |> Map.values() |> Enum.concat() |> Enum.uniq()

    with {:ok, sites} <- sites(world, source, wanted) do
      {:ok, Map.new(beside, fn {id, neighbours} -> {id, Enum.map(neighbours, &sites[&1])} end)}
    end
  end

  defp sites(_, _, []), do: {:ok, %{}}

  defp sites(world, source, ids) do
    with {:ok, _, sites} <- world.module.sites(source, ids), do: {:ok, Map.new(Enum.zip(ids, sites))}
  end

  defp machines(world, tick, ids, sites, around) do
    ids
    |> Enum.zip(sites)
    |> collect(fn {id, site} -> Objects.machine(world.index, tick, site, around[id]) end)
  end

  @doc "Kinds and amounts of cells, and their tick."
  @spec field(World.t(), term, [non_neg_integer]) :: answer({non_neg_integer, [{0..7, 0..0xFFFF}]})
  def field(world, source, ids) do
    with {:ok, tick, cells} <- world.module.cells(source, ids), do: {:ok, {tick, cells}}
  end

  @doc "Players by number."
  @spec players(World.t(), term) :: answer([map])
  def players(%World{index: nil}, _), do: {:ok, []}

  def players(world, source) do
    with {:ok, _, players} <- all(world, source) do
      players |> Tuple.to_list() |> collect(&public(world, Objects.player(world.index, &1)))
    end
  end

  @spec player(World.t(), term, String.t()) :: answer(map)
  def player(%World{index: nil}, _, _), do: {:error, :unknown_player}

  def player(world, source, name) do
    with {:ok, _, players} <- all(world, source) do
      case number(world, name) do
        # A name that came after these players were read is as good as none.
        n when n != nil and n <= tuple_size(players) -> public(world, numbered(world.index, players, n, name))
        _ -> {:error, :unknown_player}
      end
    end
  end

  defp public(world, {:ok, player}), do: {:ok, Objects.public(world.index, player)}
  defp public(_, error), do: error

  @doc "The player of that number and name, as `Objects.player/2` gives it, among all of `all/2`."
  @spec numbered(Economy.t(), tuple, pos_integer, String.t()) :: answer(map)
  def numbered(economy, players, number, name) do
    case Objects.player(economy, elem(players, number - 1)) do
      {:ok, %{number: ^number, name: ^name} = player} -> {:ok, player}
      _ -> {:error, :corrupt_peer}
    end
  end

  @doc "The bytes of all players by number. Their names are in the table `world.names` from then on."
  @spec all(World.t(), term) :: {:ok, tick :: non_neg_integer, tuple} | {:error, term}
  def all(world, source) do
    with {:ok, tick, players} <- world.module.players(source),
         players = List.to_tuple(players),
         :ok <- remember(world.names, players) do
      {:ok, tick, players}
    end
  end

  # Names and numbers stay as they are for ever, so only new ones are looked at.
  defp remember(table, players) do
    case lookup(table, :count) || 0 do
      known when known < tuple_size(players) ->
        with {:ok, pairs} <- collect(Enum.to_list(known..(tuple_size(players) - 1)), &named(players, &1)) do
          insert(table, for({number, name} <- pairs, row <- [{number, name}, {name, number}], do: row))
          insert(table, {:count, tuple_size(players)})
        end

      _ ->
        :ok
    end
  end

  defp named(players, index) do
    with {:ok, number, name} <- Objects.name(elem(players, index)),
         do: if(number == index + 1, do: {:ok, {number, name}}, else: {:error, :corrupt_peer})
  end

  @doc "The number of a player that `all/2` has seen."
  @spec number(World.t(), String.t()) :: pos_integer | nil
  def number(world, name), do: lookup(world.names, name)

  @doc "Forgets the names, because the memory that they came from was not sound."
  @spec forget(World.t()) :: :ok
  def forget(%World{names: nil}), do: :ok

  def forget(%World{names: names}) do
    :ets.delete_all_objects(names)
    :ok
  end

  defp names(world, source, numbers) do
    wanted = numbers |> Enum.uniq() |> Enum.reject(&(&1 == 0))

    with :ok <- known(world, source, wanted) do
      names = Map.new(wanted, &{&1, lookup(world.names, &1)})
      # Every owner has joined, or the memory is not sound.
      if Enum.all?(Map.values(names)), do: {:ok, names}, else: {:error, :corrupt_peer}
    end
  end

  defp known(world, source, numbers) do
    if Enum.all?(numbers, &lookup(world.names, &1)) do
      :ok
    else
      with {:ok, _, _} <- all(world, source), do: :ok
    end
  end

  @doc "Outcomes that are first seen after the tick `since`, in order."
  @spec outcomes(World.t(), term, non_neg_integer) :: answer([map])
  def outcomes(%World{index: nil}, _, _), do: {:ok, []}

  def outcomes(world, source, since) do
    with {:ok, outcomes} <- world.module.outcomes(source, since),
         {:ok, names} <- names(world, source, for({number, _, _, _, _} <- outcomes, do: number)) do
      collect(outcomes, fn {number, tick, _seq, code, id} ->
        with {:ok, code} <- Refusal.code(code), true <- is_binary(id) and String.valid?(id) do
          outcome = if code, do: :refused, else: :applied
          {:ok, %{player: names[number], action_id: id, outcome: outcome, code: code, tick: tick}}
        else
          _ -> {:error, :corrupt_peer}
        end
      end)
    end
  end

  defp collect(list, fun) do
    list
    |> Enum.reduce_while([], fn element, done ->
      case fun.(element) do
        {:ok, value} -> {:cont, [value | done]}
        error -> {:halt, error}
      end
    end)
    |> case do
      done when is_list(done) -> {:ok, Enum.reverse(done)}
      error -> error
    end
  end

  # The table goes with the world's process.
  defp lookup(table, key) do
    case :ets.lookup(table, key) do
      [{_, value}] -> value
      [] -> nil
    end
  rescue
    ArgumentError -> nil
  end

  defp insert(table, rows) do
    :ets.insert(table, rows)
    :ok
  rescue
    ArgumentError -> {:error, :closed}
  end
end
