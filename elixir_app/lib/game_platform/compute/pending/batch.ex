defmodule GamePlatform.Compute.Pending.Batch do
  @moduledoc false
  # The actions for one tick, in the order in which they came, and what has to be known of them until they are executed.
  #
  #   open ──> sealed ──> marked ──> given
  #     └───────────────────────────────┘     in a world without a journal
  #
  # An open batch takes further actions. A sealed one waits until the journal says that its mark is durable; only then
  # is it given to the backend, just before its tick is executed.

  # `entries` are {seq, action, tick}, the last one first: the number in the journal, and the tick that was answered.
  # `ids` leads to {tick, seq}, `bodies` to the actions of the body by player, the last one first.
  defstruct [:tick, state: :open, count: 0, entries: [], ids: %{}, joins: MapSet.new(), bodies: %{}]

  def new(tick), do: %__MODULE__{tick: tick}

  @doc "Takes an action in, which is to end in `tick`."
  def add(batch, seq, action, tick) do
    batch = %{batch | count: batch.count + 1, entries: [{seq, action, tick} | batch.entries]}
    note(batch, seq, action, tick)
  end

  defp note(batch, _, %{type: :join, by: by}, _), do: %{batch | joins: MapSet.put(batch.joins, by)}

  defp note(batch, seq, %{by: by, id: id} = action, tick) do
    batch = %{batch | ids: Map.put(batch.ids, {by, id}, {tick, seq})}

    if action.type == :body,
      do: %{batch | bodies: Map.update(batch.bodies, by, [action], &[action | &1])},
      else: batch
  end

  @doc "The actions up to the number `seq`, and those after it in an open batch for `later`."
  def split(batch, seq, later) do
    case Enum.split_while(batch.entries, fn {n, _, _} -> n > seq end) do
      {[], _} -> {batch, new(later)}
      {after_it, until_it} -> {fill(batch.tick, until_it), fill(later, after_it)}
    end
  end

  @doc "The actions of both, for `tick`."
  def join(first, second, tick), do: fill(tick, second.entries ++ first.entries)

  defp fill(tick, entries) do
    entries
    |> Enum.reverse()
    |> Enum.reduce(new(tick), fn {seq, action, told}, batch -> add(batch, seq, action, told) end)
  end

  @doc "The number of the `n`th action, or of the last one if there are fewer."
  def nth(%{count: count, entries: entries}, n) do
    case Enum.drop(entries, max(count - n, 0)) do
      [{seq, _, _} | _] -> seq
      [] -> 0
    end
  end

  @doc "The number of the last action."
  def last(%{entries: [{seq, _, _} | _]}), do: seq
end
