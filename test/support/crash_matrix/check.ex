defmodule GamePlatform.CrashMatrix.Check do
  @moduledoc "What is in a data directory, held against what players were told."

  alias GamePlatform.Compute
  alias GamePlatform.Compute.WorldProcess
  alias GamePlatform.Persistence.{Link, Meta, Snapshots}

  @world "main"
  @batch_bytes 4 * 1_048_576
  # A player's last 128 results are known, which are those of some seconds.
  @outcome_ticks 50
  # Of so many snapshots the world is brought back, too.
  @restored 6

  @doc "The tick after the last one that the log has a mark of, 0 if there is no log."
  def marked(dir) do
    if File.exists?(Path.join(dir, "events.db")) do
      reading(dir, fn link ->
        case Link.call(link, {:world, @world}) do
          {:ok, info} -> info.marked_tick + 1
          {:error, {:unknown_world, _}} -> 0
        end
      end)
    else
      0
    end
  end

  @doc "Gives a function a link that only reads."
  def reading(dir, fun) do
    {:ok, link} = Link.open(%{dir: dir, mode: :read})
    result = fun.(link)
    Link.close(link)
    result
  end

  @doc "Plays the log again from nothing up to `final`, `%{tick:, digest:}`; `mirrored` is what was read of it before it was pruned."
  def run(dir, told, final, mirrored \\ nil) do
    log = reading(dir, &read/1)
    {batches, queued} = if mirrored, do: mirrored.(log), else: {log.batches, log.queued}
    entries = for {_, entries} <- batches, entry <- entries, do: of(entry)
    {done, waiting} = Enum.split_while(batches, &(elem(&1, 0) < final.tick))
    waiting = Enum.concat(Enum.map(waiting, &elem(&1, 1))) ++ queued
    snapshots = dir |> Snapshots.list(@world) |> Enum.filter(&(&1 <= final.tick)) |> Enum.sort()
    world = world(log.meta)
    outcomes = replay(world, done, final.tick, fn tick -> agrees(dir, world, tick) end, snapshots)

    same!(
      Compute.digest(world),
      {:ok, final.digest},
      "the digest of tick #{final.tick} is not that of the log played again"
    )

    body = queued(world)
    Compute.close(world)
    for tick <- Enum.take_random(snapshots, @restored), do: restored(dir, tick, done, final)

    told = :ets.tab2list(told)
    there = entries ++ Enum.map(waiting, &of/1)
    compare(told, MapSet.new(there), outcomes, MapSet.new(Enum.map(waiting, &of/1)), body)
    count(told, there, outcomes, done, snapshots, final)
  end

  @doc "What a log holds: batches as `{tick, entries}`, and in `queued` entries without one."
  def read(link) do
    {:ok, info} = Link.call(link, {:world, @world})
    {:ok, meta} = Meta.decode(info.meta)
    %{meta: meta, first_tick: info.first_tick, batches: batches(link, 0), queued: unmarked(link, 0)}
  end

  @doc "The batches of the log from a tick on."
  def batches(link, from) do
    case Link.call(link, {:batches, @world, from, @batch_bytes}) do
      {:ok, batches, more?} ->
        found = for {tick, _, batch} <- batches, do: {tick, entries(batch)}
        if more?, do: found ++ batches(link, elem(List.last(found), 0) + 1), else: found
    end
  end

  defp unmarked(link, after_seq) do
    {:ok, found, more?} = Link.call(link, {:unmarked, @world, after_seq, @batch_bytes})
    entries = Enum.map(found, &elem(&1, 1))
    if more?, do: entries ++ unmarked(link, elem(List.last(found), 0)), else: entries
  end

  defp entries(<<_count::16-little, rest::binary>>),
    do: for(<<n::16-little, entry::binary-size(n) <- rest>>, do: entry)

  # Name and id of an entry; joins of a player are all the same.
  defp of(<<n, name::binary-size(n), m, id::binary-size(m), _::binary>>), do: {name, id}

  defp world(meta) do
    {:ok, world} =
      Compute.new_world(
        backend: :nif,
        threads: 1,
        frequency: meta.frequency,
        seed: meta.seed,
        ruleset: {:text, meta.ruleset}
      )

    world
  end

  # The outcomes of all actions, `{{player, id}, tick}`; at each tick of `stops` a function is called.
  defp replay(world, batches, target, look, stops, outcomes \\ []) do
    {:ok, tick} = Compute.tick(world)

    {stops, next} =
      case stops do
        [stop | later] when stop == tick ->
          look.(stop)
          {later, List.first(later)}

        _ ->
          {stops, List.first(stops)}
      end

    if tick == target do
      Enum.concat(Enum.reverse(outcomes))
    else
      goal = Enum.min([target, tick + @outcome_ticks, next || target])
      {now, later} = Enum.split_while(batches, &(elem(&1, 0) < goal))
      {:ok, ^goal} = WorldProcess.replay(world.pid, Enum.map(now, &batch/1), goal)
      {:ok, new} = Compute.outcomes(world, tick)
      new = for outcome <- new, do: {{outcome.player, outcome.action_id}, outcome.tick}
      replay(world, later, target, look, stops, [new | outcomes])
    end
  end

  @doc "The digest that a log, played from nothing or from the snapshot `base`, comes to at a tick."
  def digest(log, tick, base \\ nil) do
    world = if base, do: restore(base), else: world(log.meta)
    {:ok, from} = Compute.tick(world)
    batches = for {due, _} = batch <- log.batches, due >= from and due < tick, do: batch(batch)
    {:ok, ^tick} = WorldProcess.replay(world.pid, batches, tick)
    {:ok, digest} = Compute.digest(world)
    Compute.close(world)
    digest
  end

  defp restore(binary) do
    {:ok, world} = Compute.restore(binary, backend: :nif, threads: 1)
    world
  end

  defp batch({tick, entries}), do: {tick, Compute.Actions.batch(entries)}

  defp agrees(dir, world, tick) do
    {:ok, _, info} = Snapshots.good(dir, @world, tick)

    same!(
      Compute.digest(world),
      {:ok, info.digest},
      "the snapshot of tick #{tick} is not what the log makes of it"
    )
  end

  defp restored(dir, tick, batches, final) do
    {:ok, binary, _} = Snapshots.good(dir, @world, tick)
    {:ok, world} = Compute.restore(binary, backend: :nif, threads: 1)
    later = for {due, _} = batch <- batches, due >= tick, do: batch(batch)
    {:ok, _} = WorldProcess.replay(world.pid, later, final.tick)
    digest = Compute.digest(world)
    Compute.close(world)

    same!(
      digest,
      {:ok, final.digest},
      "from the snapshot of tick #{tick} on, the log comes to another digest"
    )
  end

  # What bodies are at, or will be.
  defp queued(world) do
    {:ok, players} = Compute.players(world)

    for %{name: name, playing: playing, queue: queue} <- players,
        %{action_id: id} <- List.wrap(playing) ++ queue,
        into: MapSet.new(),
        do: {name, id}
  end

  defp compare(told, there, outcomes, waiting, body) do
    outcomes = Enum.frequencies_by(outcomes, &elem(&1, 0))
    none!(for({id, n} when n > 1 <- outcomes, do: id), "have more than one outcome")
    none!(for({id, _} <- outcomes, id not in there, do: id), "have an outcome, and are not in the log")

    durable = for {id, {:accepted, durability, _}} when durability in ["logged", "stored"] <- told, do: id
    none!(for(id <- durable, id not in there, do: id), "were acknowledged, and are not in the log")

    unfinished? = &(&1 in waiting or &1 in body)

    none!(
      for(id <- durable, not is_map_key(outcomes, id), not unfinished?.(id), do: id),
      "were acknowledged, and have no outcome"
    )

    refused = for {id, {:refused, _, true}} <- told, do: id
    none!(for(id <- refused, id in there, do: id), "were refused, and are in the log")
  end

  defp none!([], _), do: :ok

  defp none!(found, what) do
    raise ExUnit.AssertionError, message: "#{length(found)} actions #{what}: #{inspect(Enum.take(found, 5))}"
  end

  defp same!(same, same, _), do: :ok
  defp same!(_, _, what), do: raise(ExUnit.AssertionError, message: what)

  defp count(told, there, outcomes, batches, snapshots, final) do
    accepted = for {id, {:accepted, durability, tick}} <- told, do: {id, durability, tick}
    ticks = Map.new(outcomes)
    late = for({id, _, tick} <- accepted, done = ticks[id], do: done - tick) |> Enum.sort()
    at = fn percent -> Enum.at(late, div((length(late) - 1) * percent, 100)) end

    %{
      accepted: length(accepted),
      logged: Enum.count(accepted, &(elem(&1, 1) == "logged")),
      refused: length(told) - length(accepted),
      codes: Enum.frequencies(for {_, {:refused, code, _}} <- told, do: code),
      entries: length(there),
      again: length(there) - MapSet.size(MapSet.new(there)),
      batches: length(batches),
      outcomes: length(outcomes),
      snapshots: length(snapshots),
      tick: final.tick,
      late: Enum.map([50, 99, 100], at),
      early: List.first(late)
    }
  end
end
