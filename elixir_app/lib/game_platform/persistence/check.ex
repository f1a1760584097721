defmodule GamePlatform.Persistence.Check do
  @moduledoc false
  # Runs what the log has again, and holds the snapshots that were taken on the way against what comes of it.

  alias GamePlatform.Compute
  alias GamePlatform.Persistence.{History, Snapshots}

  @doc """
  From the oldest base to `until`. `told` is called with each snapshot on the way: `{:equal, tick}`, or
  `{:damaged, tick, sentence}` for one that does not count. It ends at the first that differs.
  """
  @spec run(History.t(), History.tick() | :newest, keyword, (tuple -> term)) ::
          {:ok, map} | {:error, History.error()}
  def run(%History{} = history, until, opts, told) do
    until = if until == :newest, do: history.last, else: until

    with {:ok, _} <- History.base(history, until),
         {:ok, base} <- History.oldest(history),
         {:ok, world} <- first(history, base, opts) do
      report = %{from: base.tick, until: until, tick: base.tick, actions: 0}
      report = Map.merge(report, %{equal: [], damaged: [], differs: nil, digest: nil})
      ticks = history.path |> Snapshots.list(history.id) |> Enum.filter(&(&1 > base.tick and &1 <= until))

      try do
        with {:ok, report} <- steps(Enum.reverse(ticks), history, world, report, opts, told),
             {:ok, digest} <- Compute.digest(world) do
          {:ok, %{report | digest: digest, equal: Enum.reverse(report.equal)}}
        else
          error -> History.told(error, history.dir)
        end
      after
        Compute.close(world)
      end
    end
  end

  # Nothing is older than the oldest.
  defp first(_, %{snapshot: snapshot}, opts) when snapshot != nil,
    do: Compute.restore(snapshot, Keyword.take(opts, [:backend, :threads, :worker, :max_bytes]))

  defp first(history, base, opts) do
    with {:ok, world, _} <- History.start(history, base, opts), do: {:ok, world}
  end

  defp steps([], history, world, report, opts, _), do: go(history, world, report, report.until, opts)

  defp steps([tick | later], history, world, report, opts, told) do
    case Snapshots.good(history.path, history.id, tick, history.meta) do
      {:ok, binary, info} ->
        with {:ok, report} <- go(history, world, report, tick, opts),
             {:ok, report} <- compare(world, binary, info, report, told) do
          if report.differs, do: {:ok, report}, else: steps(later, history, world, report, opts, told)
        end

      {:error, {:snapshot_file, %{file: file, what: what}}} ->
        # Removed since the files were listed.
        if File.exists?(file) do
          told.({:damaged, tick, "#{file} #{what}"})
          report = %{report | damaged: report.damaged ++ [{tick, "#{file} #{what}"}]}
          steps(later, history, world, report, opts, told)
        else
          steps(later, history, world, report, opts, told)
        end
    end
  end

  defp go(history, world, %{tick: from} = report, tick, opts) do
    with {:ok, done} <- History.run(history, world, from, tick, about(opts, report)),
         do: {:ok, %{report | tick: tick, actions: report.actions + done.actions}}
  end

  # The caller is told of the whole way.
  defp about(opts, %{from: from, until: until, actions: actions}) do
    whole = fn progress, done ->
      progress.(%{done | from: from, until: until, actions: actions + done.actions})
    end

    if opts[:progress], do: Keyword.update!(opts, :progress, &fn done -> whole.(&1, done) end), else: opts
  end

  defp compare(world, binary, %{tick: tick, digest: digest}, report, told) do
    case Compute.digest(world) do
      {:ok, ^digest} ->
        told.({:equal, tick})
        {:ok, %{report | equal: [tick | report.equal]}}

      {:ok, _} ->
        differs(world, binary, tick, report)

      error ->
        error
    end
  end

  defp differs(world, binary, tick, report) do
    with {:ok, replayed} <- Compute.snapshot(world) do
      after_tick = List.first(report.equal) || report.from

      about =
        case Compute.compare(binary, replayed) do
          {:differs, about} -> about
          _ -> %{chunk: nil, cell: nil, what: "the digests differ"}
        end

      {:ok, %{report | differs: Map.merge(about, %{after: after_tick, tick: tick})}}
    end
  end
end
