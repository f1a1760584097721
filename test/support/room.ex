defmodule GamePlatform.Test.RoomSocket do
  @moduledoc false
  # What the tests of clients talk to; `web/conformance` knows it too.

  use GamePlatform.Socket

  channel("room:*", GamePlatform.Test.RoomChannel)
  channel("watched:*", GamePlatform.Test.WatchedChannel, assigns: %{watched: true})

  @impl true
  def connect(%{"refuse" => "1"}, _socket, _info), do: :error
  def connect(%{"refuse" => reason}, _socket, _info), do: {:error, reason}
  def connect(%{"raise" => _}, _socket, _info), do: raise("as asked")
  def connect(%{"fail" => "throw"}, _socket, _info), do: throw(:as_asked)
  def connect(%{"fail" => "exit"}, _socket, _info), do: exit(:as_asked)
  def connect(%{"fail" => "odd"}, _socket, _info), do: :odd
  def connect(%{"fail" => "clause"} = params, _socket, _info), do: none_fits(params)
  def connect(params, socket, info), do: {:ok, assign(socket, params: params, info: info)}

  defp none_fits(%{"fail" => "nothing"}), do: :error

  @impl true
  def id(%{assigns: %{params: %{"fail" => "id"}}}), do: raise("as asked")
  def id(socket), do: with(user when is_binary(user) <- socket.assigns.params["user"], do: "user:" <> user)
end

defmodule GamePlatform.Test.RoomChannel do
  @moduledoc false
  use GamePlatform.Channel

  alias GamePlatform.Presence

  @impl true
  def join("room:refused", _, _), do: {:error, %{reason: "unauthorized"}}
  def join("room:crash", _, _), do: raise("as asked")

  def join("room:" <> room, params, socket) do
    send(self(), {:joined, params})
    {:ok, %{room: room, params: params}, assign(socket, :test, GamePlatform.Test.RoomChannel.test())}
  end

  # The test that wants to see what happens here, if any.
  def test, do: :persistent_term.get(__MODULE__, nil)

  @impl true
  def handle_in("echo", payload, socket), do: {:reply, {:ok, payload}, socket}
  def handle_in("fail", _, socket), do: {:reply, {:error, %{reason: "no"}}, socket}
  def handle_in("status", _, socket), do: {:reply, :ok, socket}

  def handle_in("push_me", payload, socket) do
    push(socket, "pushed", payload)
    {:noreply, socket}
  end

  def handle_in("shout", payload, socket) do
    broadcast!(socket, "shout", payload)
    {:noreply, socket}
  end

  def handle_in("whisper", payload, socket) do
    broadcast_from!(socket, "shout", payload)
    {:noreply, socket}
  end

  def handle_in("later", payload, socket) do
    ref = socket_ref(socket)
    {:ok, _} = Task.start(fn -> reply(ref, {:ok, payload}) end)
    {:noreply, socket}
  end

  # Does nothing until the test says so.
  def handle_in("hang", _, socket) do
    push(socket, "hanging", %{})
    receive(do: (:go_on -> {:reply, :ok, socket}))
  end

  def handle_in("crash", _, _), do: raise("as asked")
  def handle_in("stop", _, socket), do: {:stop, :normal, socket}
  def handle_in("stop_reply", payload, socket), do: {:stop, :normal, {:ok, payload}, socket}

  def handle_in("whoami", _, socket),
    do: {:reply, {:ok, %{transport: socket.transport, id: socket.id}}, socket}

  @impl true
  def handle_info({:joined, %{"user" => user} = params}, socket) do
    {:ok, _} = Presence.track(socket, user, %{device: params["device"]})
    push(socket, "presence_state", Presence.list(socket))
    {:noreply, socket}
  end

  def handle_info({:joined, _}, socket), do: {:noreply, socket}

  @impl true
  def terminate(reason, socket) do
    if socket.assigns.test, do: send(socket.assigns.test, {:terminated, socket.topic, reason})
  end
end

defmodule GamePlatform.Test.WatchedChannel do
  @moduledoc false
  use GamePlatform.Channel

  intercept(["shout"])

  @impl true
  def join(_, _, socket), do: {:ok, socket}

  @impl true
  def handle_in(event, payload, socket) do
    broadcast!(socket, event, payload)
    {:reply, {:ok, %{watched: socket.assigns.watched}}, socket}
  end

  @impl true
  def handle_out("shout", payload, socket) do
    push(socket, "shout", Map.put(payload, "seen", true))
    {:noreply, socket}
  end
end
