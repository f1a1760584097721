defmodule GamePlatform.Compute.Beam.Factory.Codec do
  @moduledoc false
  # The canonical bytes, all little-endian: what digests are taken of and what is told outside. `Decoder` reads them.

  import Bitwise, only: [<<<: 2]

  alias GamePlatform.Compute.Beam.Factory.{Players, Results}

  @none 0xFF
  @idle 0xFFFF
  @ops %{move: 1, gather: 2, craft: 11}

  # The machines and owners of a chunk's cells, behind the cells themselves.
  def chunk(factory, ids) do
    machines =
      for id <- ids, m = factory.machines[id] do
        bytes = machine(m)
        <<?M, id::32-little, byte_size(bytes)::16-little, bytes::binary>>
      end

    owners =
      for id <- ids,
          {owner, grant} <- [factory.owners[id]],
          do: <<?O, id::32-little, owner::32-little, grant::32-little>>

    [machines, owners]
  end

  # All players, behind the digests of the chunks. Nothing if there is none.
  def people(%{players: players}) when players == %{}, do: []

  def people(factory) do
    players =
      for player <- Players.in_order(factory) do
        bytes = player(player)
        [<<?P, byte_size(bytes)::32-little>>, bytes | Enum.map(Results.kept(player), &result/1)]
      end

    [players, <<?W, map_size(factory.players)::32-little, factory.seq::64-little>>]
  end

  # All objects with their keys, ascending: what a snapshot has of them.
  def objects(factory) do
    machines = for {cell, m} <- factory.machines, do: {(1 <<< 56) + cell, machine(m)}

    owners =
      for {cell, {owner, grant}} <- factory.owners,
          do: {(2 <<< 56) + cell, <<owner::32-little, grant::32-little>>}

    players = for {number, player} <- factory.players, do: {(3 <<< 56) + number, player(player)}

    outcomes =
      for {number, player} <- factory.players,
          {slot, result} <- player.kept,
          do: {(4 <<< 56) + (number <<< 8) + slot, result(result)}

    Enum.sort(machines ++ owners ++ players ++ outcomes) ++ counters(factory)
  end

  defp counters(%{players: players}) when players == %{}, do: []

  defp counters(factory),
    do: [{5 <<< 56, <<map_size(factory.players)::32-little, factory.seq::64-little>>}]

  def machine(m), do: <<m.prototype, m.direction, m.side, inside(m)::binary>>

  defp inside(%{does: :carry} = m), do: slot(m)
  defp inside(%{does: :split} = m), do: <<slot(m)::binary, m.turn>>
  defp inside(%{does: :sort} = m), do: <<slot(m)::binary, m.turn, id(m.filter)>>
  defp inside(%{does: :cross} = m), do: for(lane <- 0..2, into: <<>>, do: lane(m.lanes[lane]))
  defp inside(%{does: :store} = m), do: <<id(m.filter), m.ready::64-little, bag(m.items)::binary>>
  defp inside(%{does: :drive} = m), do: <<fuel(m)::binary, m.lit::32-little>>

  defp inside(%{does: :craft} = m) do
    inputs = for count <- Enum.take(m.inputs ++ [0, 0, 0, 0], 4), into: <<>>, do: <<count::16-little>>

    <<id(m.recipe), progress(m)::16-little, fuel(m)::binary, inputs::binary, m.out::16-little,
      m.by::16-little, m.made::32-little, m.spilt::32-little, m.lit::32-little>>
  end

  defp progress(%{progress: nil}), do: @idle
  defp progress(%{progress: progress}), do: progress

  defp slot(m), do: <<id(m.item), m.ready::64-little>>
  defp lane(nil), do: <<@none, 0, 0::64-little>>
  defp lane(slot), do: <<slot.item, slot.out_side, slot.ready::64-little>>
  defp fuel(m), do: <<id(m.fuel), m.fuel_count, m.burn::16-little>>

  defp bag(items) do
    pairs = for {item, count} <- Enum.sort(items), into: <<>>, do: <<item, count::16-little>>
    <<map_size(items), pairs::binary>>
  end

  defp id(nil), do: @none
  defp id(id), do: id

  def player(player) do
    playing =
      case player.playing do
        nil -> <<0>>
        %{body: body, ends: ends, n: n} -> <<1, body(body)::binary, ends::64-little, n::16-little>>
      end

    queue = for body <- player.queue, into: <<>>, do: body(body)

    <<player.number::32-little, text(player.name)::binary, player.position::32-little, player.home::32-little,
      player.claims::32-little, player.results::64-little, bag(player.inventory)::binary, playing::binary,
      length(player.queue), queue::binary>>
  end

  defp body(%{op: op, arg: arg, count: count, id: id}),
    do: <<@ops[op], arg::32-little, count::16-little, text(id)::binary>>

  defp result({tick, seq, code, id}), do: <<tick::64-little, seq::64-little, code, text(id)::binary>>

  defp text(text), do: <<byte_size(text), text::binary>>
end
