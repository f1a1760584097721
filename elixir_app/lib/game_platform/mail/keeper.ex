defmodule GamePlatform.Mail.Keeper do
  @moduledoc false
  # Keeps boxes, and the log, within their bounds. The sequencer has it.

  alias GamePlatform.Mail.{Entries, Store}

  @limits %{
    player_messages: 1_024,
    player_bytes: 262_144,
    topic_messages: 16_384,
    topic_bytes: 16 * 1_048_576,
    # Of all boxes together.
    bytes: 256 * 1_048_576,
    # Ids of outcomes that are remembered of a player.
    answers: 1_024,
    # What the log may have of messages.
    log_bytes: 256 * 1_048_576
  }

  @enforce_keys [:store, :limits, :mailbox_s]
  defstruct [:store, :limits, :mailbox_s, messages: 0, bytes: 0, dropped: 0, log: 0]

  def new(store, options) do
    {messages, bytes} = Store.restore(store)
    limits = Map.merge(@limits, Map.new(options[:limits] || []))
    keeper = %__MODULE__{store: store, limits: limits, mailbox_s: options[:mailbox_s] || 3_600}
    %{keeper | messages: messages, bytes: bytes, log: Entries.bytes(store)}
  end

  def info(%{store: store} = keeper) do
    boxes = [{{{:box, {:"$1", :_}}, :_, :_, :_, :_}, [{:"=/=", :"$1", :answers}], [true]}]

    keeper
    |> Map.take([:messages, :bytes, :dropped])
    |> Map.merge(%{
      boxes: :ets.select_count(store.index, boxes),
      log_bytes: keeper.log,
      gaps: Store.get(store, :gaps, 0)
    })
  end

  @doc "Takes a round in, which is told then; the oldest go if there is too much."
  def put(%{store: store} = keeper, round) do
    bytes = Store.put(store, round.messages, round.revoked, round.last, round.complete, round.at)
    keeper = %{keeper | messages: keeper.messages + length(round.messages), bytes: keeper.bytes + bytes}
    round.messages |> Enum.map(& &1.box) |> Enum.uniq() |> Enum.reduce(keeper, &trim/2) |> within()
  end

  defp trim({:topic, _} = box, %{limits: limits} = keeper),
    do: trim(box, limits.topic_messages, limits.topic_bytes, keeper)

  defp trim({:player, player} = box, %{limits: limits} = keeper) do
    {_, freed} = Store.trim(keeper.store, {:answers, player}, limits.answers, 0, now_s())
    trim(box, limits.player_messages, limits.player_bytes, %{keeper | bytes: keeper.bytes - freed})
  end

  defp trim(box, most, bytes, keeper) do
    {removed, freed} = Store.trim(keeper.store, box, most, bytes, now_s())
    dropped(keeper, removed, freed)
  end

  defp within(%{bytes: bytes, limits: %{bytes: most}} = keeper) when bytes <= most, do: keeper

  defp within(%{bytes: bytes, limits: %{bytes: most}} = keeper) do
    {removed, freed, _} = Store.expire(keeper.store, fn _, freed -> bytes - freed > most end, now_s())
    dropped(keeper, removed, freed)
  end

  defp dropped(keeper, n, bytes),
    do: %{keeper | messages: keeper.messages - n, bytes: keeper.bytes - bytes, dropped: keeper.dropped + n}

  @doc "Nobody needs what a box has up to that number."
  def acked(keeper, box, seq) do
    {removed, bytes} = Store.acked(keeper.store, box, seq, now_s())
    %{keeper | messages: keeper.messages - removed, bytes: keeper.bytes - bytes}
  end

  @doc "Removes what is too old, in pieces: `:more` if there is."
  def expire(keeper) do
    now = now_s()
    {removed, bytes, more} = Store.expire(keeper.store, fn at, _ -> at < now - keeper.mailbox_s end, now)
    {more, dropped(keeper, removed, bytes)}
  end

  @doc "Forgets what has been empty, or revoked, for long enough."
  def sweep(keeper) do
    now = now_s()
    Store.forget(keeper.store, now - keeper.mailbox_s)
    Store.unrevoke(keeper.store, now)
    keeper
  end

  @doc "The log has these entries, `{seq, bytes}`."
  def logged(keeper, entries, at) do
    Entries.add(keeper.store, entries, at)
    %{keeper | log: Enum.reduce(entries, keeper.log, fn {_, bytes}, sum -> sum + bytes end)}
  end

  @doc "The entry up to which the log should be pruned, or nil: if it is too large, or a tenth older than it needs to be."
  def due(%{store: store, limits: %{log_bytes: most}, mailbox_s: mailbox_s} = keeper) do
    now = now_s()
    # As much as would have to go again soon.
    surplus = if keeper.log > most, do: keeper.log - div(3 * most, 4), else: 0

    if surplus > 0 or Entries.cut(store, now - mailbox_s - div(mailbox_s, 10), 0),
      do: Entries.cut(store, now - mailbox_s, surplus)
  end

  @doc "Up to that entry it is pruned."
  def cut(keeper, seq), do: %{keeper | log: keeper.log - Entries.remove(keeper.store, seq)}

  defp now_s, do: System.os_time(:second)
end
