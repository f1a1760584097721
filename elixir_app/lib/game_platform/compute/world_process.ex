defmodule GamePlatform.Compute.WorldProcess do
  @moduledoc false
  # Owns one world of any backend. Advances are jobs, done one after another in slices; between two
  # slices the process answers everybody else. A job ends early when its deadline passes or its caller
  # dies. Actions wait here for the tick that they are for, and, if there is a journal, until they are durable there.
  # The process ends with the owner of the world, and with its journal.

  use GenServer

  alias GamePlatform.{Config, Telemetry}
  alias GamePlatform.Compute.{Economy, Hold, Job, Journal, Pending, Reads, World}
  alias GamePlatform.Compute.Beam.Topology

  @slice_us 4_000
  # The longest that a tick waits for its mark.
  @mark_ms 50

  def start(module, options, owner) do
    name = if options.name, do: [name: options.name], else: []
    GenServer.start(__MODULE__, {module, options, owner}, name)
  end

  # From now on the actions of the world are written to a journal, `{module, pid, epoch}`, which ends with the action `seq`. Those
  # of `kept`, `{seq, bytes}`, are executed by the next tick; `classes` tell by name of an action how durable it is to be
  # when it is answered.
  def keep(pid, journal, seq, kept, classes), do: GenServer.call(pid, {:keep, journal, seq, kept, classes})

  # Waits until the journal has taken back what was not executed: then what it holds is what the world has done so far.
  @spec settle(pid, timeout) :: :ok | {:error, :closed | {:log_behind, String.t()}}
  def settle(pid, timeout) do
    GenServer.call(pid, :settle, timeout)
  catch
    :exit, {:timeout, _} -> {:error, {:log_behind, "the event log does not answer"}}
    :exit, _ -> {:error, :closed}
  end

  # Advances to `tick` with these batches, `{tick, batch}` ascending, each taken in by its tick.
  def replay(pid, batches, tick), do: call(pid, {:replay, batches, tick})

  # From now on nobody can act in the world or advance it.
  def freeze(pid), do: call(pid, :freeze)

  defp call(pid, request) do
    GenServer.call(pid, request, :infinity)
  catch
    :exit, _ -> {:error, :closed}
  end

  # Asks for an advance without waiting; `answer/2` tells whether a message is the answer.
  def request_advance_to(pid, tick), do: :gen_server.send_request(pid, {:advance, {:to, tick}, :infinity})

  def answer(message, request) do
    case :gen_server.check_response(message, request) do
      {:reply, answer} -> answer
      {:error, {_reason, _server}} -> {:error, :closed}
      :no_reply -> :no_reply
    end
  end

  # From now on memory that is lost is made again from the snapshot of `tick` that `read` returns.
  @spec rebase(pid, non_neg_integer, fun) :: :ok | {:error, :closed}
  def rebase(pid, tick, read) do
    GenServer.call(pid, {:rebase, tick, read}, :infinity)
  catch
    :exit, _ -> {:error, :closed}
  end

  @impl true
  def init({module, options, owner}) do
    owner = Process.monitor(owner)
    Telemetry.prepare()

    with {:ok, backend} <- module.new(options),
         {:ok, ready, tick, backend} <- first(module, backend, options) do
      world = world(module, backend, options, options.ruleset.terms)

      {:ok,
       %{
         world: world,
         pending: if(world.economy, do: Pending.new()),
         journal: nil,
         # Batches of a log that are yet to be taken in.
         script: [],
         frozen: false,
         # The tick whose mark is waited for.
         awaited: nil,
         module: module,
         backend: backend,
         owner: owner,
         ready: ready,
         waiting: [],
         tick: tick,
         ruleset_text: options.ruleset.text,
         # Ticks wait while a snapshot begins.
         holds: Hold.new(),
         jobs: :queue.new(),
         slicing: false
       }, {:continue, :generate}}
    else
      {:error, reason} -> {:stop, {:shutdown, reason}}
    end
  end

  defp world(module, backend, options, terms) do
    %World{
      pid: self(),
      backend: options.backend,
      module: module,
      reader: module.reader(backend),
      frequency: options.frequency,
      seed: options.seed,
      cells: Topology.cells(options.frequency),
      kinds: Enum.map(terms["kinds"], & &1["name"]),
      name: options.name,
      economy: terms["economy"],
      index: Economy.index(terms["economy"]),
      # Whoever reads players writes what it has learned: names never change.
      names: if(terms["economy"], do: :ets.new(__MODULE__, [:public, read_concurrency: true]))
    }
  end

  # A snapshot or given cells are the first state at once; otherwise it is generated.
  defp first(module, backend, %{snapshot: snapshot}) when snapshot != nil do
    with {:ok, tick, backend} <- module.load(backend, snapshot), do: {:ok, true, tick, backend}
  end

  defp first(module, backend, %{cells: {kinds, amounts}}) do
    with {:ok, backend} <- module.fill(backend, kinds, amounts), do: {:ok, true, 0, backend}
  end

  defp first(_, backend, _), do: {:ok, false, 0, backend}

  @impl true
  def handle_continue(:generate, state), do: {:noreply, slice(state)}

  @impl true
  def handle_call(:world, from, %{ready: false} = state) do
    {:noreply, %{state | waiting: [from | state.waiting]}}
  end

  def handle_call(:world, _, state), do: {:reply, {:ok, state.world}, state}
  def handle_call(:tick, _, state), do: {:reply, {:ok, state.tick}, state}

  def handle_call(:digest, _, state) do
    case state.module.digest(state.backend) do
      {:ok, digest, backend} -> {:reply, {:ok, digest}, %{state | backend: backend}}
      error -> {:reply, error, state}
    end
  end

  def handle_call(:planes, _, state), do: read(state, & &1.module.planes(&1.backend))
  def handle_call({:diff, since}, _, state), do: read(state, & &1.module.diff(&1.backend, since))

  def handle_call({:read, what, arguments}, _, state),
    do: read(state, &apply(Reads, what, [&1.world, &1.backend | arguments]))

  def handle_call({:submit, _}, _, %{frozen: true} = state), do: {:reply, {:error, :read_only}, state}
  def handle_call({:advance, _, _}, _, %{frozen: true} = state), do: {:reply, {:error, :read_only}, state}
  def handle_call(:freeze, _, state), do: {:reply, :ok, %{state | frozen: true}}

  def handle_call({:replay, batches, tick}, from, state) do
    case passed(batches, now(state)) do
      nil ->
        job = Job.new(from, {:to, tick}, :infinity)
        {:noreply, slice(%{state | script: batches, jobs: :queue.in(job, state.jobs)})}

      {passed, _} ->
        {:reply, {:error, {:tick_passed, %{tick: passed}}}, state}
    end
  end

  def handle_call({:submit, actions}, from, state) do
    case repairing(state, &take_in(&1, actions)) do
      {{:ok, answers, pending}, state} -> taken_in(actions, answers, from, pending, state)
      {error, state} -> {:reply, error, state}
    end
  end

  def handle_call({:keep, journal, seq, kept, classes}, _, state) do
    pending = state.pending && Pending.journaled(state.pending, seq, kept, now(state))
    {:reply, :ok, %{state | pending: pending, journal: Journal.new(journal, classes)}}
  end

  def handle_call(:settle, _, %{journal: nil} = state), do: {:reply, :ok, state}

  def handle_call(:settle, from, state) do
    Journal.settle(state.journal, from)
    {:noreply, state}
  end

  # What only the owner can read is captured here, and the rest by the caller while no tick begins.
  def handle_call(:capture, _, %{world: %{reader: nil}} = state),
    do: {:reply, {:captured, state.module.capture(state.backend, nil, make_ref()), state.ruleset_text}, state}

  def handle_call(:capture, {pid, _}, state) do
    {ref, holds} = Hold.add(state.holds, pid)
    {:reply, {:held, ref, state.ruleset_text}, %{state | holds: holds}}
  end

  def handle_call(:repair, _, state) do
    case state.module.repair(state.backend) do
      {:ok, backend} -> {:reply, :ok, repaired(state, backend)}
      error -> {:reply, error, state}
    end
  end

  def handle_call({:rebase, tick, read}, _, state) do
    if function_exported?(state.module, :rebase, 3),
      do: {:reply, :ok, %{state | backend: state.module.rebase(state.backend, tick, read)}},
      else: {:reply, :ok, state}
  end

  def handle_call(:close, _, state), do: {:stop, :normal, :ok, state}

  def handle_call({:advance, goal, timeout_ms}, from, state) do
    job = Job.new(from, goal, timeout_ms)
    {:noreply, slice(%{state | jobs: :queue.in(job, state.jobs)})}
  end

  @impl true
  def handle_info(:slice, %{holds: holds} = state) when holds != %{},
    do: {:noreply, %{state | slicing: false}}

  def handle_info(:slice, state), do: run(%{state | slicing: false})
  def handle_info({:captured, ref}, state), do: {:noreply, release(state, ref)}
  def handle_info({:DOWN, owner, _, _, _}, %{owner: owner} = state), do: {:stop, :normal, state}

  # What it had accepted is in the journal, or not: only the journal knows, so the world begins anew from there.
  def handle_info({:DOWN, monitor, _, _, _}, %{journal: %Journal{monitor: monitor}} = state),
    do: {:stop, {:shutdown, :journal_down}, state}

  def handle_info({:DOWN, monitor, _, _, _}, %{holds: holds} = state) when is_map_key(holds, monitor),
    do: {:noreply, release(state, monitor)}

  def handle_info({:DOWN, monitor, _, _, _}, state), do: {:noreply, drop(state, monitor, nil)}
  def handle_info({:late, monitor}, state), do: {:noreply, drop(state, monitor, {:error, :timeout})}

  def handle_info({:journal, pid, what}, %{journal: %Journal{pid: pid}} = state),
    do: {:noreply, journaled(what, state)}

  def handle_info({:mark_late, tick}, state) do
    if Pending.sealed?(state.pending, tick) and now(state) == tick do
      Journal.unmark(state.journal, tick)
      {:noreply, slice(%{state | pending: Pending.late(state.pending, tick)})}
    else
      {:noreply, state}
    end
  end

  def handle_info(:journal_late, state), do: {:noreply, %{state | journal: Journal.late(state.journal)}}
  def handle_info(_, state), do: {:noreply, state}

  @impl true
  def terminate(_, state), do: state.module.close(state.backend)

  defp read(state, fun) do
    {answer, state} = repairing(state, fun)
    {:reply, answer, state}
  end

  # Once more after a repair, if the memory of the world turns out to be broken.
  defp repairing(state, fun) do
    with {:error, :corrupt_peer} <- fun.(state),
         {:ok, backend} <- state.module.repair(state.backend) do
      state = repaired(state, backend)
      {fun.(state), state}
    else
      answer -> {answer, state}
    end
  end

  defp repaired(state, backend) do
    Reads.forget(state.world)
    %{state | backend: backend, pending: Pending.forget(state.pending)}
  end

  defp take_in(%{world: world, backend: backend} = state, actions) do
    with {:ok, tick} <- state.module.tick(backend),
         {:ok, pending} <- Pending.look(state.pending, world, backend, tick),
         do: Pending.submit(pending, world, backend, actions)
  end

  defp taken_in(_, answers, _, pending, %{journal: nil} = state),
    do: {:reply, {:ok, Enum.map(answers, &elem(&1, 0))}, %{state | pending: pending}}

  defp taken_in(actions, answers, from, pending, state) do
    entries = Pending.since(pending, state.pending.seq)

    case Journal.keep(state.journal, from, actions, answers, entries) do
      {:now, answers, journal} -> {:reply, {:ok, answers}, %{state | pending: pending, journal: journal}}
      {:later, journal} -> {:noreply, %{state | pending: pending, journal: journal}}
    end
  end

  defp journaled({:durable, seq}, state) do
    pending = Pending.durable(state.pending, seq)
    %{state | pending: pending, journal: Journal.durable(state.journal, pending, seq)}
  end

  defp journaled({:marked, tick}, state) do
    case Pending.marked(state.pending, tick, now(state)) do
      false -> state
      pending -> slice(%{state | pending: pending})
    end
  end

  defp journaled({:failed, code, epoch}, state) do
    journal = Journal.failed(state.journal, state.pending.durable, code, epoch)
    slice(%{state | pending: Pending.failed(state.pending, code), journal: journal})
  end

  defp journaled(:recovered, state), do: %{state | pending: Pending.recovered(state.pending)}

  defp release(state, ref), do: slice(%{state | holds: Hold.remove(state.holds, ref)})

  # Asks for a slice, once.
  defp slice(%{slicing: true} = state), do: state
  defp slice(%{holds: holds} = state) when holds != %{}, do: state

  defp slice(%{ready: true} = state) do
    if :queue.is_empty(state.jobs), do: state, else: request(state)
  end

  defp slice(state), do: request(state)

  defp request(state) do
    send(self(), :slice)
    %{state | slicing: true}
  end

  defp run(%{ready: false} = state) do
    case state.module.generate(state.backend, @slice_us) do
      {:ok, true, backend} ->
        for from <- state.waiting, do: GenServer.reply(from, {:ok, state.world})
        {:noreply, slice(%{state | backend: backend, ready: true, waiting: []})}

      {:ok, false, backend} ->
        {:noreply, slice(%{state | backend: backend})}

      {:error, reason} ->
        {:stop, {:shutdown, reason}, state}
    end
  end

  defp run(state) do
    case :queue.out(state.jobs) do
      {:empty, _} -> {:noreply, state}
      {{:value, job}, rest} -> work(job, %{state | jobs: rest})
    end
  end

  defp work(%Job{target: nil} = job, state) do
    target =
      case job.goal do
        {:by, n} -> now(state) + n
        {:to, tick} -> tick
      end

    if target <= Config.max_tick() do
      job |> Job.begin(target, about(state)) |> advance(state)
    else
      left = Config.max_tick() - now(state)
      Job.finish(job, Config.invalid(:n, target - now(state), "at most #{left} ticks more"), about(state))

      {:noreply, slice(state)}
    end
  end

  defp work(job, state), do: advance(job, state)

  # An advance that ended with an error may have come further than it was answered.
  defp now(state) do
    case state.module.tick(state.backend) do
      {:ok, tick} -> max(tick, state.tick)
      {:error, _} -> state.tick
    end
  end

  defp advance(job, state) do
    before = now(state)

    case give(state, before, job.target) do
      {:ok, state} -> advance(job, state, before)
      # It goes on when the mark has come, or is late.
      {:wait, state} -> {:noreply, %{state | jobs: :queue.in_r(job, state.jobs)}}
      {:error, reason} -> failed(job, reason, state, before)
    end
  end

  defp advance(job, state, before) do
    target = state.pending |> Pending.until(before, job.target) |> next_batch(state.script)

    case state.module.advance(state.backend, target, @slice_us) do
      {:ok, tick, done?, backend} ->
        pending = Pending.advanced(state.pending, before, tick, done?)
        journal = Journal.reached(state.journal, tick)
        state = %{state | tick: tick, backend: backend, pending: pending, journal: journal}

        {:noreply,
         slice(if(done? and target == job.target, do: finished(job, state), else: later(job, state)))}

      {:error, reason, backend} ->
        failed(job, reason, %{state | backend: backend}, before)

      {:error, reason} ->
        failed(job, reason, state, before)
    end
  end

  defp next_batch(target, [{tick, _} | _]), do: min(target, tick)
  defp next_batch(target, []), do: target

  defp finished(job, state) do
    Job.finish(job, {:ok, state.tick}, about(state))
    state
  end

  defp later(job, state), do: %{state | jobs: :queue.in_r(Job.report(job, about(state)), state.jobs)}

  # The tick that it has come to may have begun.
  defp failed(job, reason, state, before) do
    Job.finish(job, {:error, reason}, about(state))
    {:noreply, slice(%{state | pending: Pending.advanced(state.pending, before, now(state), false)})}
  end

  # The first batch that would never be taken in, since its tick is over by then: the world would wait for it for ever.
  defp passed([], _), do: nil
  defp passed([{tick, _} = batch | _], next) when tick < next, do: batch
  defp passed([{tick, _} | batches], _), do: passed(batches, tick + 1)

  # What is pending for the next tick goes to the backend just before that tick is executed.
  defp give(state, tick, target) when tick >= target, do: {:ok, state}

  defp give(%{script: [{tick, batch} | script]} = state, tick, _) do
    with {:ok, backend} <- state.module.act(state.backend, tick, batch),
         do: {:ok, %{state | backend: backend, script: script}}
  end

  defp give(state, tick, _) do
    case Pending.boundary(state.pending, tick) do
      {:nothing, pending} ->
        {:ok, %{state | pending: pending}}

      {:give, batch, pending} ->
        with {:ok, backend} <- state.module.act(state.backend, tick, batch),
             do: {:ok, %{state | backend: backend, pending: Pending.given(pending, tick)}}

      {:mark, at, seq, pending} ->
        Journal.mark(state.journal, at, seq)
        state = %{state | pending: pending}
        if at == tick, do: await_mark(tick, state), else: {:ok, state}

      :wait ->
        await_mark(tick, state)
    end
  end

  defp await_mark(tick, %{awaited: tick} = state), do: {:wait, state}

  defp await_mark(tick, state) do
    Process.send_after(self(), {:mark_late, tick}, @mark_ms)
    {:wait, %{state | awaited: tick}}
  end

  defp about(state), do: %{backend: state.world.backend, frequency: state.world.frequency, tick: state.tick}

  # Takes the job of `monitor` out of the queue; the next advance goes on where it stopped.
  defp drop(state, monitor, answer) do
    {gone, left} = state.jobs |> :queue.to_list() |> Enum.split_with(&(&1.monitor == monitor))
    for job <- gone, do: Job.finish(job, answer, about(state))
    %{state | jobs: :queue.from_list(left)}
  end
end
