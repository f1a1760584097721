defmodule GamePlatform.Compute.Node do
  @moduledoc false
  # The native kernel in a worker process. The world lies in memory that both map: the worker ticks it, the
  # BEAM reads it. When the worker dies the next one goes on with the same memory; every request is
  # idempotent, so it is simply made again.

  @behaviour GamePlatform.Compute.Backend

  alias GamePlatform.Compute.{Closer, Ring, Worker}
  alias GamePlatform.Compute.Node.Batches
  alias GamePlatform.Native

  @max_ids_at_once 256
  @max_sites_at_once 64
  # Workers that one request may cost before its caller is told. Only those count that got nowhere.
  @max_failures 20
  @full_ms 1

  # `base` is what another memory begins with, the tick of a snapshot and a function that returns it, or nil for the
  # world's own beginning;
  # `attached` tells the life of the worker that has this world open, `limit` the last tick it was asked for,
  # `ready` whether the first state is whole, `rebuilds` how many are under way, one within the other, and `batches`
  # the actions that a successor or another memory needs.
  defstruct [:handle, :id, :worker, :options, :base, :attached, batches: Batches.new()] ++
              [ready: false, tick: 0, limit: 0, seen: nil, failures: 0, rebuilds: 0]

  @impl true
  def bytes(frequency), do: Native.world_bytes(frequency)

  @impl true
  def new(options) do
    with {:ok, _} <- Worker.up(options.worker), {:ok, handle} <- memory(options) do
      {:ok, %__MODULE__{handle: handle, id: new_id(), worker: options.worker, options: options}}
    end
  end

  # The BEAM only reads, so its side needs no threads.
  defp memory(%{frequency: frequency, seed: seed, ruleset: ruleset}) do
    Native.world_new(frequency, seed, ruleset.text, 1, true)
  end

  # From 1 on; 0 is the tag of the ring's own segments.
  defp new_id, do: System.unique_integer([:positive, :monotonic])

  # The BEAM writes the given cells itself, before any worker has the world open.
  @impl true
  def fill(state, kinds, amounts) do
    with :ok <- Native.world_fill(state.handle, kinds, amounts), do: {:ok, %{state | ready: true}}
  end

  # As `fill/3`.
  @impl true
  def load(state, snapshot) do
    with {:ok, tick} <- Native.world_restore(state.handle, snapshot) do
      base = state.base || {tick, fn -> {:ok, snapshot} end}
      {:ok, tick, %{state | ready: true, tick: tick, limit: max(state.limit, tick), base: base}}
    end
  end

  @impl true
  def rebase(state, tick, read) do
    options = Map.merge(state.options, %{cells: nil, snapshot: nil})
    %{state | base: {tick, read}, batches: Batches.since(state.batches, tick), options: options}
  end

  @impl true
  def generate(state, slice_us) do
    with {:ok, words, state} <- request(state, :generate, [0, slice_us]) do
      case words do
        [0, 0 | _] -> {:ok, false, %{state | failures: 0}}
        [0, 1 | _] -> generated(state, slice_us)
        _ -> again(state, &generate(&1, slice_us))
      end
    end
  end

  # Looked at once, since nothing else compares the first state with what it must be.
  defp generated(state, slice_us) do
    if Native.world_check(state.handle) == {:ok, 0, true},
      do: {:ok, true, %{state | ready: true, failures: 0}},
      else: again(state, &generate(&1, slice_us))
  end

  # After an answer that no sound worker gives.
  defp again(state, request) do
    with {:ok, state} <- recover(state, :corrupt_peer), do: request.(state)
  end

  @impl true
  def advance(state, target, slice_us) do
    # What was asked for is remembered even if it fails: it may have been done.
    state = %{resumed(state) | limit: max(state.limit, target)}
    with {:error, reason} <- ticks(state, target, slice_us), do: {:error, reason, state}
  end

  # A request that failed may have come further than it was answered.
  defp resumed(state) do
    case tick(state) do
      {:ok, tick} -> %{state | tick: max(tick, state.tick)}
      {:error, _} -> state
    end
  end

  defp ticks(state, target, slice_us) do
    with {:ok, [tick, done | _], state} <- request(state, :advance, [target, slice_us]) do
      # A tick that goes back or too far, or that is not the published one, is not a sound worker's.
      if tick >= state.tick and tick <= max(target, state.tick) and done == if(tick >= target, do: 1, else: 0) and
           Native.world_tick(state.handle) == {:ok, tick} do
        {:ok, tick, done == 1, %{state | tick: tick, ready: state.ready or tick > 0, failures: 0}}
      else
        again(state, &ticks(&1, target, slice_us))
      end
    end
  end

  # A successor gets the batch when it opens the world, so it is remembered first.
  @impl true
  def act(state, tick, batch) do
    case resumed(state) do
      %{tick: published} = state when tick < published -> {:ok, state}
      state -> deliver(%{state | batches: Batches.put(state.batches, tick, batch)}, tick, batch)
    end
  end

  defp deliver(state, tick, batch) do
    with {:ok, up, state} <- attach(state),
         {:given, :ok, state} <- {:given, Batches.give(state, up, tick, batch), state} do
      {:ok, state}
    else
      {:given, {:error, reason}, state} when reason in [:worker_down, :corrupt_peer] ->
        with {:ok, state} <- recover(state, reason), do: deliver(state, tick, batch)

      {:given, error, _} ->
        error

      error ->
        error
    end
  end

  @impl true
  def digest(state) do
    with {:ok, [tick, a, b, c, d | _], state} <- request(state, :digest, []) do
      if tick == state.tick,
        do: {:ok, <<a::64-little, b::64-little, c::64-little, d::64-little>>, %{state | failures: 0}},
        else: again(state, &digest/1)
    end
  end

  # For the owner, who goes on from it: nothing was published that was not asked for.
  @impl true
  def tick(%__MODULE__{limit: limit} = state) do
    with {:ok, tick} when tick > limit <- Native.world_tick(state.handle), do: {:error, :corrupt_peer}
  end

  def tick(handle), do: Native.world_tick(handle)

  @impl true
  def cells(%__MODULE__{handle: handle}, ids), do: cells(handle, ids)
  def cells(handle, ids) when length(ids) <= @max_ids_at_once, do: Native.world_cells(handle, ids)
  def cells(handle, ids), do: Native.world_cells_many(handle, ids)

  @impl true
  def sites(%__MODULE__{handle: handle}, ids), do: sites(handle, ids)
  def sites(handle, ids) when length(ids) <= @max_sites_at_once, do: Native.world_sites(handle, ids)
  def sites(handle, ids), do: Native.world_sites_many(handle, ids)

  @impl true
  def players(%__MODULE__{handle: handle}), do: Native.world_players(handle)
  def players(handle), do: Native.world_players(handle)

  @impl true
  def outcomes(%__MODULE__{handle: handle}, since), do: Native.world_outcomes(handle, since)
  def outcomes(handle, since), do: Native.world_outcomes(handle, since)

  @impl true
  def planes(%__MODULE__{handle: handle}), do: Native.world_planes(handle)

  @impl true
  def diff(%__MODULE__{handle: handle}, since), do: Native.world_diff(handle, since)
  def diff(handle, since), do: Native.world_diff(handle, since)

  @impl true
  def reader(%__MODULE__{handle: handle}), do: handle

  @impl true
  defdelegate capture(handle, owner, ref), to: Native, as: :world_capture

  @impl true
  defdelegate encode(captured, ruleset_text), to: Native, as: :snapshot_encode

  # The memory holds what no worker of ours writes: the world is made again from its beginning or from the last
  # snapshot that it may begin with, as far as it was.
  @impl true
  def repair(state) do
    with {:ok, state} <- recover(%{state | failures: 0}, :corrupt_peer),
         {:ok, state} <- rebuild(state) do
      {:ok, %{state | failures: 0}}
    end
  end

  @impl true
  def close(state) do
    # The closer does so too, unless it was started anew meanwhile.
    with %{id: id} <- state.attached, %{id: ^id, ring: ring} <- Worker.now(state.worker) do
      Ring.cast(ring, :close, [state.id])
    end

    Native.world_close(state.handle)
  end

  # A request about this world, made again until it is answered. Whether the answer can be is for the caller
  # to say, and so is that the world got on.
  defp request(state, operation, arguments) do
    with {:ok, up, state} <- attach(state), do: ask(state, up, operation, arguments)
  end

  defp ask(state, up, operation, arguments) do
    case Ring.call(up.ring, operation, [state.id | arguments]) do
      {:ok, :ok, words} ->
        {:ok, words, state}

      {:ok, :busy, _} ->
        {:error, :busy}

      {:ok, :full, _} ->
        widen(state, up, operation, arguments)

      # The worker knows the world and was asked nothing unusual: it is confused, or its memory is.
      {:ok, _status, _} ->
        retry(state, :corrupt_peer, operation, arguments)

      {:error, reason} when reason in [:worker_down, :corrupt_peer] ->
        retry(state, reason, operation, arguments)

      # More worlds ask than the ring has slots. Those under way end: each is a slice, or its worker is replaced.
      {:error, :busy} ->
        Process.sleep(@full_ms)
        request(state, operation, arguments)
    end
  end

  # Deeds that end and machines that fill up need room that was not made for the actions. The worker keeps those of
  # the tick. One that is full although there is room is confused.
  defp widen(state, up, operation, arguments) do
    case Batches.grow(state, up, 0) do
      {:ok, 0} ->
        retry(state, :corrupt_peer, operation, arguments)

      {:ok, _} ->
        request(state, operation, arguments)

      {:error, reason} when reason in [:worker_down, :corrupt_peer] ->
        retry(state, reason, operation, arguments)

      error ->
        error
    end
  end

  defp retry(state, reason, operation, arguments) do
    with {:ok, state} <- recover(state, reason), do: request(state, operation, arguments)
  end

  # Waits for the worker after the one that failed.
  defp recover(state, reason) do
    if reason == :corrupt_peer, do: report(state)
    seen = Native.world_tick(state.handle)
    failures = if seen == state.seen, do: state.failures + 1, else: 1

    cond do
      failures > @max_failures -> {:error, reason}
      state.attached == nil -> {:ok, %{state | seen: seen, failures: failures}}
      true -> replace(%{state | seen: seen, failures: failures})
    end
  end

  defp replace(state) do
    with {:ok, _} <- Worker.next(state.worker, state.attached), do: {:ok, %{state | attached: nil}}
  end

  defp report(%{attached: nil}), do: :ok
  defp report(state), do: Worker.report_corrupt(state.worker, state.attached, "world #{state.id}")

  # Has the worker that is up now open the world, unless it has. The ring is not kept: it is as large as a small
  # world, and its worker may be long gone.
  defp attach(state) do
    with {:ok, up} <- Worker.up(state.worker),
         {:ok, state} <- if(attached?(state, up), do: {:ok, state}, else: open(state, up)) do
      if attached?(state, up), do: {:ok, up, state}, else: attach(state)
    end
  end

  defp attached?(%{attached: nil}, _), do: false
  defp attached?(%{attached: %{id: id}}, up), do: id == up.id

  # Whoever wrote the world before is dead: a worker is only called up once the one before it has exited.
  defp open(state, up) do
    Native.world_fence(state.handle)

    case Native.world_check(state.handle) do
      # What was published and never answered counts: the world goes on from there.
      {:ok, tick, ready}
      when tick >= state.tick and tick <= state.limit and (ready or not state.ready) ->
        hand_over(%{state | tick: tick}, up)

      _ ->
        rebuild(%{state | attached: nil})
    end
  end

  defp hand_over(%{options: options} = state, up) do
    open =
      {:open_world, state.id, options.frequency, <<options.seed::64>>, options.threads, options.ruleset.text}

    with :ok <- Native.world_handover(state.handle, up.ring, state.id),
         :ok <- Worker.call(up, open),
         :ok <- Closer.watch(state.worker, state.id),
         :ok <- give_present(state, up) do
      {:ok, %{state | attached: Map.take(up, [:id, :generation])}}
    else
      {:error, sentence} when is_binary(sentence) ->
        {:error, {:worker_refused, %{reason: sentence}}}

      # The worker went before it had the world.
      {:error, reason} when reason in [:worker_down, :corrupt_peer] ->
        recover(%{state | attached: Map.take(up, [:id, :generation])}, reason)

      error ->
        error
    end
  end

  # The tick that was under way is executed by this worker, with the same actions.
  defp give_present(state, up) do
    case Batches.at(state.batches, state.tick) do
      nil -> :ok
      batch -> Batches.give(state, up, state.tick, batch)
    end
  end

  defp rebuild(%{rebuilds: @max_failures}), do: {:error, :corrupt_peer}

  defp rebuild(%{options: options} = state) do
    with {:ok, past} <- Batches.past(state.batches),
         {:ok, handle} <- memory(options),
         fresh = %{state | handle: handle, id: new_id(), attached: nil, ready: false, tick: 0},
         fresh = %{fresh | rebuilds: state.rebuilds + 1},
         {:ok, fresh} <- first(fresh, past),
         {:ok, fresh} <- replay(fresh, state.tick, past) do
      # Readers go on with the new memory under the old handle. What was done again is no progress of the
      # request that found the memory broken.
      Native.world_replace(state.handle, fresh.handle)
      {:ok, %{fresh | handle: state.handle, seen: state.seen, failures: state.failures, rebuilds: 0}}
    end
  end

  # From an earlier one batches would be missing, and a later one is not of this world.
  defp first(%{base: {base, read}, limit: limit} = state, _) do
    with {:ok, snapshot} <- read.(), {:ok, tick, state} <- load(state, snapshot) do
      if tick in base..limit//1,
        do: {:ok, state},
        else: {:error, {:invalid_snapshot, "it is of tick #{tick}, where one of tick #{base} was to be"}}
    end
  end

  defp first(%{options: %{cells: {kinds, amounts}}} = state, _), do: fill(state, kinds, amounts)
  # An advance generates what is not yet there.
  defp first(state, []), do: {:ok, state}

  defp first(state, past) do
    case generate(state, 100_000) do
      {:ok, true, state} -> {:ok, state}
      {:ok, false, state} -> first(state, past)
      error -> error
    end
  end

  # With the actions at their ticks, and those of the present one.
  defp replay(state, target, [{tick, batch} | past]) when tick <= target do
    with {:ok, state} <- replay(state, tick),
         {:ok, state} <- act(state, tick, batch),
         do: replay(state, target, past)
  end

  defp replay(state, target, _), do: replay(state, target)

  defp replay(state, target) do
    case advance(state, target, 100_000) do
      {:ok, _, true, state} -> {:ok, state}
      {:ok, _, false, state} -> replay(state, target)
      {:error, reason, _} -> {:error, reason}
    end
  end
end
