defmodule GamePlatform.Compute.Beam do
  @moduledoc false
  # The executable specification: small, slow, plain Elixir. It shares no code with the native kernel
  # but the reader of rulesets and the BLAKE3 function.

  @behaviour GamePlatform.Compute.Backend

  alias GamePlatform.Compute.Beam.{Generator, Rule, Topology}
  alias GamePlatform.Native

  # A map entry with its tuple and key, measured on OTP 25.
  @bytes_per_cell 120

  @impl true
  def bytes(frequency), do: @bytes_per_cell * Topology.cells(frequency)

  @impl true
  def new(%{frequency: f, seed: seed, ruleset: %{terms: ruleset, hash: hash}}) do
    {:ok, %{f: f, seed: seed, ruleset: ruleset, hash: hash, tick: 0, cells: nil, slots: nil}}
  end

  @impl true
  def generate(state, _slice_us) do
    {:ok, true, %{state | cells: Generator.cells(state.ruleset, state.seed, state.f)}}
  end

  @impl true
  def fill(state, kinds, amounts) do
    {wanted, known} = {Topology.cells(state.f), length(state.ruleset["kinds"])}
    kinds = :binary.bin_to_list(kinds)
    amounts = for <<amount::16-little <- amounts>>, do: amount
    unknown = Enum.find_index(kinds, &(&1 >= known))

    cond do
      length(kinds) != wanted or length(amounts) != wanted ->
        {:error,
         {:wrong_cells,
          "expected #{wanted} cells, found #{length(kinds)} kinds and #{length(amounts)} amounts"}}

      unknown != nil ->
        {:error,
         {:wrong_cells, "cell #{unknown} has kind #{Enum.at(kinds, unknown)}; the ruleset has #{known} kinds"}}

      true ->
        {:ok, %{state | cells: Map.new(Enum.zip(0..(wanted - 1), Enum.zip(kinds, amounts)))}}
    end
  end

  @impl true
  def advance(state, target, slice_us) do
    deadline = System.monotonic_time(:microsecond) + slice_us
    state = run(state, target, deadline)
    {:ok, state.tick, state.tick >= target, state}
  end

  defp run(%{tick: tick} = state, target, _) when tick >= target, do: state

  defp run(state, target, deadline) do
    state = step(state)
    if System.monotonic_time(:microsecond) < deadline, do: run(state, target, deadline), else: state
  end

  defp step(%{f: f, seed: seed, ruleset: ruleset, tick: tick, cells: cells} = state) do
    beat = ruleset["beat"]
    slots = slots(state, div(tick, beat))
    acting = Map.get(elem(slots, 1), rem(tick, beat), [])
    changed = Enum.flat_map(acting, &Rule.act(ruleset, seed, f, tick, &1, cells))
    %{state | tick: tick + 1, slots: slots, cells: Enum.into(changed, cells)}
  end

  defp slots(%{slots: {beat_index, _} = slots}, beat_index), do: slots

  defp slots(state, beat_index),
    do: {beat_index, Rule.slots(state.ruleset, state.seed, state.f, beat_index)}

  @impl true
  def digest(state) do
    chunks =
      for ids <- Topology.chunks(state.f) do
        bytes = for id <- ids, {kind, amount} = state.cells[id], into: <<>>, do: <<kind, amount::16-little>>
        Native.hash_blake3(bytes)
      end

    header = <<"gpw1", state.f::32-little, state.tick::64-little, state.seed::64-little, state.hash::binary>>
    {:ok, Native.hash_blake3(IO.iodata_to_binary([header | chunks]))}
  end

  @impl true
  def cells(state, ids), do: {:ok, state.tick, Enum.map(ids, &state.cells[&1])}

  @impl true
  def planes(state) do
    ids = 0..(Topology.cells(state.f) - 1)
    kinds = for id <- ids, into: <<>>, do: <<elem(state.cells[id], 0)>>
    amounts = for id <- ids, into: <<>>, do: <<elem(state.cells[id], 1)::16-little>>
    {:ok, state.tick, kinds, amounts}
  end

  @impl true
  def reader(_state), do: nil

  @impl true
  def close(_state), do: :ok
end
