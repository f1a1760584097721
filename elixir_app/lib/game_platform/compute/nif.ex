defmodule GamePlatform.Compute.Nif do
  @moduledoc false
  # The native kernel inside the BEAM, on dirty CPU schedulers. The state is a resource that any process
  # may read from while the owner advances it.

  @behaviour GamePlatform.Compute.Backend

  alias GamePlatform.Native

  # `Native.world_cells/2` and `world_sites/2` refuse more on a normal scheduler.
  @max_ids_at_once 256
  @max_sites_at_once 64

  @impl true
  def bytes(frequency), do: Native.world_bytes(frequency)

  @impl true
  def new(%{frequency: frequency, seed: seed, threads: threads, ruleset: ruleset}) do
    Native.world_new(frequency, seed, ruleset.text, threads, false)
  end

  @impl true
  def generate(world, slice_us) do
    with {:ok, done?} <- Native.world_generate(world, slice_us), do: {:ok, done?, world}
  end

  @impl true
  def fill(world, kinds, amounts) do
    with :ok <- Native.world_fill(world, kinds, amounts), do: {:ok, world}
  end

  @impl true
  def advance(world, target, slice_us) do
    with {:ok, tick, done?} <- Native.world_advance(world, target, slice_us), do: {:ok, tick, done?, world}
  end

  @impl true
  def act(world, tick, <<actions::16-little, _::binary>> = batch) do
    with {:ok, _} <- Native.world_reserve(world, actions),
         :ok <- Native.world_act(world, tick, batch),
         do: {:ok, world}
  end

  @impl true
  def digest(world) do
    with {:ok, digest} <- Native.world_digest(world), do: {:ok, digest, world}
  end

  @impl true
  def tick(world), do: Native.world_tick(world)

  @impl true
  def cells(world, ids) when length(ids) <= @max_ids_at_once, do: Native.world_cells(world, ids)
  def cells(world, ids), do: Native.world_cells_many(world, ids)

  @impl true
  def sites(world, ids) when length(ids) <= @max_sites_at_once, do: Native.world_sites(world, ids)
  def sites(world, ids), do: Native.world_sites_many(world, ids)

  @impl true
  def players(world), do: Native.world_players(world)

  @impl true
  def outcomes(world, since), do: Native.world_outcomes(world, since)

  @impl true
  def planes(world), do: Native.world_planes(world)

  @impl true
  def diff(world, since), do: Native.world_diff(world, since)

  @impl true
  def load(world, snapshot) do
    with {:ok, tick} <- Native.world_restore(world, snapshot), do: {:ok, tick, world}
  end

  @impl true
  defdelegate capture(world, owner, ref), to: Native, as: :world_capture

  @impl true
  defdelegate encode(captured, ruleset_text), to: Native, as: :snapshot_encode

  # Nobody else writes this memory.
  @impl true
  def repair(_world), do: {:error, :corrupt_peer}

  @impl true
  def reader(world), do: world

  @impl true
  def close(world), do: Native.world_close(world)
end
