defmodule GamePlatform.Roulette.Channel do
  @moduledoc false
  # A stay on the channel world:main, whatever carries it: texts to be sent, and texts that come.

  alias GamePlatform.JSON
  alias GamePlatform.Roulette.Player

  @topic "world:main"
  @join "1"

  # `waiting`: the references of questions that have no answer yet.
  defstruct [:player, ref: 2, waiting: MapSet.new(), joined: false, ended: nil]

  def new(player), do: %__MODULE__{player: player}

  @doc "Parameters of the socket, and of the join: the place in the mailbox is told in either."
  def params(player) do
    own = %{"vsn" => "2.0.0", "token" => player.token}

    if :rand.uniform(2) == 1,
      do: {Map.put(own, "resume", player.at), %{}},
      else: {own, %{"resume" => player.at}}
  end

  def join(params), do: text(@join, @join, "phx_join", params)
  def leave, do: text(@join, "0", "phx_leave", %{})

  @doc "The texts of new and unanswered actions."
  def act(channel, new) do
    {actions, player} = Player.actions(channel.player, new)
    Enum.map_reduce(actions, %{channel | player: player}, &push(&2, "action", &1))
  end

  def ack(channel), do: push(channel, "ack", %{"seq" => channel.player.at})

  defp push(channel, event, payload) do
    ref = "#{channel.ref}"
    waiting = if event == "action", do: MapSet.put(channel.waiting, ref), else: channel.waiting
    {text(@join, ref, event, payload), %{channel | ref: channel.ref + 1, waiting: waiting}}
  end

  defp text(join, ref, event, payload), do: JSON.encode!([join, ref, @topic, event, payload])

  def take(channel, text) do
    {:ok, message} = JSON.decode(text)
    took(message, channel)
  end

  defp took([_, @join, _, "phx_reply", %{"status" => "ok"}], channel), do: %{channel | joined: true}

  defp took([_, @join, _, "phx_reply", %{"response" => response}], channel),
    do: %{channel | ended: {:not_joined, response["reason"]}}

  # It has been killed, and that was not heard yet when something was sent.
  defp took([_, _, _, "phx_reply", %{"response" => %{"reason" => "unmatched topic"}}], channel),
    do: %{channel | ended: :unmatched}

  defp took([_, ref, _, "phx_reply", %{"response" => response}], channel) do
    if ref in channel.waiting do
      waiting = MapSet.delete(channel.waiting, ref)
      %{channel | waiting: waiting, player: Player.answer(channel.player, response)}
    else
      channel
    end
  end

  defp took([_, _, @topic, event, _], channel) when event in ["phx_error", "phx_close"],
    do: %{channel | ended: event}

  defp took([_, _, @topic, event, %{"seq" => seq} = payload], channel),
    do: %{channel | player: Player.hear(channel.player, seq, event, payload)}

  # `docs/ipc.md`
  defp took([_, _, @topic, "keyframe", %{"data" => data}], channel) do
    <<"gp", _::binary-size(14), tick::64-little, _::binary>> = Base.decode64!(data)
    %{channel | player: Player.keyframe(channel.player, tick)}
  end

  defp took([_, _, @topic, event, payload], channel) when event in ["outcome", "beat", "note", "gap"],
    do: Player.wrong!(channel.player, "#{event} without seq: #{inspect(payload)}")

  defp took(_, channel), do: channel
end
