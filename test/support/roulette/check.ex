defmodule GamePlatform.Roulette.Check do
  @moduledoc false
  # What the clients heard, held against each other and against what was published. That each message came once and in
  # order, each client has seen itself.

  alias GamePlatform.Roulette.Player

  @doc "Raises with what does not hold; else counts."
  def run(players, published) do
    beats(players, published)
    for player <- players, do: outcomes(player)
    # Devices of one player are told the same.
    for {_, [first | others]} <- Enum.group_by(players, & &1.name), other <- others, do: devices(first, other)

    %{
      beats: players |> hd() |> Map.fetch!(:beats) |> length(),
      outcomes: count(players, &map_size(&1.outcomes)),
      accepted: count(players, &answers(&1, :accepted)),
      refused: count(players, &answers(&1, :refused)),
      resent: count(players, & &1.resent),
      hops: sums(players, & &1.hops),
      failed: sums(players, & &1.failed)
    }
  end

  @doc "One who was away: what it has missed is what it was told that it has missed, and nothing after that."
  def gap(player, left, told, published) do
    seqs = for {:ok, seq} <- told, do: seq
    if player.got_gaps == [], do: Player.wrong!(player, "nobody told it of a gap")
    from = player.got_gaps |> Enum.map(&elem(&1, 0)) |> Enum.min()
    to = player.got_gaps |> Enum.map(&elem(&1, 1)) |> Enum.max()
    notes = for {seq, _} <- Enum.reverse(player.notes), do: seq
    beats = for {seq, _} <- Enum.reverse(player.beats), seq > to, do: seq
    there = for {_, {:ok, seq}} <- published, seq > to and seq <= player.at, do: seq

    cond do
      from <= left ->
        Player.wrong!(player, "the gap begins at #{from}, and it was at #{left}")

      to >= List.last(seqs) ->
        Player.wrong!(player, "the gap goes up to #{to}, and has all")

      notes != Enum.filter(seqs, &(&1 > to)) ->
        Player.wrong!(player, "after the gap #{show(notes)} came")

      beats != Enum.sort(there) ->
        Player.wrong!(player, "after the gap the beats #{show(beats)} came")

      not Enum.any?(player.keyframes, &(elem(&1, 0) >= to)) ->
        Player.wrong!(player, "no keyframe after the gap")

      true ->
        :ok
    end
  end

  # All began before the first beat.
  defp beats([first | others] = players, published) do
    all = Enum.reverse(first.beats)

    for other <- others, Enum.reverse(other.beats) != all do
      missing = all -- Enum.reverse(other.beats)
      more = Enum.reverse(other.beats) -- all

      Player.wrong!(
        other,
        "beats are not those of client #{first.n}: without #{show(missing)}, and #{show(more)} more"
      )
    end

    numbers = Enum.map(all, &elem(&1, 1))

    if numbers != Enum.uniq(numbers),
      do: Player.wrong!(first, "beats came under two numbers: #{show(numbers -- Enum.uniq(numbers))}")

    heard = Map.new(all, fn {seq, n} -> {n, seq} end)

    for {n, {:ok, seq}} <- published,
        heard[n] != seq,
        player <- Enum.take(players, 1),
        do: Player.wrong!(player, "beat #{n} was published as #{seq} and came as #{inspect(heard[n])}")

    for {n, _} <- heard, not is_map_key(published, n), do: Player.wrong!(first, "nobody published beat #{n}")
  end

  defp outcomes(%{answers: answers, outcomes: outcomes} = player) do
    for {id, {:accepted, _}} <- answers,
        not is_map_key(outcomes, id),
        do: Player.wrong!(player, "#{id} was accepted and has no outcome")

    for {id, {:refused, code, true}} <- answers,
        outcome = outcomes[id],
        do: Player.wrong!(player, "#{id} was refused (#{code}) and has the outcome #{inspect(outcome)}")

    for {id, _} <- outcomes,
        own?(player, id),
        not is_map_key(answers, id),
        do: Player.wrong!(player, "#{id} has an outcome and was never answered")

    for {id, _} <- outcomes,
        [n, m] = id |> String.split("-") |> Enum.map(&String.to_integer/1),
        n == player.n and m >= player.next,
        do: Player.wrong!(player, "#{id} has an outcome and was never sent")
  end

  defp own?(player, id), do: String.starts_with?(id, "#{player.n}-")

  # One of them may have heard more before it ended.
  defp devices(one, other) do
    up_to = min(one.at, other.at)

    [mine, theirs] =
      for device <- [one, other],
          do: for({id, {seq, _, _, _}} <- device.outcomes, seq <= up_to, do: {seq, id})

    if Enum.sort(mine) != Enum.sort(theirs) do
      Player.wrong!(
        other,
        "outcomes are not those of client #{one.n}: without #{show(mine -- theirs)}, #{show(theirs -- mine)} more"
      )
    end
  end

  defp answers(player, status),
    do: Enum.count(player.answers, fn {_, answer} -> elem(answer, 0) == status end)

  defp count(players, fun), do: players |> Enum.map(fun) |> Enum.sum()

  defp sums(players, fun),
    do: players |> Enum.map(fun) |> Enum.reduce(&Map.merge(&1, &2, fn _, a, b -> a + b end))

  defp show(list), do: inspect(list, limit: 20)
end
