defmodule GamePlatform.Compute.Worker do
  @moduledoc false
  # A compute worker: `gp_worker` under a `GamePlatform.NativeNode`, and the ring that leads to it. Its name
  # finds it; who calls it needs no other process: what is up now lies in a persistent term.

  @behaviour GamePlatform.NativeNode

  alias GamePlatform.{Compute.Ring, Config, Native, NativeNode}

  @default __MODULE__
  @handover_ms 5_000
  @up_ms 30_000
  # What a supervisor may need.
  @restart_ms 500
  @restart_step_ms 5

  # A worker that is up. `id` tells lives apart, of all workers; `generation` those of one.
  @type up :: %{
          id: reference,
          name: atom,
          ring: term,
          server: pid,
          node: node,
          os_pid: pos_integer,
          generation: pos_integer
        }

  def default, do: @default

  def child_spec(opts) do
    %{id: Keyword.get(opts, :name, @default), start: {__MODULE__, :start_link, [opts]}, shutdown: 10_000}
  end

  def start_link(opts) do
    {name, opts} = Keyword.pop(opts, :name, @default)
    :persistent_term.put({__MODULE__, :name, name}, true)

    NativeNode.start_link(
      [name: name, program: program(), server: :gp_worker, handler: {__MODULE__, name}] ++ opts
    )
  end

  defp program, do: Application.app_dir(:game_platform, "priv/native/gp_worker")

  # The worker of that name while it is up, waiting for it if it is starting. The shared one is started by
  # whoever needs it first.
  @spec up(atom, timeout) :: {:ok, up} | {:error, term}
  def up(name \\ @default, timeout \\ @up_ms) do
    case now(name) do
      nil -> with :ok <- ensure(name), do: await(name, 0, min(timeout, @up_ms))
      up -> {:ok, up}
    end
  end

  # The worker of that name if it is up at this moment.
  @spec now(atom) :: up | nil
  def now(name), do: :persistent_term.get({__MODULE__, name}, nil)

  # The life after `up`, which is gone or about to go.
  @spec next(atom, %{:generation => pos_integer, optional(atom) => term}) :: {:ok, up} | {:error, term}
  def next(name, up), do: await(name, up.generation, @up_ms)

  @spec report_corrupt(atom, %{:generation => pos_integer, optional(atom) => term}, String.t()) :: :ok
  def report_corrupt(name, up, details), do: NativeNode.report_corrupt(name, up.generation, details)

  defp await(name, after_generation, timeout) do
    await(name, after_generation, timeout, System.monotonic_time(:millisecond) + min(timeout, @restart_ms))
  end

  defp await(name, after_generation, timeout, deadline) do
    case NativeNode.await_up(name, timeout, after_generation) do
      {:ok, %{up: up}} ->
        {:ok, up}

      # The process that watches it may have ended, and be about to be started again.
      {:error, :worker_down} = error ->
        if System.monotonic_time(:millisecond) < deadline do
          Process.sleep(@restart_step_ms)
          await(name, after_generation, timeout, deadline)
        else
          error
        end

      error ->
        error
    end
  end

  defp ensure(@default) do
    case DynamicSupervisor.start_child(GamePlatform.Compute.Supervisor, child_spec([])) do
      {:ok, _} -> :ok
      {:error, {:already_started, _}} -> :ok
      {:error, reason} -> {:error, reason}
    end
  catch
    :exit, {:noproc, _} ->
      hint = "start the application first: Application.ensure_all_started(:game_platform)"
      {:error, {:worker_not_started, %{reason: "the application is not running", hint: hint}}}
  end

  # Any other process of that name is none of ours, and is not to be called.
  defp ensure(name) do
    if :persistent_term.get({__MODULE__, :name, name}, false) and NativeNode.may_be?(Process.whereis(name)),
      do: :ok,
      else: Config.invalid(:worker, name, "the name of a GamePlatform.Worker that runs")
  end

  # A call over the distribution. It ends when the worker's node goes down, so it needs no tight timeout.
  @spec call(up, term) :: term
  def call(up, request) do
    GenServer.call(up.server, request, @up_ms)
  catch
    :exit, _ -> {:error, :worker_down}
  end

  @doc false
  # One map for each worker that runs.
  def infos do
    for {name, pid} <- workers(), info = info(name, pid), do: info
  end

  defp workers do
    for {{__MODULE__, :name, name}, _} <- :persistent_term.get(),
        pid = Process.whereis(name),
        NativeNode.may_be?(pid),
        do: {name, pid}
  end

  defp info(name, pid) do
    node = NativeNode.info(pid)

    ring =
      case node do
        %{up: %{ring: ring}} -> Native.ring_info(ring)
        _ -> %{}
      end

    node |> Map.delete(:up) |> Map.merge(ring) |> Map.put(:name, name)
  catch
    # It has just been stopped.
    :exit, _ -> nil
  end

  @impl NativeNode
  def handle_up(%{dir: dir, owner: owner} = run, name) do
    path = Path.join(dir, "segments.sock")

    # The ring ends with the process that watches the worker, not with this one.
    with {:ok, ring} <- Native.ring_new(owner),
         {:ok, listener} <- :gen_tcp.listen(0, [:binary, active: false, ifaddr: {:local, path}]) do
      up =
        run
        |> Map.take([:server, :node, :os_pid, :generation])
        |> Map.merge(%{id: make_ref(), ring: ring, name: name})

      try do
        # From here on by its pid: the name would lead to a successor as well.
        with pid when is_pid(pid) <- call(up, :self),
             up = %{up | server: pid},
             :ok <- call(up, {:connect, path}),
             {:ok, socket} <- :gen_tcp.accept(listener, @handover_ms),
             {:ok, fd} <- :inet.getfd(socket),
             # The ring keeps a descriptor of its own, so the port may go.
             :ok <- Native.ring_handover(ring, fd),
             :ok = :gen_tcp.close(socket),
             :ok <- call(up, :serve),
             {:ok, _} <- Ring.ping(ring, @handover_ms) do
          :persistent_term.put({__MODULE__, name}, up)
          {:ok, up}
        end
      after
        :gen_tcp.close(listener)
        File.rm(path)
      end
    end
  end

  # While requests are under way their work must go on; otherwise the thread that takes them must turn.
  @impl NativeNode
  def progress(%{ring: ring}) do
    case Native.ring_progress(ring) do
      {0, beat, _} -> {:idle, beat}
      {_, _, progress} -> {:busy, progress}
    end
  end

  # Somebody has found in the ring what no sound worker writes.
  @impl NativeNode
  def handle_info({:ring_corrupt, ring, text}, %{ring: ring}), do: {:corrupt, text}
  def handle_info(_, _), do: :ok

  @impl NativeNode
  def handle_down(%{ring: ring, name: name}, reason) do
    :persistent_term.erase({__MODULE__, name})
    Native.ring_abort(ring, if(match?({:corrupt, _}, reason), do: :corrupt_peer, else: :worker_down))
  end
end
