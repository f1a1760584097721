defmodule GamePlatform.Compute.Pending.Results do
  @moduledoc false
  # The ids of each player's last results, as the state of the world holds them: an action is known by them. Each
  # outcome is read once. It is a table because it may hold 128 ids for every player.

  @kept 128

  def new, do: :ets.new(__MODULE__, [:private])

  @doc "Reads the outcomes up to the published tick `now`."
  def refresh(table, module, backend, now) do
    since = value(table, :tick) || 0

    with true <- now > since, {:ok, outcomes} <- module.outcomes(backend, since) do
      # Those after `now` will be read with their own ticks.
      for {number, tick, _seq, _code, id} <- outcomes, tick <= now, do: put(table, number, tick, id)
      :ets.insert(table, {:tick, now})
      :ok
    else
      false -> :ok
      error -> error
    end
  end

  # In place of the one that is out of date by now.
  defp put(table, number, tick, id) do
    n = value(table, {number, :n}) || 0
    slot = {number, rem(n, @kept)}
    with old when old != nil <- value(table, slot), do: :ets.delete(table, {number, old})
    :ets.insert(table, [{{number, :n}, n + 1}, {slot, id}, {{number, id}, tick}])
  end

  @doc "The tick of an action's outcome, or nil."
  def tick(table, number, id), do: value(table, {number, id})

  def forget(table), do: :ets.delete_all_objects(table)

  defp value(table, key) do
    case :ets.lookup(table, key) do
      [{_, value}] -> value
      [] -> nil
    end
  end
end
