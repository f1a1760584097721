defmodule GamePlatform.Kept do
  @moduledoc "A data directory with a world that was played, and what the world was like at every tick."

  alias GamePlatform.{Compute, Deeds, Tiny}
  alias GamePlatform.Compute.Actions
  alias GamePlatform.Persistence.{DataDir, Link, Meta, Snapshots}

  @frequency 8
  @seed 7

  @doc """
  Plays a world of the tiny economy to tick `:ticks` (60). `:snapshots` are the ticks at which one is written, `:world`
  is its id; `:link`, a link that is open for writing, is used if it is given, and the directory then not opened. Returns
  the digests by tick, and where the last batch was.
  """
  def make!(dir, opts \\ []) do
    id = opts[:world] || "main"
    {link, close} = if opts[:link], do: {opts[:link], fn -> :ok end}, else: open!(dir)
    meta = Meta.encode(%{seed: @seed, frequency: @frequency}, File.read!(Tiny.path()))
    :ok = Link.call(link, {:create_world, id, meta})
    world = Tiny.world!(seed: @seed, frequency: @frequency, backend: :nif)
    :rand.seed(:exsss, opts[:random] || 11)
    start = %{world: world, link: link, dir: dir, id: id, seq: 0, last: nil, digests: %{}}
    kept = Enum.reduce(0..(opts[:ticks] || 60), start, &tick(&1, &2, opts))
    Compute.close(world)
    close.()
    Map.take(kept, [:digests, :last, :seq])
  end

  defp open!(dir) do
    {:ok, data} = DataDir.open(dir)
    {:ok, link} = Link.open(%{dir: data.path})

    {link,
     fn ->
       Link.close(link)
       DataDir.close(data)
     end}
  end

  # What is seen at this tick, and what is then executed in it.
  defp tick(tick, %{world: world} = kept, opts) do
    {:ok, digest} = Compute.digest(world)
    kept = %{kept | digests: Map.put(kept.digests, tick, digest)}

    if tick in (opts[:snapshots] || []) do
      {:ok, snapshot} = Compute.snapshot(world)
      {:ok, ^tick} = Snapshots.write(kept.dir, kept.id, snapshot)
    end

    if tick == (opts[:ticks] || 60), do: kept, else: act(tick, kept)
  end

  defp act(tick, %{world: world, seq: seq} = kept) do
    home = Deeds.home(@frequency)
    actions = if tick == 0, do: Deeds.joins(home, @frequency), else: Deeds.some(world, home, tick)
    {:ok, replies} = Compute.submit(world, actions)

    bytes =
      for {action, %{status: :accepted}} <- Enum.zip(actions, replies),
          {:ok, %{bytes: bytes}} <- [Actions.check(world, action)],
          do: bytes

    {:ok, _} = Compute.advance(world, 1)
    commit(tick, seq, bytes, kept)
  end

  defp commit(_, _, [], kept), do: kept

  defp commit(tick, seq, bytes, kept) do
    # Numbers of entries are not dense.
    entries = for {bytes, n} <- Enum.with_index(bytes, 1), do: {seq + 2 * n, bytes}
    {last, _} = List.last(entries)
    {:ok, ^last} = Link.call(kept.link, {:commit, kept.id, [{:entries, entries}, {:mark, tick, last}]})
    %{kept | seq: last, last: tick}
  end
end
