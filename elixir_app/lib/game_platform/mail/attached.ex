defmodule GamePlatform.Mail.Attached do
  @moduledoc false
  # Who is told of messages as they come. It is the sequencer that tells them all, so that they come in order.
  #
  # Sockets are subscribed to a stream of their topic, and a message to a topic is broadcast once. The stream bears a
  # name of this sequencer: sockets that its predecessor subscribed get nothing until they are attached again.

  alias GamePlatform.Socket
  alias GamePlatform.Transport.Egress

  # pid => {target, boxes, monitor}; box => %{pid => target}
  defstruct [:game, :part, pids: %{}, boxes: %{}]

  def new(game), do: %__MODULE__{game: game, part: "mail-#{System.unique_integer([:positive])}"}

  def count(%{pids: pids}), do: map_size(pids)

  def add(attached, target, boxes) do
    pid = pid(target)
    attached = remove(attached, pid)

    for {:topic, topic} <- boxes,
        {:socket, socket} <- [target],
        do: Egress.subscribe(socket, key(attached, topic))

    pids = Map.put(attached.pids, pid, {target, boxes, Process.monitor(pid)})

    index =
      Enum.reduce(boxes, attached.boxes, fn box, index ->
        Map.update(index, box, %{pid => target}, &Map.put(&1, pid, target))
      end)

    attached = %{attached | pids: pids, boxes: index}

    # One that has been replaced while it waited for this: with it the edge ended its streams, but not this one.
    if ended?(pid), do: remove(attached, pid), else: attached
  end

  defp ended?(pid), do: node(pid) == node() and not Process.alive?(pid)

  @doc "Without a process, whose socket is not told of topics any more."
  def remove(attached, pid) do
    case attached.pids do
      %{^pid => {{:socket, socket}, boxes, _}} ->
        for {:topic, topic} <- boxes, do: Egress.unsubscribe(socket, key(attached, topic))
        gone(attached, pid)

      _ ->
        gone(attached, pid)
    end
  end

  @doc "The process has ended. With the channel the edge has ended its streams, and another channel may have begun its own."
  def gone(attached, pid) do
    case Map.pop(attached.pids, pid) do
      {nil, _} ->
        attached

      {{_, boxes, monitor}, pids} ->
        Process.demonitor(monitor, [:flush])
        %{attached | pids: pids, boxes: Enum.reduce(boxes, attached.boxes, &leave(&1, pid, &2))}
    end
  end

  defp leave(box, pid, index) do
    case Map.delete(index[box] || %{}, pid) do
      left when left == %{} -> Map.delete(index, box)
      left -> Map.put(index, box, left)
    end
  end

  @doc "The process that a target ends with."
  def pid({:pid, pid}), do: pid
  def pid({:socket, %Socket{channel_pid: pid}}), do: pid

  defp key(attached, topic), do: Egress.key(topic, attached.part)

  @doc "Tells messages, which are in order."
  def tell(%{pids: pids}, _) when pids == %{}, do: :ok

  def tell(attached, messages) do
    messages
    |> Enum.reduce(%{}, fn message, own -> tell(attached, message, own) end)
    |> Enum.each(fn {pid, own} -> send(pid, {:mail, attached.game, Enum.reverse(own)}) end)
  end

  # What goes to a process is gathered, and told in one message.
  defp tell(attached, %{box: box} = message, own) do
    targets = Map.get(attached.boxes, box, %{})
    public = Map.take(message, [:seq, :tick, :event, :json])
    payload = if targets != %{}, do: {:json, with_seq(message)}

    {own, egresses} =
      Enum.reduce(targets, {own, []}, fn
        {pid, {:pid, _}}, {own, egresses} ->
          {Map.update(own, pid, [public], &[public | &1]), egresses}

        {_, {:socket, socket}}, {own, egresses} ->
          {own, push(box, socket, message, payload, egresses)}
      end)

    with {:topic, topic} <- box,
         do:
           for(
             egress <- egresses,
             do: Egress.broadcast(egress, key(attached, topic), topic, message.event, payload)
           )

    own
  end

  defp push({:player, _}, socket, message, payload, egresses) do
    Egress.push(socket, socket.join_ref, nil, message.event, payload)
    egresses
  end

  defp push({:topic, _}, %{private: %{egress: egress}}, _, _, egresses),
    do: if(egress in egresses, do: egresses, else: [egress | egresses])

  @doc "The payload of a message on a channel: `seq` is a field of it."
  def with_seq(%{seq: seq, json: "{}"}), do: ~s({"seq":#{seq}})
  def with_seq(%{seq: seq, json: "{" <> fields}), do: ~s({"seq":#{seq},#{fields})
end
