defmodule GamePlatform.Roulette.Player do
  @moduledoc false
  # What a client of the roulette knows: where it is in its mailbox, what it has heard, and what became of what it did.
  # It believes the server that each message comes once and in order, and says so at once when that does not hold.

  alias GamePlatform.Compute

  # Unanswered actions of a client: what is sent again must be among the player's last outcomes.
  @most_pending 6
  # A player has 20 actions a second.
  @most_again 2
  # Refused for now, and to be sent again under the same id.
  @later ~w(busy rate_limited log_behind log_down log_full unknown_player not_running)
  @remembered 12

  defstruct [:n, :port, :frequency, :secret, :name, :token, :session, :home, :start, :at, gaps: :none] ++
              [next: 1, pending: %{}, answers: %{}, outcomes: %{}, beats: [], notes: [], got_gaps: []] ++
              [keyframes: [], hops: %{}, failed: %{}, resent: 0, recent: [], resting: false, last: []]

  @type t :: %__MODULE__{}

  @doc "A message with a number: once, after all before it."
  def hear(%{at: at} = player, seq, event, _) when not is_integer(seq) or seq <= at,
    do: wrong!(player, "#{event} #{inspect(seq)} came to one who was at #{at}")

  def hear(player, seq, event, payload) do
    last = Enum.take([{seq, event} | player.last], @remembered)
    heard(%{player | at: seq, last: last}, seq, event, payload)
  end

  defp heard(%{gaps: :none} = player, seq, "gap", payload),
    do: wrong!(player, "a gap came as #{seq}: #{inspect(payload)}")

  defp heard(player, seq, "gap", %{"from" => from, "to" => seq}),
    do: %{player | got_gaps: [{from, seq} | player.got_gaps]}

  defp heard(player, seq, "outcome", %{"action_id" => id} = outcome) do
    if known = player.outcomes[id],
      do: wrong!(player, "the outcome of #{id} came as #{seq}, and as #{inspect(known)} before")

    kept = {seq, outcome["outcome"], outcome["code"], outcome["tick"]}
    %{player | outcomes: Map.put(player.outcomes, id, kept)}
  end

  defp heard(player, seq, "beat", %{"n" => n}), do: %{player | beats: [{seq, n} | player.beats]}
  defp heard(player, seq, "note", %{"n" => n}), do: %{player | notes: [{seq, n} | player.notes]}
  defp heard(player, seq, event, payload), do: wrong!(player, "#{event} #{seq}: #{inspect(payload)}")

  @doc "A keyframe, which has no number: it is told after a gap. In a mailbox it has cells."
  def keyframe(player, %{"cells" => [_ | _], "tick" => tick}), do: keyframe(player, tick)

  def keyframe(player, tick) when is_integer(tick),
    do: %{player | keyframes: [{player.at, tick} | player.keyframes]}

  def keyframe(player, other), do: wrong!(player, "no keyframe: #{inspect(other)}")

  @doc "Everything up to there was told: others' messages may lie between."
  def next(player, next) when is_integer(next) and next >= player.at, do: %{player | at: next}
  def next(player, next), do: wrong!(player, "next is #{inspect(next)} for one who was at #{player.at}")

  @doc "What it sends now: of what is unanswered the oldest, under its id, and up to so many new actions."
  def actions(player, new) do
    new = if player.resting, do: 0, else: min(new, @most_pending - map_size(player.pending))
    again = player.pending |> Enum.sort_by(fn {_, {action, _}} -> action["n"] end) |> Enum.take(@most_again)
    player = Enum.reduce(1..new//1, player, fn _, player -> add(player) end)
    fresh = Enum.filter(player.pending, fn {_, {_, sent}} -> sent == 0 end)
    now = Enum.sort_by(Enum.uniq(again ++ fresh), fn {_, {action, _}} -> action["n"] end)
    sent = Map.new(now, fn {id, {action, sent}} -> {id, {action, sent + 1}} end)
    player = %{player | pending: Map.merge(player.pending, sent), resent: player.resent + length(again)}
    {for({_, {action, _}} <- now, do: Map.delete(action, "n")), player}
  end

  defp add(%{next: next} = player) do
    id = "#{player.n}-#{next}"
    action = player |> fields() |> Map.merge(%{"action_id" => id, "n" => next})
    %{player | next: next + 1, pending: Map.put(player.pending, id, {action, 0})}
  end

  # Some take time, some are refused by the rules, and some at once.
  defp fields(%{home: home, frequency: frequency}) do
    cell = Enum.random([home | Compute.neighbours(frequency, home)])

    case :rand.uniform(24) do
      1 -> %{"action" => "craft", "recipe" => "twist_cord", "count" => 1}
      2 -> %{"action" => Enum.random(["gather", "move", "move", "move"]), "cell" => cell}
      3 -> %{"action" => "move", "cell" => cell}
      4 -> %{"action" => "place", "cell" => cell, "prototype" => "extractor", "direction" => 0}
      5 -> %{"action" => "remove", "cell" => cell}
      6 -> %{"action" => "claim"}
      7 -> %{"action" => "dance", "cell" => cell}
      n when n < 16 -> %{"action" => "claim", "cell" => cell}
      _ -> %{"action" => "release", "cell" => cell}
    end
  end

  @doc "What an action was answered."
  def answer(player, %{"action_id" => id, "status" => "accepted", "tick" => tick}),
    do: answered(player, id, {:accepted, tick})

  def answer(player, %{"action_id" => id, "status" => "refused", "code" => code}) do
    case player.pending[id] do
      _ when code in @later -> player
      # Sent before without an answer, it may have been taken then.
      {_, sent} -> answered(player, id, {:refused, code, sent == 1})
      nil -> player
    end
  end

  def answer(player, other), do: wrong!(player, "no answer to an action: #{inspect(other)}")

  defp answered(player, id, answer) do
    case Map.pop(player.pending, id) do
      {nil, _} -> player
      {_, pending} -> %{player | pending: pending, answers: Map.put(player.answers, id, answer)}
    end
  end

  @doc "What it waits for: answers, outcomes of what was accepted, and that beat."
  def unsettled(player, beat) do
    heard? = Enum.any?(player.beats, &(elem(&1, 1) == beat))
    pending = for {id, _} <- player.pending, do: {:answer, id}

    outcomes =
      for {id, {:accepted, _}} <- player.answers, not is_map_key(player.outcomes, id), do: {:outcome, id}

    if(heard?, do: [], else: [{:beat, beat}]) ++ pending ++ outcomes
  end

  @doc "Remembers what was done last, for who has to find out why something went wrong."
  def note(player, what), do: %{player | recent: Enum.take([{player.at, what} | player.recent], @remembered)}

  @spec wrong!(t, String.t()) :: no_return
  def wrong!(player, sentence) do
    recent = player.recent |> Enum.reverse() |> Enum.map_join("\n", &"  #{inspect(&1)}")

    raise ExUnit.AssertionError,
      message:
        "client #{player.n} (#{player.name}): #{sentence}; before:\n#{recent}\nheard: #{inspect(Enum.reverse(player.last))}"
  end
end
