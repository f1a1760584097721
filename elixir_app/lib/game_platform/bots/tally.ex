defmodule GamePlatform.Bots.Tally do
  @moduledoc false
  # What all bots of a run have done, counted in a table that they share.

  @type t :: :ets.table()

  @spec new() :: t
  def new, do: :ets.new(__MODULE__, [:set, :public, write_concurrency: true])

  @spec add(t, term) :: integer
  def add(tally, what), do: :ets.update_counter(tally, what, 1, {what, 0})

  @doc "What a bot has brought about, which it may tell again and again."
  @spec put(t, term, integer) :: true
  def put(tally, what, n), do: :ets.insert(tally, {what, n})

  @spec get(t, term) :: integer
  def get(tally, what) do
    case :ets.lookup(tally, what) do
      [{_, n}] -> n
      [] -> 0
    end
  end

  @doc """
  The counts: `sent` and `accepted` actions, `refused` by code, `applied` and `failed` (by code) outcomes, `unheard` ones,
  `gears`, bots that made one, and `lost` connections by reason.
  """
  @spec report(t) :: map
  def report(tally) do
    all = :ets.tab2list(tally)
    by = fn key -> for {{^key, what}, n} <- all, into: %{}, do: {what, n} end
    gears = Map.values(by.(:gears))

    %{
      sent: get(tally, :sent),
      accepted: get(tally, :accepted),
      refused: by.(:refused),
      applied: get(tally, :applied),
      failed: by.(:failed),
      unheard: get(tally, :unheard),
      gears: Enum.sum(gears),
      makers: Enum.count(gears, &(&1 > 0)),
      machines: by.(:machines) |> Map.values() |> Enum.sum(),
      lost: by.(:lost)
    }
  end
end
