defmodule GamePlatform.Roulette.Stays do
  @moduledoc false
  # What a client does on each transport, for some milliseconds, and how it leaves. A stay that could not begin is
  # `{:failed, why, player}`; one that was cut short is as good as any.

  alias GamePlatform.Bots.WebSocket
  alias GamePlatform.JSON
  alias GamePlatform.Roulette.{Channel, Http, Player}

  # For what is asked for; a stay itself is shorter.
  @answer_ms 3_000
  @most_new 3

  @transports [:websocket, :longpoll, :poll, :mailbox]
  def transports, do: @transports

  @spec stay(atom, Player.t(), non_neg_integer) :: {:stayed, Player.t()} | {:failed, term, Player.t()}
  def stay(:websocket, player, ms) do
    {params, join} = Channel.params(player)

    case WebSocket.connect(
           "127.0.0.1",
           player.port,
           "/socket/websocket?" <> URI.encode_query(params)
         ) do
      {:ok, ws} ->
        # Whoever was away too long looks at what comes.
        join = Map.put(join, "binary", player.gaps == :none)
        send_texts(ws, [Channel.join(join)])
        channel = listen(ws, Channel.new(player), now_ms() + @answer_ms, & &1.joined)
        channel = if channel.joined, do: visit(ws, channel, ms), else: channel
        WebSocket.close(ws)
        done(channel)

      {:refused, status, body} ->
        {:failed, {status, body}, player}

      {:error, reason} ->
        {:failed, reason, player}
    end
  end

  def stay(:longpoll, player, ms) do
    {params, join} = Channel.params(player)
    path = "/socket/longpoll?" <> URI.encode_query(params)

    connected(player, fn socket ->
      with {:ok, 200, _, %{"status" => 410, "token" => token}} <-
             Http.request(socket, "GET", path, wait_ms: @answer_ms),
           poll = %{socket: socket, path: path, headers: [{"x-phoenix-longpoll-token", token}]},
           :ok <- post(poll, [Channel.join(join)]) do
        channel = poll(poll, Channel.new(player), now_ms() + @answer_ms, & &1.joined)
        done(if channel.joined, do: visit_by_polls(poll, channel, ms), else: channel)
      else
        {:ok, status, _, body} -> {:failed, {status, body}, player}
        {:error, reason} -> {:failed, reason, player}
      end
    end)
  end

  def stay(:poll, player, ms) do
    connected(player, fn socket ->
      with {:ok, player} <- act(socket, player) do
        path = "/poll/#{player.session}?after=#{player.at}"
        # The server waits longer than the client.
        case Http.request(socket, "GET", path, headers: bearer(player), wait_ms: ms) do
          {:ok, 204, _, _} -> {:stayed, player}
          {:ok, 200, _, body} -> {:stayed, read(player, body)}
          {:ok, status, _, body} -> {:failed, {status, body}, player}
          {:error, :timeout} -> {:stayed, player}
          {:error, reason} -> {:failed, reason, player}
        end
      end
    end)
  end

  def stay(:mailbox, player, ms) do
    connected(player, fn socket ->
      with {:ok, player} <- act(socket, player) do
        Process.sleep(div(ms, 2))
        drain(socket, player, Enum.random([1, 10, 100, 1000]))
      end
    end)
  end

  defp done(%{joined: true} = channel), do: {:stayed, channel.player}
  defp done(channel), do: {:failed, channel.ended || :not_joined, channel.player}

  # WebSocket

  defp visit(ws, channel, ms) do
    until = now_ms() + ms
    {texts, channel} = Channel.act(channel, :rand.uniform(@most_new + 1) - 1)
    send_texts(ws, texts)
    channel = listen(ws, channel, until, &(&1.waiting == MapSet.new()))
    channel = if :rand.uniform(2) == 1, do: listen(ws, channel, until, fn _ -> false end), else: channel
    {ack, channel} = Channel.ack(channel)

    case :rand.uniform(4) do
      1 -> send_texts(ws, [ack])
      2 -> send_texts(ws, [ack, Channel.leave()])
      3 -> WebSocket.send_frame(ws, :close, <<1000::16>>)
      4 -> :inet.setopts(ws.tcp, linger: {true, 0})
    end

    channel
  end

  defp send_texts(ws, texts), do: Enum.each(texts, &WebSocket.send_frame(ws, :text, &1))

  defp listen(_, %{ended: why} = channel, _, _) when why != nil, do: channel

  defp listen(ws, channel, until, done?) do
    left = until - now_ms()

    if done?.(channel) or left <= 0 do
      channel
    else
      case WebSocket.recv(ws, left) do
        {:text, text} -> listen(ws, Channel.take(channel, text), until, done?)
        {:close, code, reason} -> %{channel | ended: {code, reason}}
        :nothing -> channel
        :closed -> %{channel | ended: :closed}
        _ -> listen(ws, channel, until, done?)
      end
    end
  end

  # Long poll

  defp visit_by_polls(poll, channel, ms) do
    until = now_ms() + ms
    {texts, channel} = Channel.act(channel, :rand.uniform(@most_new + 1) - 1)

    with true <- texts == [] || post(poll, texts) == :ok,
         %{ended: nil} = channel <- poll(poll, channel, until, fn _ -> false end),
         true <- :rand.uniform(2) == 1 do
      {ack, channel} = Channel.ack(channel)
      # The connection may be waiting for an answer still: a poll that was given up.
      with {:ok, socket} <- Http.connect(channel.player.port) do
        post(%{poll | socket: socket}, [ack, Channel.leave()])
        :gen_tcp.close(socket)
      end

      channel
    else
      %{} = channel -> channel
      false -> channel
    end
  end

  defp post(poll, texts) do
    opts = [
      headers: [{"content-type", "application/x-ndjson"} | poll.headers],
      body: Enum.join(texts, "\n"),
      wait_ms: @answer_ms
    ]

    case Http.request(poll.socket, "POST", poll.path, opts) do
      {:ok, 200, _, %{"status" => 200}} -> :ok
      {:ok, _, _, %{"status" => status}} -> {:error, status}
      {:ok, status, _, _} -> {:error, status}
      error -> error
    end
  end

  defp poll(_, %{ended: why} = channel, _, _) when why != nil, do: channel

  defp poll(poll, channel, until, done?) do
    left = until - now_ms()

    if done?.(channel) or left <= 0 do
      channel
    else
      case Http.request(poll.socket, "GET", poll.path, headers: poll.headers, wait_ms: left) do
        {:ok, 200, _, %{"status" => 200, "messages" => texts}} ->
          poll(poll, Enum.reduce(texts, channel, &Channel.take(&2, &1)), until, done?)

        {:ok, 200, _, %{"status" => 204}} ->
          poll(poll, channel, until, done?)

        {:ok, _, _, body} ->
          %{channel | ended: body}

        {:error, reason} ->
          %{channel | ended: reason}
      end
    end
  end

  # REST

  defp connected(player, fun) do
    case Http.connect(player.port) do
      {:ok, socket} ->
        result = fun.(socket)
        if :rand.uniform(2) == 1, do: :inet.setopts(socket, linger: {true, 0})
        :gen_tcp.close(socket)
        result

      {:error, reason} ->
        {:failed, reason, player}
    end
  end

  defp act(socket, player) do
    {actions, player} = Player.actions(player, :rand.uniform(@most_new + 1) - 1)

    # One by itself has a status of its own.
    case actions do
      [] -> {:ok, player}
      [one] -> give(socket, player, one)
      list -> give(socket, player, list)
    end
  end

  defp give(socket, player, actions) do
    opts = [headers: bearer(player), body: JSON.encode!(actions), wait_ms: @answer_ms]

    case Http.request(socket, "POST", "/mailbox/#{player.session}/actions", opts) do
      {:ok, status, _, %{"results" => results}} when status in [202, 422, 429, 503] ->
        {:ok, Enum.reduce(results, player, &Player.answer(&2, &1))}

      {:ok, status, _, body} when status in [429, 500, 503] ->
        {:failed, {status, body}, player}

      {:ok, status, _, body} ->
        Player.wrong!(player, "actions were answered #{status} #{inspect(body)}")

      {:error, reason} ->
        {:failed, reason, player}
    end
  end

  # Until nothing is left: then `after` acknowledges all.
  defp drain(socket, player, limit) do
    path = "/mailbox/#{player.session}/messages?after=#{player.at}&limit=#{limit}"

    case Http.request(socket, "GET", path, headers: bearer(player), wait_ms: @answer_ms) do
      {:ok, 200, _, %{"messages" => []} = body} -> {:stayed, read(player, body)}
      {:ok, 200, _, body} when limit == 1 -> {:stayed, read(player, body)}
      {:ok, 200, _, body} -> drain(socket, read(player, body), limit)
      {:ok, status, _, body} -> {:failed, {status, body}, player}
      {:error, reason} -> {:failed, reason, player}
    end
  end

  defp read(player, %{"messages" => messages, "next" => next}) do
    messages |> Enum.reduce(player, &message(&2, &1)) |> Player.next(next)
  end

  defp message(player, %{"seq" => nil, "event" => "keyframe", "payload" => payload}),
    do: Player.keyframe(player, payload)

  defp message(player, %{"seq" => seq, "event" => event, "payload" => payload}),
    do: Player.hear(player, seq, event, payload)

  defp bearer(player), do: [{"authorization", "Bearer #{player.token}"}]

  defp now_ms, do: System.monotonic_time(:millisecond)
end
