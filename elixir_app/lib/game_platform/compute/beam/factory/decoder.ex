defmodule GamePlatform.Compute.Beam.Factory.Decoder do
  @moduledoc false
  # A factory from its objects as `Codec` writes them. Total: bytes that are no object's are an error that names the
  # key. What cannot be seen in one object shows in the digest, which is compared afterwards.

  import Bitwise, only: [>>>: 2, &&&: 2]

  alias GamePlatform.Compute.Beam.Factory.{Bag, Machine}
  alias GamePlatform.Compute.Beam.Topology

  @none 0xFF
  @idle 0xFFFF
  @ops %{1 => :move, 2 => :gather, 11 => :craft}
  @id 0xFFFF_FFFF_FFFF

  # An empty factory with these objects in it, ascending by key.
  def factory(factory, objects) do
    Enum.reduce_while(objects, {:ok, factory}, fn {key, bytes}, {:ok, factory} ->
      case object(factory, key >>> 56, key &&& @id, bytes) do
        %{} = factory -> {:cont, {:ok, factory}}
        :error -> {:halt, {:error, "the object of key 0x#{Integer.to_string(key, 16)} cannot be"}}
      end
    end)
  end

  defp object(factory, 1, cell, bytes) do
    with true <- cell < Topology.cells(factory.f),
         around when length(around) == 6 <- Topology.neighbours(factory.f, cell),
         %{} = machine <- machine(factory.rules, around, bytes) do
      put_in(factory.machines[cell], machine)
    else
      _ -> :error
    end
  end

  defp object(factory, 2, cell, <<owner::32-little, grant::32-little>>) when owner > 0 do
    if cell < Topology.cells(factory.f), do: put_in(factory.owners[cell], {owner, grant}), else: :error
  end

  defp object(factory, 3, number, bytes) do
    case player(factory, bytes) do
      %{number: ^number, name: name} = player when number == map_size(factory.players) + 1 ->
        %{
          factory
          | players: Map.put(factory.players, number, player),
            numbers: Map.put(factory.numbers, name, number)
        }

      _ ->
        :error
    end
  end

  defp object(
         factory,
         4,
         id,
         <<tick::64-little, seq::64-little, code, length, name::binary-size(length)>>
       ) do
    case factory.players[id >>> 8] do
      %{} -> put_in(factory.players[id >>> 8].kept[id &&& 0xFF], {tick, seq, code, name})
      nil -> :error
    end
  end

  defp object(factory, 5, 0, <<count::32-little, seq::64-little>>) when count == map_size(factory.players),
    do: %{factory | seq: seq}

  defp object(_, _, _, _), do: :error

  defp machine(rules, around, <<prototype, direction, side, inside::binary>>)
       when prototype < tuple_size(rules.prototypes) and direction < 6 and side < 6 do
    machine = Machine.new(rules, prototype, direction, nil, around)

    with %{} = state <- inside(rules, prototype, machine.does, inside),
         do: machine |> Map.merge(state) |> Map.put(:side, side)
  end

  defp machine(_, _, _), do: :error

  defp inside(rules, _, :carry, <<item, ready::64-little>>), do: slot(rules, item, ready, %{})

  defp inside(rules, _, :split, <<item, ready::64-little, turn>>) when turn < 3,
    do: slot(rules, item, ready, %{turn: turn})

  defp inside(rules, _, :sort, <<item, ready::64-little, turn, filter>>) when turn < 3,
    do: checked(slot(rules, item, ready, %{turn: turn, filter: id(filter)}), item?(rules, filter))

  defp inside(rules, _, :cross, <<lanes::binary-size(30)>>) do
    lanes = for <<item, side, ready::64-little <- lanes>>, do: {item, side, ready}

    if Enum.all?(lanes, fn {item, side, _} -> item?(rules, item) and side < 6 end),
      do: %{lanes: lanes |> Enum.with_index() |> Map.new(fn {lane, n} -> {n, lane(lane)} end)},
      else: :error
  end

  defp inside(rules, _, :store, <<filter, ready::64-little, bag::binary>>) do
    case bag(rules, bag) do
      {items, ""} -> checked(%{filter: id(filter), ready: ready, items: items}, item?(rules, filter))
      _ -> :error
    end
  end

  defp inside(rules, _, :drive, <<fuel::binary-size(4), lit::32-little>>), do: fuel(rules, fuel, %{lit: lit})

  defp inside(
         rules,
         prototype,
         :craft,
         <<recipe, progress::16-little, fuel::binary-size(4), inputs::binary-size(8), out::16-little,
           by::16-little, made::32-little, spilt::32-little, lit::32-little>>
       ) do
    inputs = for <<count::16-little <- inputs>>, do: count
    state = %{recipe: id(recipe), progress: if(progress != @idle, do: progress), out: out, by: by}
    state = Map.merge(state, %{made: made, spilt: spilt, lit: lit})

    case recipe_inputs(rules, prototype, recipe) do
      nil -> :error
      n -> fuel(rules, fuel, Map.put(state, :inputs, Enum.take(inputs, n)))
    end
  end

  defp inside(_, _, _, _), do: :error

  defp recipe_inputs(_, _, @none), do: 0

  defp recipe_inputs(rules, prototype, recipe) when recipe < tuple_size(rules.recipes) do
    case elem(rules.recipes, recipe) do
      %{at: ^prototype, inputs: inputs} -> length(inputs)
      _ -> nil
    end
  end

  defp recipe_inputs(_, _, _), do: nil

  defp slot(rules, item, ready, state),
    do: checked(Map.merge(state, %{item: id(item), ready: ready}), item?(rules, item))

  defp lane({@none, _, _}), do: nil
  defp lane({item, side, ready}), do: %{item: item, out_side: side, ready: ready}

  defp fuel(rules, <<fuel, count, burn::16-little>>, state),
    do: checked(Map.merge(state, %{fuel: id(fuel), fuel_count: count, burn: burn}), item?(rules, fuel))

  defp checked(%{} = state, true), do: state
  defp checked(_, _), do: :error

  defp item?(rules, item), do: item == @none or item < tuple_size(rules.burns)

  defp id(@none), do: nil
  defp id(id), do: id

  # The items and what follows them.
  defp bag(rules, <<n, pairs::binary-size(3 * n), rest::binary>>) do
    items = for <<item, count::16-little <- pairs>>, do: {item, count}
    known? = Enum.all?(items, fn {item, count} -> item < tuple_size(rules.burns) and count > 0 end)

    if known?,
      do: {Enum.reduce(items, %{}, fn {item, n}, bag -> Bag.add(bag, item, n) end), rest},
      else: :error
  end

  defp bag(_, _), do: :error

  defp player(
         factory,
         <<number::32-little, length, name::binary-size(length), position::32-little, home::32-little,
           claims::32-little, results::64-little, rest::binary>>
       ) do
    cells = Topology.cells(factory.f)

    with true <- position < cells and home < cells and String.valid?(name),
         {inventory, rest} <- bag(factory.rules, rest),
         {playing, <<n, rest::binary>>} <- playing(factory, rest),
         {queue, ""} <- queue(factory, n, rest) do
      %{number: number, name: name, position: position, home: home, claims: claims, results: results}
      |> Map.merge(%{inventory: inventory, playing: playing, queue: queue, kept: %{}})
    else
      _ -> :error
    end
  end

  defp player(_, _), do: :error

  defp playing(_, <<0, rest::binary>>), do: {nil, rest}

  defp playing(factory, <<1, rest::binary>>) do
    with {body, <<ends::64-little, n::16-little, rest::binary>>} <- body(factory, rest),
         do: {%{body: body, ends: ends, n: n}, rest}
  end

  defp playing(_, _), do: :error

  defp queue(_, 0, rest), do: {[], rest}

  defp queue(factory, n, bytes) do
    with {body, rest} <- body(factory, bytes),
         {queue, rest} <- queue(factory, n - 1, rest),
         do: {[body | queue], rest}
  end

  defp body(factory, <<op, arg::32-little, count::16-little, n, id::binary-size(n), rest::binary>>)
       when is_map_key(@ops, op) do
    most = if op == 11, do: tuple_size(factory.rules.recipes), else: Topology.cells(factory.f)
    if arg < most, do: {%{op: @ops[op], arg: arg, count: count, id: id}, rest}, else: :error
  end

  defp body(_, _), do: :error
end
