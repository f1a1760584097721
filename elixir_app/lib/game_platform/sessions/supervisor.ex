defmodule GamePlatform.Sessions.Supervisor do
  @moduledoc false
  # The sessions of an instance, after what they need is known: the secret may be one that the data directory keeps.

  use Supervisor

  alias GamePlatform.Sessions.{Secret, Settings}

  # Each takes some kilobytes.
  @most 100_000

  def start_link({game, config}) do
    Supervisor.start_link(__MODULE__, {game, config}, name: Module.concat(game, "Sessions"))
  end

  @doc "Where the sessions are."
  @spec sessions(atom) :: atom
  def sessions(game), do: Module.concat(game, "Sessions.Players")

  @impl true
  def init({game, config}) do
    configure = %{id: :configure, start: {__MODULE__, :configure, [game, config]}}
    sessions = {DynamicSupervisor, name: sessions(game), max_children: @most}
    # A session that crashes is made again by who needs it: no number of them is too many.
    Supervisor.init([configure, sessions], strategy: :rest_for_one)
  end

  @doc "Leaves in the table of the instance what tokens are made with. It starts nothing."
  @spec configure(atom, map) :: :ignore | {:error, term}
  def configure(game, config) do
    with {:ok, secret} <- secret(game, config) do
      Settings.put(game, %{config | secret: secret})
      :ignore
    end
  end

  defp secret(_, %{secret: secret}) when secret != nil, do: {:ok, secret}
  defp secret(_, %{dir: dir}) when dir != nil, do: Secret.of_directory(dir)

  # Sessions that are started again go on with what their tokens were signed with.
  defp secret(game, _) do
    case Settings.get(game) do
      nil -> {:ok, Secret.new()}
      %{secret: secret} -> {:ok, secret}
    end
  end
end
