defmodule GamePlatform.Compute.Beam do
  @moduledoc false
  # The executable specification: small, slow, plain Elixir. It shares no code with the native kernel
  # but the reader of rulesets and the BLAKE3 function.

  @behaviour GamePlatform.Compute.Backend

  alias GamePlatform.Compute.Beam.{Factory, Generator, Rule, Topology}
  alias GamePlatform.Compute.Beam.Factory.{Codec, Decoder}
  alias GamePlatform.Native

  # Peak while a world is generated, measured on OTP 25: the map, and what its garbage collection copies.
  @bytes_per_cell 340

  @impl true
  def bytes(frequency), do: @bytes_per_cell * Topology.cells(frequency)

  @impl true
  def new(%{frequency: f, seed: seed, ruleset: %{terms: ruleset, hash: hash}}) do
    {:ok,
     %{
       f: f,
       seed: seed,
       ruleset: ruleset,
       hash: hash,
       tick: 0,
       # The tick of the first state.
       origin: 0,
       cells: %{},
       slots: nil,
       # The tick since when a row is as it is, of those that have acted.
       stamps: %{},
       # Generation under way: the next row and what the noise remembers.
       generated: {0, %{}},
       # A tick under way: the rows still to act and the cells that those before have changed.
       acting: nil,
       # Owners, players and machines; nil if the ruleset has no economy.
       factory: Factory.new(ruleset, f)
     }}
  end

  @impl true
  def generate(state, slice_us), do: generate_rows(state, deadline(slice_us))

  defp generate_rows(%{generated: {row, lattice}} = state, deadline) do
    {cells, lattice} = Generator.row(state.ruleset, state.seed, state.f, row, lattice)
    state = %{state | cells: Enum.into(cells, state.cells), generated: {row + 1, lattice}}

    cond do
      row + 1 == Topology.rows(state.f) -> {:ok, true, %{state | generated: nil}}
      over?(deadline) -> {:ok, false, state}
      true -> generate_rows(state, deadline)
    end
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
    state = run(state, target, deadline(slice_us))
    {:ok, state.tick, state.tick >= target, state}
  end

  defp run(%{tick: tick} = state, target, _) when tick >= target, do: state

  defp run(state, target, deadline) do
    state = state |> begin() |> step()
    if over?(deadline), do: state, else: run(state, target, deadline)
  end

  defp begin(%{acting: nil, tick: tick} = state) do
    beat = state.ruleset["beat"]
    {_, by_slot} = slots = slots(state, div(tick, beat))
    %{state | slots: slots, acting: {Map.get(by_slot, rem(tick, beat), []), []}}
  end

  defp begin(state), do: state

  # One row, or the end of the tick: only then is anything changed that others see.
  defp step(%{acting: {[], changed}} = state) do
    {_, by_slot} = state.slots
    acted = Map.get(by_slot, rem(state.tick, state.ruleset["beat"]), [])
    {factory, cells, touched} = work(state.factory, state.tick, Enum.into(changed, state.cells))
    rows = acted ++ Enum.map(touched, &Topology.row(state.f, &1))
    stamps = Enum.reduce(rows, state.stamps, &Map.put(&2, &1, state.tick + 1))
    %{state | tick: state.tick + 1, acting: nil, cells: cells, stamps: stamps, factory: factory}
  end

  defp step(%{acting: {[row | rows], changed}} = state) do
    cells = Rule.act(state.ruleset, state.seed, state.f, state.tick, row, state.cells)
    %{state | acting: {rows, cells ++ changed}}
  end

  defp work(nil, _, cells), do: {nil, cells, []}
  defp work(factory, tick, cells), do: Factory.step(factory, tick, cells)

  defp deadline(slice_us), do: System.monotonic_time(:microsecond) + slice_us
  defp over?(deadline), do: System.monotonic_time(:microsecond) >= deadline

  defp slots(%{slots: {beat_index, _} = slots}, beat_index), do: slots

  defp slots(state, beat_index),
    do: {beat_index, Rule.slots(state.ruleset, state.seed, state.f, beat_index)}

  @impl true
  def digest(state) do
    chunks =
      for ids <- Topology.chunks(state.f) do
        bytes = for id <- ids, {kind, amount} = state.cells[id], into: <<>>, do: <<kind, amount::16-little>>
        sites = if state.factory, do: Codec.chunk(state.factory, ids), else: []
        Native.hash_blake3(IO.iodata_to_binary([bytes | sites]))
      end

    header = <<"gpw1", state.f::32-little, state.tick::64-little, state.seed::64-little, state.hash::binary>>
    people = if state.factory, do: Codec.people(state.factory), else: []
    {:ok, Native.hash_blake3(IO.iodata_to_binary([header, chunks | people])), state}
  end

  @impl true
  def act(%{factory: nil}, _, _), do: {:error, :no_economy}
  def act(%{tick: published} = state, tick, _) when tick < published, do: {:ok, state}

  def act(state, tick, batch) do
    with {:ok, factory} <- Factory.act(state.factory, tick, batch), do: {:ok, %{state | factory: factory}}
  end

  @impl true
  def sites(state, ids) do
    sites =
      for id <- ids do
        {kind, amount} = state.cells[id]
        {machine, owner, grant} = if state.factory, do: Factory.site(state.factory, id), else: {nil, 0, 0}
        {kind, amount, machine, owner, grant}
      end

    {:ok, state.tick, sites}
  end

  @impl true
  def players(%{factory: nil} = state), do: {:ok, state.tick, []}
  def players(state), do: {:ok, state.tick, Factory.players(state.factory)}

  @impl true
  def outcomes(%{factory: nil}, _), do: {:ok, []}
  def outcomes(state, since), do: {:ok, Factory.outcomes(state.factory, since)}

  @impl true
  def tick(state), do: {:ok, state.tick}

  @impl true
  def cells(state, ids), do: {:ok, state.tick, Enum.map(ids, &state.cells[&1])}

  @impl true
  def planes(state) do
    ids = 0..(Topology.cells(state.f) - 1)
    kinds = for id <- ids, into: <<>>, do: <<elem(state.cells[id], 0)>>
    amounts = for id <- ids, into: <<>>, do: <<elem(state.cells[id], 1)::16-little>>
    {:ok, state.tick, kinds, amounts}
  end

  # Whole rows: a diff may tell more than has changed.
  @impl true
  def diff(%{tick: tick}, since) when since > tick, do: {:error, {:future, tick}}
  def diff(%{origin: origin}, since) when since < origin, do: {:error, :too_old}

  def diff(state, since) do
    rows = for {row, stamp} <- state.stamps, stamp > since, do: row

    told =
      for row <- Enum.sort(rows) do
        cells = for id <- Topology.row_cells(state.f, row), do: state.cells[id]
        kinds = for {kind, _} <- cells, into: <<>>, do: <<kind>>
        amounts = for {_, amount} <- cells, into: <<>>, do: <<amount::16-little>>
        [<<row::32-little, 0>>, kinds, amounts]
      end

    header = <<"gpd1", state.f::32-little, since::64-little, state.tick::64-little, length(rows)::32-little>>

    {:ok, IO.iodata_to_binary([header | told])}
  end

  @impl true
  def capture(state, _, _) do
    {:ok, digest, _} = digest(state)
    {:ok, tick, kinds, amounts} = planes(state)
    objects = if state.factory, do: Codec.objects(state.factory), else: []
    {:ok, {state.f, state.seed, tick, digest, kinds, amounts, objects}}
  end

  @impl true
  def encode({f, seed, tick, digest, kinds, amounts, objects}, ruleset_text) do
    packed = Native.snapshot_pack(f, seed, tick, ruleset_text, digest, kinds, amounts, objects)
    with {:ok, snapshot} <- packed, do: {:ok, tick, snapshot}
  end

  @impl true
  def load(state, snapshot) do
    with {:ok, info} <- Native.snapshot_info(snapshot),
         :ok <- fits(state, info),
         {:ok, tick, kinds, amounts, objects} <- Native.snapshot_unpack(snapshot),
         {:ok, state} <- fill(state, kinds, amounts),
         {:ok, factory} <- take_in(state.factory, objects),
         state = %{state | tick: tick, origin: tick, factory: factory, generated: nil},
         {:ok, digest, state} <- digest(state) do
      if digest == info.digest,
        do: {:ok, tick, state},
        else: invalid("the content does not have the digest that the header says")
    else
      {:error, {:wrong_cells, sentence}} -> invalid(sentence)
      {:error, sentence} when is_binary(sentence) -> invalid(sentence)
      error -> error
    end
  end

  defp fits(state, info) do
    if {info.frequency, info.seed, info.ruleset_hash} == {state.f, state.seed, state.hash},
      do: :ok,
      else: {:error, "the snapshot is of another frequency, seed or ruleset"}
  end

  defp take_in(nil, []), do: {:ok, nil}
  defp take_in(nil, _), do: {:error, "there are objects, and the ruleset has no economy"}

  # There is one way to write a factory down.
  defp take_in(factory, objects) do
    with {:ok, factory} <- Decoder.factory(factory, objects) do
      if Codec.objects(factory) == objects,
        do: {:ok, factory},
        else: {:error, "the objects are not all of a world"}
    end
  end

  defp invalid(sentence), do: {:error, {:invalid_snapshot, sentence}}

  @impl true
  def repair(_state), do: {:error, :corrupt_peer}

  @impl true
  def reader(_state), do: nil

  @impl true
  def close(_state), do: :ok
end
