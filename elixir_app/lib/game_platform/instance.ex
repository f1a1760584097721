defmodule GamePlatform.Instance do
  @moduledoc false
  # One running platform, under the name that its user gave:
  #
  #     name (Supervisor, rest_for_one)
  #     ├── name.Registry         finds the parts below
  #     └── WorldServer           owns the world and ticks it
  #         └── WorldProcess      (monitored) the world, whatever the backend

  use Supervisor

  alias GamePlatform.Game.Simulation.WorldServer

  def start_link({name, options}), do: Supervisor.start_link(__MODULE__, {name, options}, name: name)

  def via(name, part), do: {:via, Registry, {registry(name), part}}
  def registry(name), do: Module.concat(name, Registry)

  @impl true
  def init({name, options}) do
    Supervisor.init(
      [
        {Registry, keys: :unique, name: registry(name)},
        {WorldServer, {via(name, :world_server), options}}
      ],
      strategy: :rest_for_one
    )
  end
end
