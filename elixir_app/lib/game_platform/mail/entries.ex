defmodule GamePlatform.Mail.Entries do
  @moduledoc false
  # Which entries the log has, in the table of messages: `{{:log, seq, 0}, bytes, at}`. So it is known what can be pruned.

  alias GamePlatform.Mail.Store

  # What one mark of the log may have is a little more.
  @most_marked 60_000
  @most_marked_bytes 24 * 1_048_576

  @doc "Remembers entries of the log, `{seq, bytes}`, which were written at that second."
  @spec add(Store.t(), [{pos_integer, pos_integer}], integer) :: true
  def add(%{messages: messages}, entries, at),
    do: :ets.insert(messages, for({seq, bytes} <- entries, do: {{:log, seq, 0}, bytes, at}))

  @doc """
  The last of the oldest entries that may go, which one mark can have: those that are older than `until`, and as many as
  make up `bytes`. Nil if there are none; the newest entry is none of them.
  """
  @spec cut(Store.t(), integer, integer) :: pos_integer | nil
  def cut(store, until, bytes), do: cut(store.messages, next(store.messages, 0), until, bytes, 0, 0, nil)

  defp cut(_, nil, _, _, _, _, cut), do: cut
  defp cut(_, _, _, _, n, sum, cut) when n >= @most_marked or sum >= @most_marked_bytes, do: cut

  defp cut(table, {seq, size, at}, until, bytes, n, sum, cut) do
    next = next(table, seq)

    if next != nil and (at < until or sum < bytes),
      do: cut(table, next, until, bytes, n + 1, sum + size, seq),
      else: cut
  end

  defp next(table, seq) do
    with {:log, next, _} = key <- :ets.next(table, {:log, seq, 0}),
         [{_, bytes, at}] <- :ets.lookup(table, key),
         do: {next, bytes, at},
         else: (_ -> nil)
  end

  @doc "Entries up to `seq` are not in the log any more. Returns how many bytes they had."
  @spec remove(Store.t(), pos_integer) :: non_neg_integer
  def remove(%{messages: messages}, seq) do
    [row, guards] = [{{:log, :"$1", :_}, :"$2", :_}, [{:"=<", :"$1", seq}]]
    bytes = messages |> :ets.select([{row, guards, [:"$2"]}]) |> Enum.sum()
    :ets.select_delete(messages, [{row, guards, [true]}])
    bytes
  end

  @doc "The bytes of all entries that are remembered."
  @spec bytes(Store.t()) :: non_neg_integer
  def bytes(%{messages: messages}),
    do: messages |> :ets.select([{{{:log, :_, :_}, :"$1", :_}, [], [:"$1"]}]) |> Enum.sum()
end
