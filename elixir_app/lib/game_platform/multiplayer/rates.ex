defmodule GamePlatform.Multiplayer.Rates do
  @moduledoc false
  # How often a player may act, whatever the number of devices: so many actions a second, of which some count twice.
  #
  # For each player the table has the moments at which both allowances would be used up evenly, `{player, all, turns}`.
  # An action moves them on; who is a second ahead of the clock waits. Rows change by compare and exchange, so that
  # nobody waits for another.

  @second_us 1_000_000
  @each_us div(@second_us, 20)
  @turn_us div(@second_us, 4)
  # What makes much of a factory stand still, again and again, if it may.
  @turns ["rotate", "set_recipe"]

  @type table :: :ets.table()

  # Owned by who calls it.
  @spec new_table(atom) :: table
  def new_table(name), do: :ets.new(name, [:set, :public, :named_table, write_concurrency: true])

  # Takes one of each allowance that the action needs, or says what to do.
  @spec take(table, String.t(), term, integer) :: :ok | {:error, sentence :: String.t()}
  def take(table, player, action, now_us \\ System.monotonic_time(:microsecond)) do
    turn? = action in @turns
    row = row(table, player, now_us)
    {_, all, turns} = row
    all = max(all, now_us) + @each_us
    turns = if turn?, do: max(turns, now_us) + @turn_us, else: turns

    cond do
      all - now_us > @second_us ->
        {:error, "20 actions a second are allowed: send it again in #{wait_ms(all, now_us)} ms"}

      turn? and turns - now_us > @second_us ->
        {:error,
         "4 of rotate and set_recipe are allowed a second: send it again in #{wait_ms(turns, now_us)} ms"}

      replace(table, row, {player, all, turns}) ->
        :ok

      true ->
        take(table, player, action, now_us)
    end
  end

  defp row(table, player, now_us) do
    case :ets.lookup(table, player) do
      [row] ->
        row

      [] ->
        :ets.insert_new(table, {player, now_us, now_us})
        row(table, player, now_us)
    end
  end

  defp replace(table, row, new), do: :ets.select_replace(table, [{row, [], [{:const, new}]}]) == 1

  defp wait_ms(until, now_us), do: div(until - now_us - @second_us, 1000) + 1

  # Forgets who has not acted for a second.
  @spec prune(table, integer) :: non_neg_integer
  def prune(table, now_us \\ System.monotonic_time(:microsecond)) do
    :ets.select_delete(table, [{{:_, :"$1", :"$2"}, [{:<, :"$1", now_us}, {:<, :"$2", now_us}], [true]}])
  end
end
