defmodule GamePlatform.Persistence.Recovery do
  @moduledoc false
  # Brings a world back: the newest good snapshot, and the batches of the log from there on, in the ticks that their marks
  # name. What was accepted and is in no batch is executed by the first tick after that. A world that the directory does
  # not have is made, and is in the log before anybody acts in it.

  require Logger

  alias GamePlatform.{Compute, Config, Mail, NativeNode, Telemetry}
  alias GamePlatform.Compute.{Ruleset, WorldProcess}
  alias GamePlatform.Persistence.{Link, Log, Meta, Snapshots}

  # Of the log, at once.
  @batch_bytes 8 * 1_048_576
  @link_ms 30_000
  @step_ms 20
  @report_ms 1_000
  # For what was accepted and not executed.
  @kept_ticks 20

  @doc """
  `options` are those of the world, `data` has `:log` and `:link`, names of processes; `:dir`, `:world`, `:durability`;
  `:given`, the names of the options that were chosen, which have to agree with the world that is there; `:mail`, the
  instance whose clients are told of outcomes. `told` is the tick up to which they are; nil if that is not known.
  """
  @spec open(map, map) ::
          {:ok, Compute.world(), recovered :: boolean, told :: non_neg_integer | nil} | {:error, term}
  def open(options, data) do
    # If the log's process ends meanwhile, the world ends as well, and is brought back again.
    with {:ok, log, epoch} <- begin(data, now_ms() + @link_ms),
         {:ok, told} <- begin_mail(data, now_ms() + @link_ms),
         {:ok, info, new?} <- info(options, data),
         {:ok, meta} <- Meta.decode(info.meta),
         :ok <- Meta.agrees(meta, options, data),
         options =
           Map.merge(options, %{seed: meta.seed, frequency: meta.frequency, ruleset: {:text, meta.ruleset}}),
         {:ok, world, from} <- base(options, info, data, {:newest, meta}),
         # One that could not be read may be readable the next time, and knows nothing of what is done now.
         :ok <- Snapshots.set_aside(data.dir, data.world, from),
         # What has been told of has been seen.
         info = %{info | reached: max(info.reached, told || 0)},
         {:ok, kept} <- go_on(world, from, info, data) do
      :ok = WorldProcess.keep(world.pid, {Log, log, epoch}, info.last_seq, kept, data.durability)
      if kept != [], do: execute(world, info.last_seq, data, @kept_ticks)
      {:ok, world, not new?, told}
    end
  end

  # The process of the log may be on its way, or about to end with the rest of its subtree.
  defp begin(data, deadline) do
    log = GenServer.whereis(data.log)

    with :ok <- startable(data),
         {:ok, epoch} <- told(begun(log), data) do
      {:ok, log, epoch}
    else
      :ended ->
        if now_ms() < deadline do
          Process.sleep(@step_ms)
          begin(data, deadline)
        else
          unanswered(data, "its process does not run: see the log above")
        end

      error ->
        error
    end
  end

  defp begin_mail(%{mail: game} = data, deadline) when game != nil do
    case Mail.begin(game) do
      {:error, :not_running} ->
        if now_ms() < deadline do
          Process.sleep(@step_ms)
          begin_mail(data, deadline)
        else
          unanswered(data, "the process of the messages does not run: see the log above")
        end

      answer ->
        told(answer, data)
    end
  end

  defp begin_mail(_, _), do: {:ok, nil}

  # One that cannot be started at all is not waited for.
  defp startable(data) do
    case NativeNode.await_up(data.link, 1) do
      {:error, {_, %{hint: _}}} = error -> error
      _ -> :ok
    end
  catch
    :exit, _ -> :ok
  end

  defp begun(nil), do: :ended

  defp begun(log) do
    Log.begin(log)
  catch
    :exit, {:timeout, _} ->
      {:error, {:link_down, "gp_link does not answer: see the log above, and whether the disk is well"}}

    :exit, _ ->
      :ended
  end

  defp unanswered(data, hint), do: told({:error, {:link_down, hint}}, data)

  # What was accepted before is executed before anybody looks at the world. A disk that is slow at this moment is not
  # waited for.
  defp execute(world, seq, data, ticks) do
    with {:ok, _} <- Compute.advance(world, 1),
         {:ok, %{marked_seq: marked}} when marked < seq and ticks > 1 <- call(data, {:world, data.world}),
         do: execute(world, seq, data, ticks - 1)
  end

  defp info(options, data) do
    case call(data, {:world, data.world}) do
      {:error, {:unknown_world, _}} -> create(options, data)
      {:ok, info} -> {:ok, info, false}
      error -> told(error, data)
    end
  end

  defp create(options, data) do
    with :ok <- unused(data),
         {:ok, ruleset} <- Ruleset.load(options.ruleset),
         :ok <- told(call(data, {:create_world, data.world, Meta.encode(options, ruleset.text)}), data),
         {:ok, info} <- told(call(data, {:world, data.world}), data),
         do: {:ok, info, true}
  end

  # A world without its log has lost what was acknowledged since its last snapshot.
  defp unused(data) do
    if Snapshots.list(data.dir, data.world) == [] do
      :ok
    else
      told(
        {:error,
         {:missing,
          "#{data.dir} has snapshots of world #{data.world} and no event log of it: put events.db back from a backup, " <>
            "or move worlds/#{data.world} away to begin anew"}},
        data
      )
    end
  end

  # What the log says, in the form of other errors.
  defp told({:error, {reason, sentence}}, data) when is_binary(sentence),
    do: {:error, {:event_log, %{dir: data.dir, reason: reason, hint: sentence}}}

  defp told(answer, _), do: answer

  # A link that is down comes back.
  defp call(data, request), do: call(data, request, now_ms() + @link_ms)

  defp call(data, request, deadline) do
    case Link.call(data.link, request) do
      {:error, :link_down} ->
        if now_ms() < deadline do
          Process.sleep(@step_ms)
          call(data, request, deadline)
        else
          unanswered(data, "gp_link does not start: see the log above")
        end

      answer ->
        answer
    end
  end

  # Snapshots that are damaged are told of by name, and the one before is used.
  defp base(options, info, data, {at_most, meta}) do
    case Snapshots.newest_good(data.dir, data.world, at_most, meta) do
      {:ok, tick, binary} when tick >= info.first_tick ->
        with {:error, {:invalid_snapshot, sentence}} <- restore(options, binary) do
          Logger.error(
            "the snapshot of tick #{tick} in #{data.dir} is not sound, the one before is used: #{sentence}"
          )

          base(options, info, data, {tick - 1, meta})
        end

      _ ->
        genesis(options, info, data)
    end
  end

  defp restore(options, binary) do
    opts = options |> Map.take([:backend, :threads, :worker, :max_bytes]) |> Map.to_list()

    with {:ok, world} <- Compute.restore(binary, opts),
         {:ok, tick} <- Compute.tick(world),
         do: {:ok, world, tick}
  end

  defp genesis(options, %{complete: true}, _) do
    opts = options |> Map.take(Config.options(:world)) |> Map.to_list()
    with {:ok, world} <- Compute.new_world(opts), do: {:ok, world, 0}
  end

  defp genesis(_, info, data) do
    hint =
      "the log of world #{data.world} begins at tick #{info.first_tick}, and there is no sound snapshot of that tick or later: " <>
        "put one back from a backup into worlds/#{data.world}, or choose another directory with --data-dir"

    {:error, {:event_log, %{dir: data.dir, reason: :no_snapshot, hint: hint}}}
  end

  # Answers with what was accepted and not executed.
  defp go_on(world, from, info, data) do
    target = Enum.max([from, info.marked_tick + 1, info.reached])
    began = now_ms()
    report = %{world: data.world, from: from, target: target, began: began, told: began, actions: 0}

    with {:ok, report} <- replay(world, from, report, data),
         {:ok, _} <- Compute.advance_to(world, target),
         {:ok, kept} <- kept(data, 0, []) do
      measurements = %{
        duration: System.convert_time_unit(now_ms() - began, :millisecond, :native),
        actions: report.actions
      }

      Telemetry.execute([:world, :recovered], measurements, %{world: data.world, from: from, tick: target})

      if target > 0 do
        Logger.info(
          "world #{data.world} goes on at tick #{target}: snapshot of tick #{from}, #{report.actions} actions after it, " <>
            "#{now_ms() - began} ms"
        )
      end

      {:ok, kept}
    end
  end

  defp replay(world, tick, report, data) do
    case call(data, {:batches, data.world, tick, @batch_bytes}) do
      {:ok, [], _} ->
        {:ok, report}

      {:ok, batches, more?} ->
        {last, _, _} = List.last(batches)
        actions = for {_, _, <<count::16-little, _::binary>>} <- batches, reduce: 0, do: (sum -> sum + count)

        with {:ok, _} <-
               WorldProcess.replay(world.pid, for({tick, _, batch} <- batches, do: {tick, batch}), last + 1) do
          report = progress(%{report | actions: report.actions + actions}, last)
          if more?, do: replay(world, last + 1, report, data), else: {:ok, report}
        end

      error ->
        told(error, data)
    end
  end

  defp progress(report, tick) do
    now = now_ms()

    if now - report.told >= @report_ms do
      percent = div(100 * (tick - report.from), max(report.target - report.from, 1))

      Logger.info(
        "world #{report.world}: tick #{tick} of #{report.target} (#{percent} %), #{report.actions} actions"
      )

      %{report | told: now}
    else
      report
    end
  end

  defp kept(data, seq, found) do
    case call(data, {:unmarked, data.world, seq, @batch_bytes}) do
      {:ok, [], _} ->
        {:ok, Enum.concat(Enum.reverse(found))}

      {:ok, entries, true} ->
        {last, _} = List.last(entries)
        kept(data, last, [entries | found])

      {:ok, entries, false} ->
        {:ok, Enum.concat(Enum.reverse([entries | found]))}

      error ->
        told(error, data)
    end
  end

  defp now_ms, do: System.monotonic_time(:millisecond)
end
