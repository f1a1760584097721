defmodule GamePlatform.Mail.Store do
  @moduledoc false
  # The messages that are kept, in tables which outlive the sequencer. It alone writes; anybody reads.
  #
  #   messages  {{box, seq}, tick, event, json}         boxes are `{:topic, name}` and `{:player, name}`
  #             {{{:answers, player}, seq}, id}         the ids of outcomes, which are needed longer than the messages
  #             {{:order, seq, kind}, box, at}          all of them, the oldest first; `at` in seconds
  #             {{:log, seq, 0}, bytes, at}             entries of the log that are not pruned
  #   index     {:last, seq, complete}                  what is told, and the tick up to which outcomes are
  #             {{:box, box}, count, bytes, floor, at}  up to `floor` messages are gone, the last of them at `at`
  #             {:floor, seq}                           the floor of boxes that are not in the index
  #             {{:revoked, key}, at, until, seq}, {:tick, tick}, {:server, pid}, {:gaps, told},
  #             {:life, ref}                            of these tables
  #   answers   {{player, id}, tick, seq}
  #
  # Who reads takes `last` first, the messages up to it next, and the floors last: what has been removed
  # meanwhile shows in a floor, which is raised before anything is removed.

  @first -1
  # What a message takes beside its own bytes, about.
  @overhead 256
  # And what is remembered of an outcome, in all.
  @answer 384
  @slice 2_000

  @type box :: {:topic, String.t()} | {:player, String.t()}
  @type message :: %{seq: pos_integer, tick: non_neg_integer, event: String.t(), json: String.t()}
  @type t :: %{messages: :ets.table(), index: :ets.table(), answers: :ets.table()}

  @spec new(atom) :: :ok
  def new(game) do
    %{messages: messages, index: index, answers: answers} = tables(game)
    :ets.new(messages, [:ordered_set, :public, :named_table, read_concurrency: true])
    # With the index they are all there.
    for table <- [answers, index], do: :ets.new(table, [:set, :public, :named_table, read_concurrency: true])
    :ets.insert(index, [{:last, 0, nil}, {:floor, 0}, {:tick, 0}, {:life, make_ref()}])
    :ok
  end

  @spec tables(atom) :: t
  def tables(game) do
    [messages, index, answers] = for table <- [Mail, MailIndex, MailAnswers], do: Module.concat(game, table)

    %{messages: messages, index: index, answers: answers}
  end

  @doc """
  The newest message that is told, and the tick up to which all outcomes are; nil if none is known. As everything here it
  raises `ArgumentError` if there are no tables.
  """
  @spec last(t) :: {non_neg_integer, non_neg_integer | nil}
  def last(%{index: index}) do
    case :ets.lookup(index, :last) do
      [{:last, seq, complete}] -> {seq, complete}
      # They are just being made.
      [] -> raise ArgumentError, "no messages yet"
    end
  end

  @doc "What is in the index under a key."
  @spec get(t, term, term) :: term
  def get(%{index: index}, key, default \\ nil) do
    case :ets.lookup(index, key) do
      [{_, value}] -> value
      _ -> default
    end
  end

  @spec set(t, term, term) :: true
  def set(%{index: index}, key, value), do: :ets.insert(index, {key, value})

  @doc "As `GamePlatform.Mail.read/4`."
  @spec read(t, [box], non_neg_integer, pos_integer, pos_integer) ::
          {:ok, [message], non_neg_integer}
          | {:gap, {pos_integer, pos_integer}, [message], non_neg_integer}
  def read(store, boxes, from, limit, bytes) do
    life = :ets.lookup_element(store.index, :life, 2)
    answer = read(store, boxes, from, from, limit, bytes)
    # Half of it may be of tables that came in place of those that the rest is of.
    if life == :ets.lookup_element(store.index, :life, 2),
      do: answer,
      else: raise(ArgumentError, "no messages yet")
  end

  defp read(store, boxes, from, start, limit, bytes) do
    {last, _} = last(store)
    taken = for box <- boxes, do: take(store.messages, box, start, last, limit, bytes, [])
    # So far all of them have been read.
    upto = taken |> Enum.map(&elem(&1, 1)) |> Enum.min(fn -> last end) |> max(start)
    found = for {messages, _} <- taken, message <- messages, message.seq <= upto, do: message
    {messages, next} = found |> Enum.sort_by(& &1.seq) |> cut(limit, bytes, upto)

    case boxes |> Enum.map(&floor(store, &1)) |> Enum.max(fn -> 0 end) do
      floor when floor > start -> read(store, boxes, from, floor, limit, bytes)
      _ when start > from -> gap(store, {from + 1, start}, messages, next)
      _ -> {:ok, messages, next}
    end
  end

  defp gap(store, gone, messages, next) do
    :ets.update_counter(store.index, :gaps, 1, {:gaps, 0})
    {:gap, gone, messages, next}
  end

  # Messages, and up to where they are all that there are.
  defp take(_, _, from, _, n, bytes, taken) when n <= 0 or bytes <= 0, do: {taken, from}

  defp take(table, box, from, last, n, bytes, taken) do
    case :ets.next(table, {box, from}) do
      {^box, seq} = key when seq <= last ->
        case :ets.lookup(table, key) do
          [{_, tick, event, json}] ->
            message = %{seq: seq, tick: tick, event: event, json: json}
            take(table, box, seq, last, n - 1, bytes - size(message), [message | taken])

          # Removed since the key was found.
          [] ->
            take(table, box, seq, last, n, bytes, taken)
        end

      _ ->
        {taken, last}
    end
  end

  defp cut(messages, limit, bytes, next), do: cut(messages, limit, bytes, next, [])
  defp cut([], _, _, next, taken), do: {Enum.reverse(taken), next}

  defp cut([message | rest], limit, bytes, next, taken) do
    left = bytes - size(message)

    if taken != [] and (limit <= 0 or left < 0),
      do: {Enum.reverse(taken), hd(taken).seq},
      else: cut(rest, limit - 1, left, next, [message | taken])
  end

  @doc "Whether nothing that is told in those boxes is above `seq`, nor was."
  @spec covered?(t, [box], non_neg_integer) :: boolean
  def covered?(store, boxes, seq) do
    {last, _} = last(store)

    Enum.all?(boxes, fn box ->
      floor(store, box) <= seq and
        not match?({^box, next} when next <= last, :ets.next(store.messages, {box, seq}))
    end)
  end

  @spec floor(t, box) :: non_neg_integer
  def floor(store, box) do
    case :ets.lookup(store.index, {:box, box}) do
      [{_, _, _, floor, _}] -> floor
      [] -> get(store, :floor, 0)
    end
  end

  @doc "The tick of the outcome that a player was told for an action; nil if none is remembered."
  @spec answered(t, String.t(), String.t()) :: non_neg_integer | nil
  def answered(store, player, id) do
    {last, _} = last(store)

    case :ets.lookup(store.answers, {player, id}) do
      [{_, tick, seq}] when seq <= last -> tick
      _ -> nil
    end
  end

  @doc "The second at which a key was revoked, and that until which it is; nil if it is not."
  @spec revoked(t, binary, integer) :: {integer, integer} | nil
  def revoked(store, key, now) do
    case :ets.lookup(store.index, {:revoked, key}) do
      [{_, at, until, _}] when until >= now -> {at, until}
      _ -> nil
    end
  end

  @doc "Forgets what is not revoked any more."
  @spec unrevoke(t, integer) :: non_neg_integer
  def unrevoke(%{index: index}, now),
    do: :ets.select_delete(index, [{{{:revoked, :_}, :_, :"$1", :_}, [{:<, :"$1", now}], [true]}])

  @doc "What was revoked with a number up to `seq`, as `{key, at, until}`."
  @spec revocations(t, non_neg_integer) :: [{binary, integer, integer}]
  def revocations(%{index: index}, seq) do
    row = {{:revoked, :"$1"}, :"$2", :"$3", :"$4"}
    :ets.select(index, [{row, [{:"=<", :"$4", seq}], [{{:"$1", :"$2", :"$3"}}]}])
  end

  @doc """
  Takes in what is to be told, in order, at the second `at`, and says that it is told. Messages are
  `%{seq:, tick:, box:, event:, id:, json:}`, `id` that of the action of an outcome; `revoked` is `{seq, key, at, until}`.
  Returns how many bytes there are more.
  """
  @spec put(t, [map], [tuple], non_neg_integer, non_neg_integer | nil, integer) :: integer
  def put(store, messages, revoked, last, complete, at) do
    :ets.insert(store.messages, Enum.flat_map(messages, &rows(&1, at)))
    :ets.insert(store.index, for({seq, key, at, until} <- revoked, do: {{:revoked, key}, at, until, seq}))
    known = for %{id: id, box: {:player, player}} = m when id != nil <- messages, do: {player, id, m}
    :ets.insert(store.answers, for({player, id, m} <- known, do: {{player, id}, m.tick, m.seq}))
    boxes = messages |> Enum.map(&{&1.box, size(&1)}) |> Enum.group_by(&elem(&1, 0), &elem(&1, 1))
    answers = Enum.group_by(known, &{:answers, elem(&1, 0)}, fn _ -> 0 end)
    for {box, sizes} <- Map.merge(boxes, answers), do: add(store, box, length(sizes), Enum.sum(sizes))
    :ets.insert(store.index, {:last, last, complete})
    Enum.reduce(messages, length(known) * @answer, &(&2 + size(&1) + @overhead))
  end

  defp rows(%{seq: seq, box: box} = m, at) do
    rows = [{{box, seq}, m.tick, m.event, m.json}, {{:order, seq, 0}, box, at}]

    case m do
      %{id: id, box: {:player, player}} when id != nil ->
        [{{{:answers, player}, seq}, id}, {{:order, seq, 1}, {:answers, player}, at} | rows]

      _ ->
        rows
    end
  end

  defp add(store, box, n, bytes) do
    {_, count, sum, floor, at} = row(store, box)
    :ets.insert(store.index, {{:box, box}, count + n, sum + bytes, floor, at})
  end

  defp row(store, box) do
    case :ets.lookup(store.index, {:box, box}) do
      [row] -> row
      [] -> {{:box, box}, 0, 0, get(store, :floor, 0), 0}
    end
  end

  @doc "Removes the oldest of a box until it is within so many messages and bytes. Returns {removed, bytes}."
  @spec trim(t, box, non_neg_integer, non_neg_integer, integer) :: {non_neg_integer, integer}
  def trim(store, box, most, most_bytes, now) do
    {_, count, sum, _, _} = row(store, box)
    remove(store, box, oldest(store.messages, box, @first, count - most, sum - most_bytes), now)
  end

  defp oldest(_, _, _, n, bytes) when n <= 0 and bytes <= 0, do: []

  defp oldest(table, box, from, n, bytes) do
    case :ets.next(table, {box, from}) do
      {^box, seq} = key -> [seq | oldest(table, box, seq, n - 1, bytes - size_of(table, key))]
      _ -> []
    end
  end

  @doc "Removes what a box has up to `seq`."
  @spec acked(t, box, non_neg_integer, integer) :: {non_neg_integer, integer}
  def acked(store, box, seq, now) do
    {last, _} = last(store)
    remove(store, box, until(store.messages, box, @first, min(seq, last)), now)
  end

  defp until(table, box, from, seq) do
    case :ets.next(table, {box, from}) do
      {^box, next} when next <= seq -> [next | until(table, box, next, seq)]
      _ -> []
    end
  end

  @doc "Removes the oldest of all, up to a number of them, as long as `old?` says so of their second and the bytes that are gone by then."
  @spec expire(t, (integer, integer -> boolean), integer) :: {non_neg_integer, integer, :more | :done}
  def expire(store, old?, now), do: expire(store, old?, now, @slice, {0, 0})

  defp expire(_, _, _, 0, {n, bytes}), do: {n, bytes, :more}

  defp expire(store, old?, now, left, {n, bytes}) do
    with {:order, seq, _} = key <- :ets.next(store.messages, {:order, 0, @first}),
         [{_, box, at}] = :ets.lookup(store.messages, key),
         true <- old?.(at, bytes) do
      {removed, freed} = remove(store, box, [seq], now)
      expire(store, old?, now, left - 1, {n + removed, bytes + freed})
    else
      _ -> {n, bytes, :done}
    end
  end

  defp remove(_, _, [], _), do: {0, 0}

  defp remove(store, {:answers, player} = box, seqs, _) do
    for seq <- seqs, {_, id} <- :ets.take(store.messages, {box, seq}) do
      :ets.match_delete(store.answers, {{player, id}, :_, seq})
      :ets.delete(store.messages, {:order, seq, 1})
    end

    {_, count, _, _, _} = row(store, box)

    if count > length(seqs),
      do: :ets.insert(store.index, {{:box, box}, count - length(seqs), 0, 0, 0}),
      else: :ets.delete(store.index, {:box, box})

    {0, @answer * length(seqs)}
  end

  defp remove(store, box, seqs, now) do
    {_, count, sum, floor, _} = row(store, box)
    costs = for seq <- seqs, do: size_of(store.messages, {box, seq})
    floor = max(List.last(seqs), floor)
    :ets.insert(store.index, {{:box, box}, count - length(seqs), sum - Enum.sum(costs), floor, now})

    for seq <- seqs do
      :ets.delete(store.messages, {box, seq})
      :ets.delete(store.messages, {:order, seq, 0})
    end

    {length(seqs), Enum.sum(costs) + @overhead * length(seqs)}
  end

  @doc "Forgets boxes that have been empty since before `until`: who read them last before that is told of a gap."
  @spec forget(t, integer) :: :ok
  def forget(%{index: index} = store, until) do
    idle = [{{{:box, :"$1"}, 0, :_, :"$2", :"$3"}, [{:<, :"$3", until}], [{{:"$1", :"$2"}}]}]
    idle = :ets.select(index, idle)
    floor = Enum.reduce(idle, get(store, :floor, 0), fn {_, floor}, highest -> max(floor, highest) end)
    set(store, :floor, floor)
    for {box, _} <- idle, do: :ets.delete(index, {:box, box})
    :ok
  end

  @doc """
  What a sequencer that was killed has left is made whole: messages that were not told are gone, and all is counted anew.
  Returns how many messages and bytes there are.
  """
  @spec restore(t) :: {non_neg_integer, integer}
  def restore(%{messages: messages, index: index} = store) do
    {last, _} = last(store)
    keys = :ets.select(messages, [{{{:order, :"$1", :_}, :"$2", :_}, [], [{{:"$1", :"$2"}}]}])
    {stay, gone} = Enum.split_with(keys, &told?(store, &1, last))

    for {seq, box} <- gone do
      with {:answers, player} <- box,
           [{_, id}] <- :ets.lookup(messages, {box, seq}),
           do: :ets.match_delete(store.answers, {{player, id}, :_, seq})

      :ets.delete(messages, {box, seq})
      :ets.delete(messages, {:order, seq, if(match?({:answers, _}, box), do: 1, else: 0)})
    end

    :ets.select_delete(messages, [{{{:log, :"$1", :_}, :_, :_}, [{:>, :"$1", last}], [true]}])
    sums = Enum.group_by(stay, &elem(&1, 1), &elem(&1, 0))
    rows = :ets.select(index, [{{{:box, :"$1"}, :_, :_, :"$2", :"$3"}, [], [{{:"$1", :"$2", :"$3"}}]}])
    for {box, floor, at} <- rows, do: :ets.insert(index, {{:box, box}, 0, 0, floor, at})

    Enum.reduce(sums, {0, 0}, fn {box, seqs}, {n, bytes} ->
      sum = Enum.reduce(seqs, 0, &(&2 + size_of(messages, {box, &1})))
      add(store, box, length(seqs), sum)

      if match?({:answers, _}, box),
        do: {n, bytes + @answer * length(seqs)},
        else: {n + length(seqs), bytes + sum + @overhead * length(seqs)}
    end)
  end

  defp told?(store, {seq, {:answers, _} = box}, last),
    do: seq <= last and :ets.member(store.messages, {box, seq})

  defp told?(store, {seq, box}, last),
    do: seq <= last and seq > floor(store, box) and :ets.member(store.messages, {box, seq})

  defp size(%{event: event, json: json}), do: byte_size(event) + byte_size(json)

  defp size_of(table, key) do
    case :ets.lookup(table, key) do
      [{_, _, event, json}] -> byte_size(event) + byte_size(json)
      _ -> 0
    end
  end
end
