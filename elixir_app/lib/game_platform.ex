defmodule GamePlatform do
  @moduledoc """
  Real-time multiplayer worlds on the BEAM, with native speed.

  `GamePlatform.Compute` makes worlds and advances them by hand. This module runs one: put it into a
  supervision tree, and its world ticks at a steady rate.

      children = [{GamePlatform, name: MyGame, frequency: 64, ups: 20}]

  If the world or its server dies it is started anew, at tick 0.

  Nothing is started unasked, and no name is taken but the one given: any number of instances run side by
  side.

      iex> {:ok, pid} = GamePlatform.start_link(name: Docs.Game, frequency: 8, ups: 50)
      iex> {:ok, world} = GamePlatform.world(Docs.Game)
      iex> world.cells
      642
      iex> GamePlatform.stats(Docs.Game).target_ups
      50
      iex> Supervisor.stop(pid)
      :ok

  ## Options

    * `:name`: an atom that the instance is known by. Default `GamePlatform`.
  #{GamePlatform.Config.docs(:server)}
  """

  alias GamePlatform.{Config, Instance}
  alias GamePlatform.Game.Simulation.WorldServer

  @doc "A child specification; its id is the instance's name."
  @spec child_spec(keyword) :: Supervisor.child_spec()
  def child_spec(opts) do
    name = if Keyword.keyword?(opts), do: opts[:name]
    %{id: name || __MODULE__, start: {__MODULE__, :start_link, [opts]}, type: :supervisor}
  end

  @doc """
  Starts an instance. An option that does not fit is answered with
  `{:error, {:invalid_option, %{option: _, value: _, expected: _}}}`; a world that cannot be made with its
  reason, as `GamePlatform.Compute.new_world/1` gives it.
  """
  @spec start_link(keyword) :: Supervisor.on_start()
  def start_link(opts \\ []) do
    {name, opts} =
      if Keyword.keyword?(opts), do: Keyword.pop(opts, :name, __MODULE__), else: {__MODULE__, opts}

    with {:ok, name} <- check_name(name),
         {:ok, options} <- Config.validate(:server, opts) do
      case Instance.start_link({name, options}) do
        {:error, {:shutdown, {:failed_to_start_child, _, {:no_world, reason}}}} -> {:error, reason}
        other -> other
      end
    end
  end

  defp check_name(name) when is_atom(name) and name != nil, do: Config.check(:name, name)
  defp check_name(name), do: Config.invalid(:name, name, "an atom")

  @doc "The world of a running instance; `{:error, :not_running}` if there is none, or it is being restarted."
  @spec world(atom) :: {:ok, GamePlatform.Compute.world()} | {:error, :not_running}
  def world(name \\ __MODULE__), do: ask(name, &WorldServer.world/1)

  @doc """
  How a running instance is doing: `tick`, `ups` and `target_ups` (updates per second), `missed` (slots of
  the schedule that passed unused), `cells`, `cells_per_s` (cells times updates), `tick_p50_us` and
  `tick_p99_us` (duration of a tick, over the last second), `backend`, `frequency`, `seed`. It is
  `{:error, :not_running}` as for `world/1`.
  """
  @spec stats(atom) :: %{atom => term} | {:error, :not_running}
  def stats(name \\ __MODULE__), do: ask(name, &WorldServer.stats/1)

  defp ask(name, question) do
    if is_atom(name) and Process.whereis(Instance.registry(name)),
      do: question.(Instance.via(name, :world_server)),
      else: {:error, :not_running}
  catch
    :exit, _ -> {:error, :not_running}
  end
end
