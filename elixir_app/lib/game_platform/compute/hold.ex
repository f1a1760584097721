defmodule GamePlatform.Compute.Hold do
  @moduledoc false
  # Who has ticks wait: processes that begin to copy a world. Each is monitored, and its hold is named by the monitor,
  # so that it ends with the process.

  @type t :: %{reference => pid}

  @spec new() :: t
  def new, do: %{}

  @spec add(t, pid) :: {reference, t}
  def add(holds, pid) do
    ref = Process.monitor(pid)
    {ref, Map.put(holds, ref, pid)}
  end

  @doc "Ends a hold; one that has ended is none."
  @spec remove(t, reference) :: t
  def remove(holds, ref) do
    Process.demonitor(ref, [:flush])
    Map.delete(holds, ref)
  end
end
