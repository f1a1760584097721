defmodule GamePlatform.Application do
  @moduledoc false
  # No native program runs here until it is asked for:
  #
  #     GamePlatform.Supervisor (one_for_one)
  #     ├── GamePlatform.Compute.Closer           lets go of worlds whose process has ended
  #     └── GamePlatform.Compute.Supervisor       dynamic
  #         └── GamePlatform.Compute.Worker   the shared gp_worker, started by the first world that needs it

  use Application

  @impl true
  def start(_type, _args) do
    children = [
      GamePlatform.Compute.Closer,
      {DynamicSupervisor, name: GamePlatform.Compute.Supervisor, strategy: :one_for_one}
    ]

    Supervisor.start_link(children, strategy: :one_for_one, name: GamePlatform.Supervisor)
  end
end
