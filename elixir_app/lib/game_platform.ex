defmodule GamePlatform do
  @moduledoc """
  Real-time multiplayer worlds on the BEAM, with native speed.

  `GamePlatform.Compute` makes worlds and advances them by hand. This module runs one: put it into a
  supervision tree, and its world ticks at a steady rate.

      children = [{GamePlatform, name: MyGame, frequency: 64, ups: 20}]

  With `data_dir: "data"` the world is kept there: what was acknowledged survives the death of any process, of the
  machine too, and the world goes on when it is started again (`GamePlatform.Persistence`). Without, a world that dies
  is started anew, at tick 0.

  With `edge: [port: 4000]` it serves clients: the page on `/`, Phoenix Channels on `/socket`, and the world on the
  topic `world:main` (`GamePlatformWeb.WorldChannel`), where they play (`GamePlatform.Multiplayer`); the same without a
  socket, over HTTP (`GamePlatformWeb.API`). `GamePlatform.Sessions` knows who they are, and sends them messages. With
  `admin: [admin_port: 4001]` there are health and metrics.

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
    * `:edge`: a keyword list for the clients' side, below; without it there is none.
    * `:admin`: a keyword list for the operator's side, below; without it there is none.
  #{GamePlatform.Config.docs(:server)}

  ## Options of `:edge`

  #{GamePlatform.Config.docs(:edge)}
    * `:limits` and `:native`: as `GamePlatform.Transport` takes them

  ## Options of `:admin`

  #{GamePlatform.Config.docs(:admin)}
  """

  alias GamePlatform.{Config, Instance, Transport}
  alias GamePlatform.Game.Simulation.WorldServer
  alias GamePlatformWeb.Admin

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
    {own, opts} =
      if Keyword.keyword?(opts), do: Keyword.split(opts, [:name, :edge, :admin, :mail]), else: {[], opts}

    name = Keyword.get(own, :name, __MODULE__)

    with {:ok, name} <- check_name(name),
         {:ok, options} <- Config.validate(:server, opts),
         {:ok, edge} <- side(:edge, own[:edge]),
         {:ok, admin} <- side(:admin, own[:admin]),
         options =
           Map.merge(options, %{edge: edge, admin: admin, mail: own[:mail], given: Keyword.keys(opts)}),
         {:error, reason} <- Instance.start_link({name, options}) do
      {:error, cause(reason)}
    end
  end

  defp side(_, nil), do: {:ok, nil}

  # What the transport checks itself.
  defp side(:edge, opts) do
    {transport, opts} =
      if Keyword.keyword?(opts), do: Keyword.split(opts, [:limits, :native]), else: {[], opts}

    with {:ok, edge} <- Config.validate(:edge, opts), do: {:ok, Map.put(edge, :transport, transport)}
  end

  defp side(group, opts), do: Config.validate(group, opts)

  # What the part that could not be started said.
  defp cause({:shutdown, {:failed_to_start_child, _, reason}}), do: cause(reason)
  defp cause({:no_world, reason}), do: reason
  defp cause(reason), do: reason

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

  @doc """
  The port that clients connect to, once the edge is up. `{:error, {:cannot_listen, sentence}}` if it cannot be had.
  """
  @spec port(atom, timeout) :: {:ok, :inet.port_number()} | {:error, term}
  def port(name \\ __MODULE__, timeout \\ 10_000), do: Transport.port(Instance.transport(name), timeout)

  @doc "The port of health and metrics. `{:error, :not_running}` as for `world/1`, or if there is none."
  @spec admin_port(atom) :: {:ok, :inet.port_number()} | {:error, :not_running}
  def admin_port(name \\ __MODULE__) do
    {:ok, Admin.port(Instance.admin_name(name))}
  catch
    :exit, _ -> {:error, :not_running}
  end

  defp ask(name, question) do
    if pid = is_atom(name) && Instance.whereis(name, :world_server),
      do: question.(pid),
      else: {:error, :not_running}
  catch
    :exit, _ -> {:error, :not_running}
  end
end
