defmodule GamePlatform.Persistence.Directory do
  @moduledoc false
  # Has the lock of a data directory as long as it lives. It is the first of its subtree: if that was killed, its other
  # processes may be about to end, and are waited for.

  use GenServer

  alias GamePlatform.Persistence.DataDir

  @end_ms 10_000
  @step_ms 10

  def start_link({dir, others}), do: GenServer.start_link(__MODULE__, {dir, others})

  @impl true
  def init({dir, others}) do
    await_end(others, System.monotonic_time(:millisecond) + @end_ms)

    case DataDir.open(dir) do
      {:ok, data} -> {:ok, data}
      {:error, reason} -> {:stop, reason}
    end
  end

  defp await_end(names, deadline) do
    if Enum.any?(names, &GenServer.whereis/1) and System.monotonic_time(:millisecond) < deadline do
      Process.sleep(@step_ms)
      await_end(names, deadline)
    end
  end
end
