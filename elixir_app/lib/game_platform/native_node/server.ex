defmodule GamePlatform.NativeNode.Server do
  @moduledoc false
  # The process behind `GamePlatform.NativeNode`.
  #
  #   starting ── ready, connected, handler content ──> up
  #      │                                              │
  #      └── failure ──> down (killed, waiting for the exit status) <── failure
  #                        │
  #                      backoff ──> starting
  #
  # `run` is what belongs to one start, none in backoff.

  use GenServer

  require Logger

  alias GamePlatform.NativeNode.{Distribution, Program}
  alias GamePlatform.Telemetry

  # The exit status of a program that ended by itself comes with the end of its connection.
  @exit_status_ms 100

  defmodule Run do
    @moduledoc false
    # `task`: the process that asks the handler. `reason`: why the run is being ended. `waited`: the timer of a start
    # or of an exit status.
    defstruct [:program, :started, :waited, :task, :up, :up_since, :progress, :reason] ++
                [connected: false, ready: false, is_up: false, same: 0]
  end

  @impl true
  def init(options) do
    Process.flag(:trap_exit, true)
    Telemetry.prepare()
    generation = bury(options.name)
    short = options.program |> Path.basename() |> String.replace(~r/[^A-Za-z0-9_]/, "_")

    state = %{
      options: options,
      config: %{
        program: options.program,
        args: options.args,
        short: "#{short}_#{Distribution.random(4)}",
        cookie: String.to_atom(Distribution.random(16))
      },
      status: :starting,
      node: nil,
      generation: generation,
      failures: 0,
      cannot_start: nil,
      last_exit: nil,
      waiting: %{},
      run: nil
    }

    {:ok, state, {:continue, :start}}
  end

  @impl true
  def handle_continue(:start, state), do: {:noreply, start(state)}

  @impl true
  def handle_call({:await_up, _, after_generation}, _, %{status: :up, generation: generation} = state)
      when generation > after_generation,
      do: {:reply, {:ok, summary(state)}, state}

  def handle_call({:await_up, _, _}, _, %{cannot_start: reason} = state) when reason != nil,
    do: {:reply, {:error, reason}, state}

  def handle_call({:await_up, timeout, _}, from, state) do
    key = make_ref()
    if timeout != :infinity, do: Process.send_after(self(), {:waited, key}, timeout)
    {:noreply, %{state | waiting: Map.put(state.waiting, key, from)}}
  end

  def handle_call(:info, _, state) do
    info = %{
      state: state.status,
      os_pid: state.run && state.run.program.os_pid,
      node: state.node,
      generation: state.generation,
      restarts: max(state.generation - 1, 0),
      backoff_ms: delay(state.options.backoff, state.failures),
      last_exit: state.last_exit,
      up: state.run && state.run.up
    }

    {:reply, info, state}
  end

  @impl true
  def handle_cast({:report_corrupt, generation, details}, %{status: :up, generation: generation} = state),
    do: {:noreply, fail(state, {:corrupt, details})}

  def handle_cast({:report_corrupt, _, _}, state), do: {:noreply, state}

  @impl true
  def handle_info(:start, %{status: :backoff} = state) do
    # A VM that shuts down loses its node before it ends this process, and would not end what is started now.
    if match?({:stopping, _}, :init.get_status()), do: {:noreply, state}, else: {:noreply, start(state)}
  end

  def handle_info({:waited, key}, state) do
    {from, waiting} = Map.pop(state.waiting, key)
    if from, do: GenServer.reply(from, {:error, :worker_down})
    {:noreply, %{state | waiting: waiting}}
  end

  def handle_info({port, {:data, data}}, %{run: %Run{program: %{port: port}} = run} = state) do
    {what, program} = Program.output(run.program, data)
    run = %{run | program: program, ready: run.ready or what == :ready}
    {:noreply, ask_handler(%{state | run: run})}
  end

  def handle_info({port, {:exit_status, status}}, %{run: %Run{program: %{port: port}}} = state),
    do: {:noreply, ended(state, {:exit_status, status})}

  # It has closed its standard input, most often by ending before it was given the cookie.
  def handle_info({:EXIT, port, reason}, %{run: %Run{program: %{port: port} = program}} = state) do
    Program.kill_and_wait(program)
    {:noreply, ended(state, {:input_closed, reason})}
  end

  def handle_info({:distribution, acceptor, event}, %{run: %Run{program: %{acceptor: acceptor}}} = state) do
    case event do
      :connected ->
        Node.monitor(state.node, true)
        {:noreply, ask_handler(%{state | run: %{state.run | connected: true}})}

      {:refused, reason} ->
        {:noreply, fail_soon(state, {:refused, reason})}
    end
  end

  def handle_info({:nodedown, node}, %{node: node, run: %Run{connected: true, reason: nil}} = state) do
    {:noreply, fail_soon(state, :connection_lost)}
  end

  def handle_info({:late, generation, reason}, %{generation: generation, run: %Run{}} = state),
    do: {:noreply, fail(state, reason)}

  def handle_info({:start_timeout, generation}, %{generation: generation, status: :starting} = state),
    do: {:noreply, fail(state, :start_timeout)}

  def handle_info({:handler, task, result}, %{run: %Run{task: task, reason: nil}} = state) do
    case result do
      {:ok, up} -> {:noreply, up(state, up)}
      {:error, reason} -> {:noreply, fail(state, {:refused_by_handler, reason})}
      other -> {:noreply, fail(state, {:refused_by_handler, other})}
    end
  end

  def handle_info({:check, generation}, %{generation: generation, status: :up} = state),
    do: {:noreply, check(state)}

  def handle_info({:healthy, generation}, %{generation: generation, status: :up} = state),
    do: {:noreply, %{state | failures: 0}}

  def handle_info({:EXIT, pid, reason}, %{run: %Run{} = run} = state) do
    cond do
      # A task that ends after its answer.
      reason == :normal -> {:noreply, state}
      pid == run.task -> {:noreply, fail_soon(state, {:refused_by_handler, reason})}
      pid == run.program.acceptor and not run.connected -> {:noreply, fail(state, {:refused, reason})}
      true -> {:noreply, state}
    end
  end

  def handle_info(message, %{status: :up, options: %{handler: {module, _}}, run: run} = state) do
    with true <- function_exported?(module, :handle_info, 2),
         {:corrupt, details} <- module.handle_info(message, run.up) do
      {:noreply, fail(state, {:corrupt, details})}
    else
      _ -> {:noreply, state}
    end
  end

  def handle_info(_, state), do: {:noreply, state}

  @impl true
  def terminate(_, state) do
    if state.run do
      Program.stop(state.run.program, state.options.stop_timeout_ms)
      finish(state, state.run.reason || :stopped)
    end

    for {_, from} <- state.waiting, do: GenServer.reply(from, {:error, :worker_down})
  end

  defp start(state) do
    generation = state.generation + 1
    state = %{state | generation: generation, status: :starting}

    case Program.start(state.config) do
      {:ok, program} ->
        Process.send_after(self(), {:start_timeout, generation}, state.options.start_timeout_ms)
        remember(state.options.name, program, generation)
        run = %Run{program: program, started: System.monotonic_time()}
        %{state | run: run, node: program.peer, cannot_start: nil}

      {:error, reason} ->
        for {_, from} <- state.waiting, do: GenServer.reply(from, {:error, reason})
        back_off(%{state | cannot_start: reason, last_exit: reason, waiting: %{}})
    end
  end

  # A process of this name that was killed left its program behind, which ends by itself, unless it is stopped.
  # It must be dead before there is another. Generations go on, so that nobody takes one for another.
  defp bury(nil), do: 0

  defp bury(name) do
    case :persistent_term.get({__MODULE__, name}, nil) do
      nil ->
        0

      {program, generation} ->
        Program.kill_and_wait(program)
        File.rm_rf(program.dir)
        generation
    end
  end

  defp remember(nil, _, _), do: :ok

  defp remember(name, program, generation),
    do: :persistent_term.put({__MODULE__, name}, {program, generation})

  # The first call proves that the server serves; a program that connects and does not is as good as none.
  defp ask_handler(%{run: %Run{connected: true, ready: true, task: nil, reason: nil}} = state) do
    server = {state.options.server, state.node}
    program = state.run.program
    {module, arg} = state.options.handler
    %{start_timeout_ms: timeout} = state.options
    owner = self()

    about = %{
      node: state.node,
      server: server,
      os_pid: program.os_pid,
      dir: program.dir,
      generation: state.generation,
      owner: owner
    }

    task =
      spawn_link(fn ->
        result =
          case GenServer.call(server, :ping, timeout) do
            :pong -> module.handle_up(about, arg)
            other -> {:error, {:no_pong, other}}
          end

        send(owner, {:handler, self(), result})
      end)

    %{state | run: %{state.run | task: task}}
  end

  defp ask_handler(state), do: state

  defp up(state, up) do
    now = System.monotonic_time()
    run = %{state.run | up: up, up_since: now, is_up: true}
    state = %{state | run: run, status: :up, cannot_start: nil}
    for {_, from} <- state.waiting, do: GenServer.reply(from, {:ok, summary(state)})

    Telemetry.execute([:native_node, :up], %{duration: now - run.started}, metadata(state))
    Process.send_after(self(), {:healthy, state.generation}, state.options.healthy_ms)
    check(%{state | waiting: %{}})
  end

  # Counts the checks in a row that saw no progress.
  defp check(%{run: run} = state) do
    {module, _} = state.options.handler
    progress = module.progress(run.up)
    same = if progress != :idle and progress === run.progress, do: run.same + 1, else: 0
    state = %{state | run: %{run | progress: progress, same: same}}

    if same >= state.options.hang_checks do
      fail(state, :hung)
    else
      Process.send_after(self(), {:check, state.generation}, state.options.check_ms)
      state
    end
  end

  # Ends the run: nothing else happens until the exit status has come.
  defp fail(%{run: %Run{reason: nil} = run} = state, reason) do
    Program.kill(run.program)
    stop_task(run)
    %{state | status: :down, run: %{run | reason: reason}}
  end

  defp fail(state, _), do: state

  # As `fail/2`, unless the exit status, which says more, is on its way.
  defp fail_soon(state, reason) do
    Process.send_after(self(), {:late, state.generation, reason}, @exit_status_ms)
    state
  end

  defp stop_task(%Run{task: nil}), do: :ok

  defp stop_task(%Run{task: task}) do
    Process.unlink(task)
    Process.exit(task, :kill)
  end

  # The program is dead.
  defp ended(%{run: run} = state, status) do
    stop_task(run)
    reason = run.reason || status
    finish(state, reason)
    level = if run.is_up, do: :warning, else: :error
    Logger.log(level, "#{state.options.program} ended: #{told(reason)}; it is started again")
    back_off(%{state | last_exit: reason, run: nil})
  end

  # A sentence, such as that its port is taken, is for people as it is.
  defp told({:refused_by_handler, sentence}) when is_binary(sentence), do: sentence
  defp told(reason), do: inspect(reason)

  defp finish(%{run: run} = state, reason) do
    if run.connected, do: unmonitor(state.node)
    Program.clean(run.program)
    {module, _} = state.options.handler
    if run.is_up, do: module.handle_down(run.up, reason)
    uptime = if run.is_up, do: System.monotonic_time() - run.up_since, else: 0
    Telemetry.execute([:native_node, :down], %{uptime: uptime}, Map.put(metadata(state), :reason, reason))
  end

  # A VM that shuts down may be no node any more.
  defp unmonitor(node) do
    Node.monitor(node, false)
  rescue
    ErlangError -> true
  end

  defp back_off(state) do
    Process.send_after(self(), :start, delay(state.options.backoff, state.failures))
    %{state | status: :backoff, failures: state.failures + 1}
  end

  # The delay before the restart after so many failures in a row: none, then doubling.
  defp delay(_, 0), do: 0
  defp delay({first, max}, failures), do: min(first * 2 ** min(failures - 1, 20), max)

  defp summary(state) do
    %{generation: state.generation, os_pid: state.run.program.os_pid, node: state.node, up: state.run.up}
  end

  defp metadata(state) do
    %{program: state.options.program, os_pid: state.run.program.os_pid, generation: state.generation}
  end
end
