defmodule GamePlatform.Transport.Acceptor do
  @moduledoc false
  # Told of each client by the edge: starts its connection.

  use GenServer

  require Logger

  alias GamePlatform.Transport
  alias GamePlatform.Transport.Connection

  def start_link(%{name: name} = config),
    do: GenServer.start_link(__MODULE__, config, name: Transport.part(name, "Acceptor"))

  @impl true
  def init(%{name: name, sockets: sockets}) do
    {:ok,
     %{
       name: name,
       sockets: sockets,
       egress: Transport.egress(name),
       channels: Transport.part(name, "Channels"),
       connections: Transport.part(name, "Connections")
     }}
  end

  @impl true
  def handle_info({:gp_connect, pid, n, info}, config) do
    {:ok, _} = DynamicSupervisor.start_child(config.connections, {Connection, {pid, n, info, config}})
    {:noreply, config}
  end

  def handle_info(_, config), do: {:noreply, config}
end
