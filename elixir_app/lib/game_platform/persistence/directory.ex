defmodule GamePlatform.Persistence.Directory do
  @moduledoc false
  # Has the lock of a data directory as long as it lives.

  use GenServer

  alias GamePlatform.Persistence.DataDir

  def start_link(dir), do: GenServer.start_link(__MODULE__, dir)

  @impl true
  def init(dir) do
    case DataDir.open(dir) do
      {:ok, data} -> {:ok, data}
      {:error, reason} -> {:stop, reason}
    end
  end
end
