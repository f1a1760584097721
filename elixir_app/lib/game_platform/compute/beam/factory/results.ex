defmodule GamePlatform.Compute.Beam.Factory.Results do
  @moduledoc false
  # What became of actions. A player's last 128 results stay, so that an action given twice acts once.

  @kept 128

  # A code is an answer's place in this list.
  @answers [
    :applied,
    :not_used,
    :pentagon,
    :reserved,
    :not_yours,
    :already_yours,
    :touches_foreign,
    :not_adjacent,
    :too_close,
    :too_many_estates,
    :occupied,
    :no_machine,
    :missing_items,
    :inventory_full,
    :queue_full,
    :too_far,
    :empty,
    :not_harvestable,
    :not_enough,
    :not_accepted,
    :full,
    :wrong_recipe,
    :not_by_hand,
    :unknown_player
  ]
  @codes @answers |> Enum.with_index() |> Map.new()

  # A result is first seen after the tick.
  def add(w, number, id, answer) do
    player = w.players[number]
    result = {w.tick + 1, w.seq, Map.fetch!(@codes, answer), id}
    kept = Map.put(player.kept, rem(player.results, @kept), result)
    player = %{player | kept: kept, results: player.results + 1}
    %{w | players: Map.put(w.players, number, player), seq: w.seq + 1}
  end

  # In order of slots.
  def kept(player), do: Enum.map(Enum.sort(player.kept), &elem(&1, 1))

  # Whether the player has given an action of this id, as far as is remembered.
  def known?(player, id) do
    unfinished = if player.playing, do: [player.playing.body | player.queue], else: player.queue
    Enum.any?(unfinished, &(&1.id == id)) or Enum.any?(player.kept, fn {_, {_, _, _, kept}} -> kept == id end)
  end
end
