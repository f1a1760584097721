defmodule GamePlatform.Mail.Round do
  @moduledoc false
  # What is stamped and told together. It is made of items of the sequencer's queue:
  #
  #   {:outcomes, to, messages}      all those of the ticks up to `to` that the queue has not
  #   {:post, from, message}
  #   {:revoke, from, key, since, until}         since that second at least
  #
  # and of callers that wait until outcomes of a tick are told, `{tick, from}`.

  alias GamePlatform.JSON
  alias GamePlatform.Mail.Record

  # What is told at once, about.
  @most 5_000

  # `first` and `last`: the numbers before the first and of the last one. `revoked` are {seq, key, at, until}.
  defstruct items: [],
            syncs: [],
            messages: [],
            revoked: [],
            replies: [],
            waiting: 0,
            first: 0,
            last: 0,
            complete: nil,
            at: 0,
            cut: nil,
            # {seq, bytes} of what was written, and how many worlds had begun by then.
            entries: [],
            epoch: 0

  @doc """
  Takes from the queue, whose last item comes first: `{round, queue}`. Numbers are given after `seq`; outcomes are told up
  to `complete`, and, if the whole queue is taken, up to `have`.
  """
  def next(queue, seq, complete, have, at) do
    {items, rest} = take(Enum.reverse(queue), [], 0)
    round = %__MODULE__{items: items, first: seq, last: seq, complete: complete, at: at}
    round = Enum.reduce(items, round, &stamp/2)
    complete = if rest == [], do: have, else: round.complete
    messages = Enum.reverse(round.messages)

    {%{round | messages: messages, replies: Enum.reverse(round.replies), complete: complete},
     Enum.reverse(rest)}
  end

  defp take([item | rest], taken, n) when n < @most, do: take(rest, [item | taken], n + count(item))
  defp take(rest, taken, _), do: {Enum.reverse(taken), rest}

  @doc "How many of those that wait an item is."
  def count({:outcomes, _, messages}), do: length(messages)
  def count(_), do: 1

  defp stamp({:outcomes, to, messages}, round),
    do: Enum.reduce(messages, %{round | complete: to}, &message/2)

  defp stamp({:post, from, message}, round), do: replied(from, message(message, round))

  defp stamp({:revoke, from, key, since, until}, round) do
    seq = round.last + 1
    revoked = [{seq, key, max(round.at, since), until} | round.revoked]
    replied(from, %{round | revoked: revoked, last: seq, waiting: round.waiting + 1})
  end

  defp message(message, round) do
    seq = round.last + 1
    messages = [Map.put(message, :seq, seq) | round.messages]
    %{round | messages: messages, last: seq, waiting: round.waiting + 1}
  end

  defp replied(from, round), do: %{round | replies: [{from, {:ok, round.last}} | round.replies]}

  @doc "Only writes anew what is revoked, `{key, at, until}`, so that what is before the entry `cut` can be removed."
  def cut(revocations, cut, seq, complete, at) do
    revoked =
      for {{key, since, until}, n} <- Enum.with_index(revocations, 1), do: {seq + n, key, since, until}

    %__MODULE__{
      revoked: revoked,
      first: seq,
      last: seq + length(revoked),
      complete: complete,
      at: at,
      cut: cut
    }
  end

  @doc "Who waits for it."
  def callers(round), do: Enum.map(round.replies, &elem(&1, 0)) ++ Enum.map(round.syncs, &elem(&1, 1))

  @doc "The message that an outcome is, as clients get it."
  def outcome(%{player: player, action_id: id, tick: tick} = outcome) do
    payload = for {key, value} <- outcome, key != :player, value != nil, into: %{}, do: {key, value}
    %{box: {:player, player}, event: "outcome", id: id, json: JSON.encode!(payload), tick: tick}
  end

  @doc "What an entry of the log was made of; outcomes are told up to `complete` at least."
  def read(seq, bytes, complete) do
    case Record.decode(bytes) do
      {:ok, %{at: at} = entry} ->
        complete = max(complete, entry.complete || 0)
        entries = [{seq, byte_size(bytes)}]
        round = %__MODULE__{messages: entry.messages, revoked: entry.revoked, last: seq, complete: complete}
        {:ok, %{round | at: at, entries: entries}}

      {:error, :newer} ->
        {:error, {:newer_version, "a newer release wrote entry #{seq} of the messages: use that one"}}

      {:error, :garbage} ->
        {:error, {:corrupt, "entry #{seq} of the messages cannot be read: put events.db back from a backup"}}
    end
  end
end
