defmodule GamePlatformWeb.WorldChannel.Mailbox do
  @moduledoc false
  # The messages of a channel that a client gets exactly once and in order. What it has missed is read and pushed here;
  # as soon as it has everything, the sequencer goes on, so that nothing is told twice or left out in between.

  import GamePlatform.Channel, only: [push: 3]
  import GamePlatform.Socket, only: [assign: 3]

  alias GamePlatform.{JSON, Mail, Sessions}
  alias GamePlatform.Transport.Egress

  # What is pushed at once, and the time until the next: a queue of the edge is not to overflow with what is old.
  @batch 256
  @pause_ms 20
  @again_ms 250
  @most 0x1F_FFFF_FFFF_FFFF

  # From where on: what the client says, else what its session knows, else now. Who has no box of a player only watches.
  def open(%{assigns: %{game: game} = assigns} = socket, params, boxes) do
    mail = %{boxes: boxes, at: nil, device: device(assigns), sequencer: nil, anew: false}

    with :ok <- good(game, assigns.identity),
         {:ok, resume} <- seq("resume", Map.get(params, "resume", assigns[:resume])),
         last = Mail.last(game),
         # Numbers begin anew in a server that keeps nothing: then nothing of what was seen is of this one.
         anew = resume != nil and resume > last,
         resume = if(anew, do: last, else: resume),
         {:ok, acked} <-
           if(player?(boxes), do: Sessions.join(game, assigns.identity, mail.device), else: {:ok, last}) do
      if resume && player?(boxes), do: Sessions.acked(game, assigns.player, mail.device, resume)
      {:ok, assign(socket, :mail, %{mail | at: resume || acked, anew: anew})}
    end
  end

  defp good(game, identity) do
    with {:error, _} <- Sessions.good(game, identity),
         do: {:error, %{reason: "the token is refused: it has been revoked"}}
  end

  defp player?(boxes), do: Enum.any?(boxes, &match?({:player, _}, &1))

  # A socket without a session is a device as long as it lives.
  defp device(%{identity: %{session_id: nil}}), do: "ws:" <> Base.url_encode64(:crypto.strong_rand_bytes(9))
  defp device(%{identity: %{session_id: id}}), do: id

  # The parameters of a socket are text.
  defp seq(_, nil), do: {:ok, nil}
  defp seq(_, seq) when is_integer(seq) and seq in 0..@most, do: {:ok, seq}

  defp seq(name, text) when is_binary(text) and byte_size(text) <= 16 do
    case Integer.parse(text) do
      {seq, ""} -> seq(name, seq)
      _ -> wrong(name)
    end
  end

  defp seq(name, _), do: wrong(name)

  defp wrong(name),
    do: {:error, %{reason: "#{name} is the last seq that you have seen, a number", field: name}}

  # Pushes what the client lacks. `:gap` if that is not all there was.
  def catch_up(%{assigns: %{mail: %{anew: true, at: at} = mail}} = socket) do
    gap(socket, min(at, 1), at)
    {_, socket} = socket |> assign(:mail, %{mail | anew: false}) |> catch_up()
    {:gap, socket}
  end

  def catch_up(%{assigns: %{mail: mail, game: game}} = socket) do
    case Mail.read(game, mail.boxes, mail.at, limit: @batch) do
      {:ok, messages, next} ->
        {:ok, pushed(socket, messages, next)}

      {:gap, {from, to}, messages, next} ->
        gap(socket, from, to)
        {:gap, pushed(socket, messages, next)}

      {:error, _} ->
        {:ok, later(socket, @again_ms)}
    end
  end

  defp gap(socket, from, to), do: push(socket, "gap", %{seq: to, from: from, to: to})

  defp pushed(socket, messages, next) do
    for message <- messages, do: push(socket, message.event, payload(message))
    socket = at(socket, next)

    cond do
      messages == [] ->
        attach(socket)

      length(messages) == @batch ->
        later(socket, @pause_ms)

      # What has been pushed is at the egress before anything that the sequencer sends.
      true ->
        Egress.room?(socket)
        attach(socket)
    end
  end

  defp payload(%{seq: seq, json: json}) do
    {:ok, payload} = JSON.decode(json)
    Map.put(payload, "seq", seq)
  end

  defp attach(%{assigns: %{mail: mail, game: game}} = socket) do
    case Mail.attach(game, {:socket, socket}, mail.boxes, mail.at) do
      {:ok, sequencer} ->
        assign(socket, :mail, %{mail | sequencer: Process.monitor(sequencer)})

      :behind ->
        later(socket, 0)

      {:error, _} ->
        later(socket, @again_ms)
    end
  end

  defp at(socket, seq), do: assign(socket, :mail, %{socket.assigns.mail | at: seq})

  defp later(socket, ms) do
    Process.send_after(self(), :mail, ms)
    socket
  end

  # How far the client has been told is known to the sequencer alone, so if that is gone the client has to say it.
  def gone?(%{assigns: %{mail: %{sequencer: monitor}}}, down), do: monitor != nil and monitor == down

  def ack(%{assigns: %{game: game, player: player, mail: mail}}, %{"seq" => seq}) do
    with {:ok, seq} when seq != nil <- seq("seq", seq),
         true <- seq <= Mail.last(game) do
      if player?(mail.boxes), do: Sessions.acked(game, player, mail.device, seq)
      {:ok, %{}}
    else
      {:error, %{reason: _} = error} -> {:error, error}
      _ -> wrong("seq")
    end
  end

  def ack(_, _), do: wrong("seq")
end
