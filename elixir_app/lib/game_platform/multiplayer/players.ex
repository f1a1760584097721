defmodule GamePlatform.Multiplayer.Players do
  @moduledoc false
  # Who is known in the world, and where each is at home: finds homes for those who come, one after another, so that
  # two who come at the same time do not get the same. Begins anew with each world.

  use GenServer

  alias GamePlatform.Compute
  alias GamePlatform.Game.Simulation.WorldServer
  alias GamePlatform.Game.World.Homes
  alias GamePlatform.Multiplayer.Rates

  @prune_ms 60_000
  # To find a home takes some hundredths of a second, and many may come at once.
  @enter_ms 60_000
  # Guests come and are never seen again, and a world forgets nobody.
  @most_players 10_000
  @full {:world_full, "This world has as many players as it takes: watch it, or play in another."}

  def start_link({name, options}), do: GenServer.start_link(__MODULE__, options, name: name)

  # The home of a player, who is in the world from the next tick on; nil in a world without an economy.
  @spec enter(GenServer.server(), String.t()) :: {:ok, Compute.cell_id() | nil} | {:error, term}
  def enter(server, player), do: GenServer.call(server, {:enter, player}, @enter_ms)

  @impl true
  def init(%{world_server: world_server, rates: rates}) do
    Process.send_after(self(), :prune, @prune_ms)
    {:ok, world} = WorldServer.world(world_server)
    {:ok, %{world: world, rates: rates, known: known(world), homes: nil}}
  end

  defp known(%{economy: nil}), do: %{}

  defp known(world) do
    {:ok, players} = Compute.players(world)
    Map.new(players, &{&1.name, &1.home})
  end

  @impl true
  def handle_call({:enter, _}, _, %{world: %{economy: nil}} = state), do: {:reply, {:ok, nil}, state}

  def handle_call({:enter, player}, _, state) do
    case state.known do
      %{^player => home} -> {:reply, {:ok, home}, state}
      known when map_size(known) >= @most_players -> {:reply, {:error, @full}, state}
      _ -> join(player, state)
    end
  end

  defp join(player, state) do
    with {:ok, homes} <- homes(state),
         {:ok, home, _, homes} <- Homes.take(homes, player),
         {:ok, [%{status: :accepted}]} <-
           Compute.submit(state.world, [%{action: "join", by: player, cell: home}]) do
      {:reply, {:ok, home}, %{state | known: Map.put(state.known, player, home), homes: homes}}
    else
      {:ok, [%{status: :refused, code: code, message: message}]} -> {:reply, {:error, {code, message}}, state}
      {:error, _} = error -> {:reply, error, state}
    end
  end

  # Looked for when the first comes who has none.
  defp homes(%{homes: nil, world: world, known: known}), do: Homes.new(world, Map.values(known))
  defp homes(%{homes: homes}), do: {:ok, homes}

  @impl true
  def handle_info(:prune, state) do
    Rates.prune(state.rates)
    Process.send_after(self(), :prune, @prune_ms)
    {:noreply, state}
  end

  def handle_info(_, state), do: {:noreply, state}
end
