defmodule GamePlatform.Sessions.Limits do
  @moduledoc false
  # So many requests a second for each key, and so many at once after a pause.
  #
  # A row is the moment at which all that was allowed would be used up evenly (`GamePlatform.Multiplayer.Rates` counts
  # players' actions in the same way). One whose moment has passed says nothing, so it may go: keys are chosen by
  # clients, and there are never more than a table takes.

  @second_us 1_000_000
  @most_rows 200_000
  # Below this many rows nothing is gained by looking for old ones, which is done at most so often.
  @few_rows 1_000
  @prune_us 2 * @second_us

  @type table :: atom
  @type limit :: {a_second :: pos_integer, burst :: pos_integer}

  @doc "Makes a table, which the calling process owns."
  @spec new_table(table) :: table
  def new_table(name) do
    :ets.new(name, [:set, :public, :named_table, write_concurrency: true])
  end

  @doc """
  Takes one of what a key is allowed, or says in how many seconds there is one.

      iex> alias GamePlatform.Sessions.Limits
      iex> table = Limits.new_table(:"limits doctest")
      iex> for _ <- 1..3, do: Limits.take(table, "a", {1, 2}, 0)
      [:ok, :ok, {:error, 1}]
      iex> Limits.take(table, "a", {1, 2}, 1_000_000)
      :ok
  """
  @spec take(table, term, limit, integer) :: :ok | {:error, retry_after_s :: pos_integer}
  def take(table, key, {rate, burst} = limit, now_us \\ System.monotonic_time(:microsecond)) do
    each_us = max(div(@second_us, rate), 1)

    case :ets.lookup(table, key) do
      [{_, until} = row] ->
        next = max(until, now_us) + each_us
        early_us = next - now_us - burst * each_us

        cond do
          early_us > 0 -> {:error, div(early_us - 1, @second_us) + 1}
          :ets.select_replace(table, [{row, [], [{{{:const, key}, next}}]}]) == 1 -> :ok
          true -> take(table, key, limit, now_us)
        end

      [] ->
        if room?(table, now_us) do
          if :ets.insert_new(table, {key, now_us + each_us}), do: :ok, else: take(table, key, limit, now_us)
        else
          {:error, 1}
        end
    end
  end

  defp room?(table, now_us) do
    rows = :ets.info(table, :size)
    if rows >= @few_rows and prune_due?(table, now_us), do: prune(table, now_us)
    rows < @most_rows
  end

  # The row of this key is not one of a client, whose keys are tuples.
  defp prune_due?(table, now_us) do
    case :ets.lookup(table, :pruned) do
      [{_, at}] when now_us < at + @prune_us -> false
      _ -> :ets.insert(table, {:pruned, now_us})
    end
  end

  @doc "Forgets the keys that are allowed all again; tells how many."
  @spec prune(table, integer) :: non_neg_integer
  def prune(table, now_us \\ System.monotonic_time(:microsecond)),
    do: :ets.select_delete(table, [{{:"$1", :"$2"}, [{:"=/=", :"$1", :pruned}, {:<, :"$2", now_us}], [true]}])
end
