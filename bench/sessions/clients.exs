defmodule GamePlatform.Bench.Sessions.Clients do
  # Sessions that act at their own times over one transport each, and note how long it took until they heard the outcome:
  # tasks that tell their owner `:ready`, begin at the time of `{:go, ms}`, and end with `[{what, us}]` after `:stop`.

  alias GamePlatform.Bench.Sessions.Http
  alias GamePlatform.Bots.WebSocket
  alias GamePlatform.{CLI, JSON, Multiplayer}

  @topic "world:main"
  # How often a mailbox is looked into by who waits for something.
  @look_ms 20
  @tick_ms 50

  # `every_ms`: how often it acts.
  def start(transport, plan) do
    state = Map.merge(plan, %{owner: self(), n: 0, due: nil, found: []})
    Task.async(fn -> run(transport, state) end)
  end

  def go(task, at_ms), do: send(task.pid, {:go, at_ms})

  def stop(task), do: send(task.pid, :stop)

  defp ready(state) do
    send(state.owner, :ready)
    state
  end

  # Until there is something to do, or for so long.
  defp rest(state) do
    receive do
      :stop -> :stop
      {:go, at_ms} -> {:go, %{state | due: at_ms}}
    after
      left_ms(state) -> {:go, state}
    end
  end

  # A claim of a pentagon: the rules refuse it when it is executed, and the world stays as it is.
  defp action(n), do: %{"action_id" => "b#{n}", "action" => "claim", "cell" => 0}

  defp note(state, what, us), do: %{state | found: [{what, us} | state.found]}

  # Not always at the same time of a tick.
  defp acted(state) do
    due = state.due + state.every_ms + :rand.uniform(@tick_ms) - div(@tick_ms, 2)
    %{state | n: state.n + 1, due: max(due, now_ms())}
  end

  defp left_ms(%{due: nil}), do: 1_000
  defp left_ms(state), do: max(state.due - now_ms(), 0)
  defp due?(state), do: state.due != nil and state.due <= now_ms()

  # In the VM, without any client's transport: what the world itself takes.
  defp run(:multiplayer, state) do
    name = "bench #{state.number}"
    {:ok, _} = Multiplayer.enter(state.game, name)
    :ok = Multiplayer.follow(state.game, name)
    within(name, ready(state))
  end

  defp run(transport, state) when transport in [:websocket, :longpoll] do
    socket = Http.connect(state.port)
    session = Http.session(socket)
    :gen_tcp.close(socket)
    channel(transport, state, URI.encode_query(vsn: "2.0.0", token: session["token"]))
  end

  defp run(transport, state) do
    socket = Http.connect(state.port)
    session = Http.session(socket)

    state =
      Map.merge(state, %{act: socket, read: Http.connect(state.port), session: session, at: session["seq"]})

    requests(transport, ready(state))
  end

  defp within(name, state) do
    with {:go, state} <- rest(state) do
      if due?(state), do: within(name, act_within(name, state)), else: within(name, state)
    else
      :stop -> state.found
    end
  end

  defp act_within(name, state) do
    id = "b#{state.n}"
    began = now_us()
    action = %{action_id: id, action: "claim", cell: 0}
    {:ok, [%{status: :accepted}]} = Multiplayer.submit(state.game, name, [action])
    await_outcome(name, id)
    state |> note(:action, now_us() - began) |> acted()
  end

  defp await_outcome(name, id) do
    receive do
      {:outcomes, ^name, outcomes} -> Enum.any?(outcomes, &(&1.action_id == id)) || await_outcome(name, id)
    end
  end

  # Channels

  defp channel(:websocket, state, query) do
    {:ok, ws} = WebSocket.connect("127.0.0.1", state.port, "/socket/websocket?" <> query)
    talk = %{send: &WebSocket.send_frame(ws, :text, &1), recv: &receive_frames(ws, &1)}
    joined(Map.merge(state, %{talk: talk, sent: %{}}), %{"binary" => true})
  end

  defp channel(:longpoll, state, query) do
    [polls, posts] = for _ <- 1..2, do: Http.connect(state.port)
    path = "/socket/longpoll?" <> query
    {200, %{"token" => token}} = Http.request(polls, "GET", path)
    headers = [{"x-phoenix-longpoll-token", token}]
    batch = [{"content-type", "application/x-ndjson"} | headers]
    send = fn text -> {200, %{"status" => 200}} = Http.request(posts, "POST", path, batch, text) end
    # Who acts does not wait for a poll to end.
    owner = self()
    poller = spawn_link(fn -> receive(do: (:go -> poll(polls, path, headers, owner))) end)
    :ok = :gen_tcp.controlling_process(polls, poller)
    send(poller, :go)
    talk = %{send: send, recv: &receive_polled/1}
    found = joined(Map.merge(state, %{talk: talk, sent: %{}}), %{})
    Process.unlink(poller)
    Process.exit(poller, :kill)
    found
  end

  defp poll(socket, path, headers, owner) do
    {200, answer} = Http.request(socket, "GET", path, headers)
    at = now_us()
    for text <- answer["messages"] || [], do: send(owner, {:polled, at, text})
    poll(socket, path, headers, owner)
  end

  defp receive_polled(wait_ms) do
    receive do
      {:polled, at, text} -> {at, text}
    after
      wait_ms -> :nothing
    end
  end

  defp receive_frames(ws, wait_ms) do
    case WebSocket.recv(ws, wait_ms) do
      {:text, text} -> {now_us(), text}
      :nothing -> :nothing
      {opcode, _} when opcode in [:binary, :ping, :pong] -> :nothing
    end
  end

  defp joined(state, params) do
    push(state, "1", "phx_join", params)
    # Of the field it wants to know as little as may be.
    push(state, "2", "look", %{"cell" => 0, "radius" => 0})
    listen(state)
  end

  defp push(state, ref, event, payload),
    do: state.talk.send.(JSON.encode!(["1", ref, @topic, event, payload]))

  defp listen(state) do
    receive do
      :stop -> state.found
      {:go, at_ms} -> listen(%{state | due: at_ms})
    after
      0 -> if(due?(state), do: act(state), else: hear(state))
    end
  end

  defp act(state) do
    push(state, "a#{state.n}", "action", action(state.n))
    listen(acted(%{state | sent: Map.put(state.sent, "b#{state.n}", now_us())}))
  end

  defp hear(state) do
    case state.talk.recv.(min(left_ms(state), 200)) do
      :nothing -> listen(state)
      {at, text} -> text |> JSON.decode() |> CLI.ok!() |> heard(at, state) |> listen()
    end
  end

  defp heard([_, _, @topic, "outcome", %{"action_id" => id}], at, state) do
    case Map.pop(state.sent, id) do
      {nil, _} -> state
      {began, sent} -> note(%{state | sent: sent}, :action, at - began)
    end
  end

  defp heard([_, _, @topic, "beat", %{"us" => us}], at, state), do: note(state, :delivery, at - us)
  defp heard([_, "1", _, "phx_reply", %{"status" => "ok"}], _, state), do: ready(state)
  defp heard([_, "1", _, "phx_reply", why], _, _), do: raise(inspect(why))
  defp heard(_, _, state), do: state

  # REST

  defp requests(transport, state) do
    case rest(state) do
      :stop -> state.found
      {:go, state} -> requests(transport, if(due?(state), do: act(transport, state), else: state))
    end
  end

  defp act(transport, state) do
    began = now_us()
    path = "/mailbox/#{state.session["session_id"]}/actions"

    {202, _} =
      Http.request(state.act, "POST", path, Http.bearer(state.session), JSON.encode!(action(state.n)))

    state = await(transport, state, "b#{state.n}")
    state |> note(:action, now_us() - began) |> acted()
  end

  defp await(transport, state, id) do
    {us, {status, body}} = :timer.tc(fn -> read(transport, state) end)
    state = if transport == :mailbox, do: note(state, :round_trip, us), else: state

    if status == 200 do
      state = %{state | at: body["next"]}

      if Enum.any?(body["messages"], &match?(%{"payload" => %{"action_id" => ^id}}, &1)),
        do: state,
        else: again(transport, state, id)
    else
      again(transport, state, id)
    end
  end

  defp again(transport, state, id) do
    if transport == :mailbox, do: Process.sleep(@look_ms)
    await(transport, state, id)
  end

  defp read(transport, %{session: session} = state) do
    path =
      if transport == :poll,
        do: "/poll/#{session["session_id"]}",
        else: "/mailbox/#{session["session_id"]}/messages"

    Http.request(state.read, "GET", "#{path}?after=#{state.at}", Http.bearer(session))
  end

  defp now_ms, do: System.monotonic_time(:millisecond)
  defp now_us, do: System.monotonic_time(:microsecond)
end
