defmodule GamePlatform.Compute.Beam.Rule do
  @moduledoc false
  # The field rule, clause by clause. A clause's masks have one bit per code, `kind ||| ripe <<< 3`.

  import Bitwise
  alias GamePlatform.Compute.Beam.{Random, Topology}

  # The rows of one beat by the slot they act in.
  def slots(%{"beat" => beat}, seed, f, beat_index) do
    Enum.group_by(0..(Topology.rows(f) - 1), &rem(Random.key(seed, beat_index, &1, 1), beat))
  end

  # The cells of `row` after `tick`, as [{id, {kind, amount}}].
  def act(ruleset, seed, f, tick, row, cells) do
    key = Random.key(seed, tick, row, 0)

    for {id, j} <- Enum.with_index(Topology.row_cells(f, row)) do
      around = for neighbour <- Topology.neighbours(f, id), do: code(ruleset, cells[neighbour])
      {id, next(ruleset, cells[id], around, Random.dice(key, j))}
    end
  end

  defp next(ruleset, {kind, amount} = cell, around, dice) do
    %{"cap" => cap} = Enum.at(ruleset["kinds"], kind)
    counts = for counter <- ruleset["counters"], do: Enum.count(around, &selects?(counter["of"], &1))
    own = {code(ruleset, cell), amount >= cap}

    added = for clause <- ruleset["grow"], matches?(clause, own, counts, dice), do: clause["add"]
    grown = (amount + signed_byte(Enum.sum(added))) |> max(0) |> min(65535) |> min(cap)

    {kind, amount} =
      case Enum.find(ruleset["turn"], &matches?(&1, own, counts, dice)) do
        nil -> {kind, grown}
        %{"to" => to, "amount" => nil} -> {to, grown}
        %{"to" => to, "amount" => constant} -> {to, constant}
      end

    if amount == 0, do: {Enum.at(ruleset["kinds"], kind)["spent"], 0}, else: {kind, amount}
  end

  defp signed_byte(sum), do: sum |> max(-128) |> min(127)

  defp matches?(clause, {code, full?}, counts, [z0 | rest]) do
    [n, r] = clause["chance"]

    selects?(clause["of"], code) and (full? or not clause["full"]) and
      Enum.zip(clause["when"], counts) |> Enum.all?(fn {mask, count} -> selects?(mask, count) end) and
      z0 < n and rest |> Enum.take(r) |> Enum.all?(&(&1 == 0))
  end

  defp selects?(mask, bit), do: rem(mask >>> bit, 2) == 1

  defp code(ruleset, {kind, amount}) do
    if amount >= Enum.at(ruleset["kinds"], kind)["ripe"], do: kind ||| 8, else: kind
  end
end
