defmodule GamePlatformWeb.API.Mailbox do
  @moduledoc false
  # The mailbox of a device: its messages, and what its player does.

  alias GamePlatform.{JSON, Mail, Multiplayer, Sessions}
  alias GamePlatformWeb.API.{Errors, Overview}

  @limit 100
  @most_actions 100
  # A token may claim to last for ever.
  @last_s 0xFFFF_FFFF
  # How soon is looked again when the mail is being started.
  @again_ms 100
  @later [:busy, :log_behind, :log_down, :log_full]

  def messages(%{game: game, identity: identity, params: %{session: id} = params} = context) do
    boxes = Sessions.boxes(identity.player)

    with {:ok, from} <- begin(game, identity, id, params),
         {:ok, messages, next} <- read(context, boxes, from, params[:limit] || @limit),
         do: {200, page(messages, next)}
  end

  # What comes before `after` has arrived.
  defp begin(game, identity, id, params) do
    with :ok <- known(game, params[:after]),
         {:ok, acked} <- Sessions.heard(game, identity, id, params[:after]) do
      {:ok, params[:after] || acked}
    else
      error -> failed(error)
    end
  end

  defp known(_, nil), do: :ok

  defp known(game, seq) do
    last = Mail.last(game)

    if seq <= last do
      :ok
    else
      Errors.error(:out_of_range,
        field: :after,
        limit: last,
        message:
          "The newest message is #{last}: begin with after=0 if the server was started anew without its messages."
      )
    end
  end

  defp failed({:error, _, _} = error), do: error
  defp failed({:error, :too_many_sessions}), do: Errors.error(:busy, retry_s: 10)
  defp failed(_), do: Errors.error(:restarting)

  defp read(context, boxes, from, limit) do
    case Mail.read(context.game, boxes, from, limit: limit) do
      {:ok, messages, next} ->
        {:ok, Enum.map(messages, &text/1), next}

      {:gap, {lost_from, lost_to}, messages, next} ->
        {:ok, Overview.gap(context, lost_from, lost_to) ++ Enum.map(messages, &text/1), next}

      _ ->
        Errors.error(:restarting)
    end
  end

  defp text(%{seq: seq, tick: tick, event: event, json: json}) do
    [~s({"seq":), to_string(seq), ~s(,"tick":), JSON.encode!(tick), ~s(,"event":)] ++
      [JSON.encode!(event), ~s(,"payload":), json, ?}]
  end

  defp page(messages, next),
    do: {:json, [~s({"messages":[), Enum.intersperse(messages, ?,), ~s(],"next":), to_string(next), ?}]}

  # Whatever becomes of it, nothing of it is left in the process that asked.
  def poll(%{game: game, identity: identity, params: %{session: id} = params} = context) do
    ref = make_ref()
    deadline = now_ms() + wait_ms(identity, context.poll_ms)

    with {:ok, from} <- begin(game, identity, id, params),
         {:ok, _} <- Sessions.waits(game, identity, id, ref) do
      try do
        # Who was revoked in between was not told.
        if match?({:ok, _}, Sessions.authorize(game, identity.token)),
          do: wait(context, Sessions.boxes(identity.player), from, ref, deadline),
          else: over(:ended)
      after
        Sessions.waited(game, identity, id, ref)
        forget(ref)
      end
    else
      error -> failed(error)
    end
  end

  # A token that expires meanwhile is not good for what comes then.
  defp wait_ms(%{expires_at: at}, most_ms) do
    left_ms = trunc(min(at, @last_s) * 1_000) - System.os_time(:millisecond)
    left_ms |> min(most_ms) |> max(0)
  end

  defp wait(%{game: game} = context, boxes, from, ref, deadline) do
    case read(context, boxes, from, @limit) do
      {:ok, [], next} ->
        case Mail.attach(game, {:pid, self()}, boxes, next) do
          {:ok, sequencer} -> await(context, boxes, next, ref, deadline, sequencer)
          :behind -> wait(context, boxes, next, ref, deadline)
          {:error, _} -> later(context, boxes, next, ref, deadline)
        end

      {:ok, messages, next} ->
        {200, page(messages, next)}

      # The first look tells whether there is a mailbox at all.
      error ->
        error
    end
  end

  defp await(%{game: game} = context, boxes, from, ref, deadline, sequencer) do
    monitor = Process.monitor(sequencer)

    heard =
      receive do
        {:mail, ^game, _} -> :mail
        {^ref, why} -> why
        {:DOWN, ^monitor, :process, _, _} -> :down
      after
        max(deadline - now_ms(), 0) -> :nothing
      end

    detach(game, monitor)

    case heard do
      # They are in the mailbox, which knows how many are enough.
      :mail -> wait(context, boxes, from, ref, deadline)
      :down -> later(context, boxes, from, ref, deadline)
      other -> over(other)
    end
  end

  defp later(context, boxes, from, ref, deadline) do
    receive do
      {^ref, why} -> over(why)
    after
      min(@again_ms, max(deadline - now_ms(), 0)) ->
        if now_ms() >= deadline, do: over(:nothing), else: look(context, boxes, from, ref, deadline)
    end
  end

  # While the mail is being started, who waits goes on waiting.
  defp look(context, boxes, from, ref, deadline) do
    with {:error, :restarting, _} <- wait(context, boxes, from, ref, deadline),
         do: later(context, boxes, from, ref, deadline)
  end

  defp over(:nothing), do: {204, nil}
  defp over(:replaced), do: Errors.error(:replaced)
  defp over(:ended), do: GamePlatformWeb.API.unauthorized(:revoked)

  defp detach(game, monitor) do
    Process.demonitor(monitor, [:flush])
    Mail.detach(game, self())
    flush(game)
  end

  defp flush(game) do
    receive do
      {:mail, ^game, _} -> flush(game)
    after
      0 -> :ok
    end
  end

  defp forget(ref) do
    receive do
      {^ref, _} -> forget(ref)
    after
      0 -> :ok
    end
  end

  def actions(%{game: game, identity: identity, params: %{session: id}, body: body}) do
    with {:ok, actions} <- listed(body),
         {:ok, _} <- Sessions.heard(game, identity, id),
         {:ok, replies} <- submit(game, identity.player, actions) do
      results = for reply <- replies, do: reply |> Enum.reject(fn {_, value} -> value == nil end) |> Map.new()
      answer(if(is_list(body), do: 202, else: status(hd(replies))), results)
    else
      error -> failed(error)
    end
  end

  defp listed([]),
    do:
      Errors.error(:out_of_range,
        field: "body",
        limit: @most_actions,
        message: "There is no action in the list: send 1..#{@most_actions}."
      )

  defp listed(actions) when is_list(actions) do
    if length(actions) <= @most_actions,
      do: {:ok, actions},
      else:
        Errors.error(:too_large,
          field: "body",
          limit: @most_actions,
          message: "At most #{@most_actions} actions go into one request: send the rest in another."
        )
  end

  defp listed(%{} = action), do: {:ok, [action]}

  defp listed(_),
    do:
      Errors.error(:malformed,
        field: "body",
        message: "An action is an object with action_id and action; or send a list of them."
      )

  # A world that was started anew knows nobody: its players are in it again when they act.
  defp submit(game, player, actions) do
    with {:ok, replies} <- Multiplayer.submit(game, player, actions) do
      if Enum.any?(replies, &(&1[:code] == :unknown_player)) and
           match?({:ok, %{}}, Multiplayer.enter(game, player)),
         do: Multiplayer.submit(game, player, actions),
         else: {:ok, replies}
    end
  end

  defp status(%{status: :accepted}), do: 202
  defp status(%{code: :rate_limited}), do: 429
  defp status(%{code: code}) when code in @later, do: 503
  defp status(_), do: 422

  defp answer(status, results) when status in [202, 422], do: {status, %{results: results}}

  defp answer(status, results) do
    headers = [{"content-type", "application/json"}, {"retry-after", "1"}]
    {status, headers, JSON.encode!(%{results: results})}
  end

  defp now_ms, do: System.monotonic_time(:millisecond)
end
