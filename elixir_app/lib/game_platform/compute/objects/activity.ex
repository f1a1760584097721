defmodule GamePlatform.Compute.Objects.Activity do
  @moduledoc false
  # What a machine is about to do, as its `state` says:
  #
  #   * `:halted`: its own cell burns. Nothing else matters then.
  #   * `:working`: a craft in progress that gets work in the next tick; a dynamo that burns; a belt whose item is on its
  #     way; a store that gives an item out
  #   * `:no_fuel`: a craft in progress, or a dynamo, that has nothing left to burn (and, for a craft, no fire beside it)
  #   * `:no_drive`: a craft in progress that neither wind nor a dynamo beside it moves
  #   * `:full`: an idle craft without room for its product; a belt whose item has been due and was not taken; a full store
  #   * `:waiting`: an idle craft that lacks ingredients, or a cell to harvest; a complete one that looks for its cell
  #   * `:idle`: a craft without recipe; a dynamo that nobody needs; an empty belt; a store that only keeps
  #
  # Fire and dynamos beside it are only known from the neighbours' sites. Without them a craft without fuel counts as
  # `:no_fuel`, and one that needs drive as `:working`.

  alias GamePlatform.Compute.{Economy, Objects}

  @idle 0xFFFF
  @crafts_kept 10

  @type state :: :working | :waiting | :full | :no_fuel | :no_drive | :halted | :idle

  @spec of(Economy.t(), non_neg_integer, Objects.site(), map, [Objects.site()] | nil) :: state
  def of(%{fire: fire} = economy, tick, {kind, _, _, _, _} = site, parts, around) do
    if kind == fire, do: :halted, else: state(parts.does, economy, tick, site, parts, around)
  end

  defp state("craft", economy, _, site, parts, around) do
    recipe = Objects.recipe(economy, parts)

    cond do
      recipe == nil -> :idle
      parts.progress == @idle -> if full?(recipe, parts), do: :full, else: :waiting
      parts.progress == recipe["time"] -> :waiting
      true -> moved(economy, site, parts, around)
    end
  end

  defp state("drive", _, _, _, %{fuel: {_, count, burn}}, _) do
    cond do
      burn > 0 -> :working
      count == 0 -> :no_fuel
      true -> :idle
    end
  end

  defp state("store", _, _, _, %{stored: stored, filter: filter, entry: %{"room" => room}}, _) do
    cond do
      stored |> Enum.map(&elem(&1, 1)) |> Enum.sum() >= room -> :full
      List.keymember?(stored, filter, 0) -> :working
      true -> :idle
    end
  end

  # Ready in an earlier tick than the next one, it has been offered in vain.
  defp state(_, economy, tick, _, %{held: held}, _) do
    case for {item, ready} <- held, Economy.item?(economy, item), do: ready do
      [] -> :idle
      ready -> if Enum.any?(ready, &(&1 < tick)), do: :full, else: :working
    end
  end

  defp full?(%{"out" => [_, n]}, %{out: out}), do: out + n > @crafts_kept * n
  defp full?(_, _), do: false

  defp moved(economy, site, %{entry: entry} = parts, around) do
    cond do
      not needs_more?(entry, parts) ->
        :working

      entry["burns"] ->
        if around != nil and Enum.any?(around, &fire?(economy, &1)), do: :working, else: :no_fuel

      around == nil or Enum.any?(around, &drives?(economy, &1, site)) ->
        :working

      true ->
        :no_drive
    end
  end

  # Nothing of its own moves it.
  defp needs_more?(%{"burns" => true}, %{fuel: {_, count, burn}}), do: count == 0 and burn == 0
  defp needs_more?(%{"wind" => wind}, _), do: wind == 0

  defp fire?(%{fire: fire}, {kind, _, _, _, _}), do: kind == fire

  # A dynamo that burns, or would for this machine.
  defp drives?(economy, {_, _, bytes, owner, _} = site, {_, _, _, mine, grant}) when is_binary(bytes) do
    with false <- fire?(economy, site),
         true <- owner == mine or owner == grant,
         {:ok, %{does: "drive", fuel: {_, count, burn}}} <- Objects.parse(economy, bytes) do
      burn > 0 or count > 0
    else
      _ -> false
    end
  end

  defp drives?(_, _, _), do: false

  @doc "Whether `of/5` would look at the neighbours."
  @spec looks_around?(Economy.t(), map) :: boolean
  def looks_around?(economy, %{does: "craft", progress: progress} = parts) when progress != @idle do
    recipe = Objects.recipe(economy, parts)
    recipe != nil and progress < recipe["time"] and needs_more?(parts.entry, parts)
  end

  def looks_around?(_, _), do: false
end
