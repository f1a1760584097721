defmodule GamePlatform.Compute.Closer do
  @moduledoc false
  # Has workers let go of worlds whose process has ended, however it ended. Nobody waits for that.

  use GenServer

  @full_ms 100

  alias GamePlatform.Compute.{Ring, Worker}

  def start_link(_), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  # The calling process has had `worker` open the world `id`.
  def watch(worker, id), do: GenServer.cast(__MODULE__, {:watch, self(), worker, id})

  @impl true
  def init(_), do: {:ok, %{}}

  # Worlds by their process: one, until a world is made again after a repair.
  @impl true
  def handle_cast({:watch, pid, worker, id}, state) do
    worlds =
      case state do
        %{^pid => worlds} -> worlds
        %{} -> watch_first(pid)
      end

    {:noreply, Map.put(state, pid, MapSet.put(worlds, {worker, id}))}
  end

  defp watch_first(pid) do
    Process.monitor(pid)
    MapSet.new()
  end

  @impl true
  def handle_info({:DOWN, _, _, pid, _}, state) do
    {worlds, state} = Map.pop(state, pid, [])

    Enum.each(worlds, &close/1)
    {:noreply, state}
  end

  def handle_info({:close, world}, state) do
    close(world)
    {:noreply, state}
  end

  # Replies.
  def handle_info(_, state), do: {:noreply, state}

  # A worker that is not up has no worlds, and one that is has either this one or none of that number. A full
  # ring is tried again.
  defp close({worker, id} = world) do
    with %{ring: ring} <- Worker.now(worker),
         {:error, :busy} <- Ring.cast(ring, :close, [id]),
         do: Process.send_after(self(), {:close, world}, @full_ms)
  end
end
