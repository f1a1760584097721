defmodule GamePlatform.Harm do
  @moduledoc "Harm to a compute worker from outside: signals at chosen moments, and garbage in its shared memory."

  import GamePlatform.Eventually

  alias GamePlatform.{Compute, Compute.Worker, Native, NativeNode}

  @doc """
  Starts a worker of the test's own and waits until it is up. It is started anew at once, and two seconds of a
  crowded machine are no hang.
  """
  def start_worker(name, opts \\ []) do
    opts = Keyword.merge([name: name, backoff: {1, 1}, check_ms: 20, hang_checks: 100], opts)
    ExUnit.Callbacks.start_supervised!({Worker, opts}, id: name)
    up(name)
  end

  @doc "The digest of a world that nobody disturbs: it is advanced in the BEAM."
  def uninterrupted(opts, ticks) do
    {:ok, world} = Compute.new_world([backend: :nif] ++ opts)
    {:ok, ^ticks} = Compute.advance(world, ticks)
    {:ok, digest} = Compute.digest(world)
    Compute.close(world)
    digest
  end

  def up(name) do
    {:ok, up} = Worker.up(name)
    up
  end

  @doc "Sends a signal within a fraction of a millisecond: one shell serves all signals of the calling process."
  def signal(%{os_pid: os_pid}, signal), do: signal(os_pid, signal)

  def signal(os_pid, signal) when is_integer(os_pid) and os_pid > 1 do
    shell = Process.get(__MODULE__) || Port.open({:spawn_executable, "/bin/sh"}, [:binary, args: ["-s"]])

    Process.put(__MODULE__, shell)
    # One that has ended already is as good.
    Port.command(shell, "kill -#{signal} #{os_pid} 2>/dev/null\n")
  end

  @doc "Stops a process; returns when it has stopped."
  def stop(%{os_pid: os_pid}) do
    signal(os_pid, "STOP")
    wait_until(fn -> state(os_pid) == "T" end)
  end

  # After the name in brackets, which may hold anything.
  defp state(os_pid) do
    {:ok, stat} = File.read("/proc/#{os_pid}/stat")
    stat |> String.split(") ") |> List.last() |> String.first()
  end

  @doc "Kills the worker and waits for the next one."
  def kill(name) do
    up = up(name)
    signal(up, "KILL")
    {:ok, next} = Worker.next(name, up)
    next
  end

  @doc """
  Kills the worker at each of these ticks of a world that a task advances, or as soon after as the world has moved
  on since the last kill: one that never does is an error after some. Returns how often it did before the task
  ended.
  """
  def kill_at(advance, world, name, ticks), do: kill_at(advance, world, name, ticks, 0, 0)

  defp kill_at(_, _, _, [], _, kills), do: kills

  defp kill_at(advance, world, name, [tick | later], last, kills) do
    case spin_until(fn -> tick_from(world, max(tick, last + 1)) || over(advance) end) do
      :over ->
        kills

      seen ->
        kill(name)
        kill_at(advance, world, name, later, seen, kills + 1)
    end
  end

  defp tick_from(world, tick) do
    case Compute.tick(world) do
      {:ok, seen} when seen >= tick -> seen
      _ -> nil
    end
  end

  @doc "Returns what `fun` returns once that is neither nil nor false; sees what lasts for microseconds."
  def spin_until(fun, deadline \\ System.monotonic_time(:millisecond) + 60_000) do
    cond do
      seen = fun.() ->
        seen

      System.monotonic_time(:millisecond) > deadline ->
        raise ExUnit.AssertionError, message: "not within a minute"

      true ->
        :erlang.yield()
        spin_until(fun, deadline)
    end
  end

  @doc """
  Kills the worker once it has done so many steps of what a task asks of it, then its successor after the next
  number of steps, and so on until the task ends; returns its result.
  """
  def kill_while(task, name, steps) do
    up = up(name)
    {_, _, start} = Native.ring_progress(up.ring)

    case steps do
      [first | later] ->
        if spin_until(fn -> working(up, start + first) || over(task) end) == :over,
          do: Task.await(task, 60_000),
          else: kill_and_go_on(task, name, later)

      [] ->
        Task.await(task, 60_000)
    end
  end

  defp kill_and_go_on(task, name, steps) do
    kill(name)
    kill_while(task, name, steps)
  end

  defp working(up, steps) do
    {in_flight, _, progress} = Native.ring_progress(up.ring)
    in_flight > 0 and progress >= steps
  end

  defp over(task), do: not Process.alive?(task.pid) and :over

  @doc "Calls under way, as `Compute.info/0` tells them."
  def in_flight(name), do: info(name)[:in_flight]

  def info(name), do: Enum.find(Compute.info().workers, &(&1.name == name))

  def last_exit(name), do: NativeNode.info(name).last_exit

  @doc """
  A file of the memory that a process has open under a name, as `native/shm` calls it: `game_platform_world` or
  `game_platform_replies` of a worker, `game_platform_requests` of the BEAM.
  """
  def memory(os_pid, name) do
    fds = "/proc/#{os_pid}/fd"
    # One look at each: a descriptor may be closed between two.
    for fd <- File.ls!(fds),
        path = Path.join(fds, fd),
        File.read_link(path) == {:ok, "/memfd:#{name} (deleted)"},
        do: path
  end

  @doc "Opens it for `:file.pread/3` and `:file.pwrite/3`; it outlives the worker."
  def open_memory(os_pid, name) do
    [path] = memory(os_pid, name)
    {:ok, file} = :file.open(path, [:raw, :binary, :read, :write])
    file
  end

  @doc """
  The memories of requests that this VM has open. Other tests end their workers meanwhile, and a number that is free
  again soon means another file: each is taken only if its header says what it is.
  """
  def open_requests do
    for path <- memory(System.pid(), "game_platform_requests"),
        {:ok, file} <- [:file.open(path, [:raw, :binary, :read, :write])],
        match?({:ok, <<_version::32, "GPsm", 3::32-little>>}, :file.pread(file, 0, 12)),
        do: file
  end
end
