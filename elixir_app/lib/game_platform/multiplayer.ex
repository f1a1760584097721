defmodule GamePlatform.Multiplayer do
  @moduledoc """
  The players of a running instance: who is there, what they do, and what is whose.

      {:ok, %{home: home}} = GamePlatform.Multiplayer.enter(MyGame, "ann")

      {:ok, [%{status: :accepted}]} =
        GamePlatform.Multiplayer.submit(MyGame, "ann", [
          %{action_id: "1", action: "claim", cell: home}
        ])

  A player is a name, of 1 to 64 bytes. Who enters for the first time is given a home: a cell away from others, with
  what a first factory needs nearby. Who leaves keeps everything, and who comes back under the same name goes on.
  Worlds whose ruleset has no economy have no players: they can be watched.

  The `game` of all functions is the name of the instance; `{:error, :not_running}` is the answer while its world is
  being started. What has no room for an error is false then: `owned?/2`, `may_use?/3`; and `connected/1` is empty
  while there is no instance.
  """

  alias GamePlatform.{Compute, Instance, Mail}
  alias GamePlatform.Game.Simulation.WorldServer
  alias GamePlatform.Game.World.Chart
  alias GamePlatform.Multiplayer.{Players, Rates}

  @type game :: atom
  @type player :: String.t()
  @type reply :: Compute.reply()
  @type error :: {:error, :not_running | Compute.reason()}

  # Actions of one call.
  @most_actions 1_000
  # Cells that may be looked at for each that is owned.
  @looks 40

  @doc """
  Brings a player into the world, who can act at once and is seen from the next tick on. Answers with the player as
  `player/2` does, or as it will be then; with nil in a world without an economy. Doing it again changes nothing.
  """
  @spec enter(game, player) :: {:ok, map | nil} | {:error, {atom, String.t()}} | error
  def enter(game, player) when is_binary(player) do
    with {:ok, home} when home != nil <- ask(game, &Players.enter(&1, player), :players),
         {:error, :unknown_player} <- player(game, player),
         {:ok, %{economy: %{"items" => items, "start" => %{"kit" => kit}}}} <- GamePlatform.world(game) do
      names = Enum.map(items, & &1["name"])
      inventory = Map.new(kit, fn [item, count] -> {Enum.at(names, item), count} end)
      body = %{busy_until: nil, playing: nil, queue: []}
      new = %{name: player, number: nil, position: home, home: home, claims: 0, inventory: inventory}
      {:ok, new |> Map.merge(body) |> Map.put(:connected, length(devices(game, player)))}
    end
  end

  @doc """
  Gives a player's actions to the world, in order; `GamePlatform.Compute.submit/2` says what an action is, and answers.

  A player has 20 actions in a second, and of these 4 of `rotate` and `set_recipe`: what is more is refused with the
  code `rate_limited`, and may be sent again with the same `action_id`.
  """
  @spec submit(game, player, [map]) :: {:ok, [reply]} | error
  def submit(game, player, actions) when is_binary(player) and is_list(actions) do
    with {:ok, actions} <- at_most(actions) do
      checked = for action <- actions, do: check(game, player, action)
      pass = for {:pass, action} <- checked, do: action

      with {:ok, replies} <-
             if(pass == [], do: {:ok, []}, else: ask(game, &WorldServer.submit(&1, pass), :world_server)),
           do: {:ok, merge(checked, replies)}
    end
  end

  defp at_most(actions) do
    if length(actions) <= @most_actions,
      do: {:ok, actions},
      else:
        {:error,
         {:invalid_option,
          %{option: :actions, value: length(actions), expected: "at most #{@most_actions} actions"}}}
  end

  defp check(game, player, action) do
    name = if is_map(action) and not is_struct(action), do: action[:action] || action["action"]

    cond do
      name == "join" ->
        {:answer,
         refusal(action, :bad_action, "players enter by joining world:main: there is no action join")}

      tick = answered(game, player, action) ->
        {:answer, known(action, tick, game)}

      is_map(action) and not is_struct(action) ->
        case Rates.take(Instance.rates(game), player, name) do
          :ok -> {:pass, action |> Map.delete("by") |> Map.put(:by, player)}
          {:error, sentence} -> {:answer, refusal(action, :rate_limited, sentence)}
        end

      true ->
        {:answer, refusal(%{}, :bad_action, "an action is an object with action_id and action")}
    end
  rescue
    # The table is gone with the instance.
    ArgumentError -> {:pass, action}
  end

  # The world remembers less of what has been told.
  defp answered(game, player, %{} = action) when not is_struct(action) do
    id = action[:action_id] || action["action_id"]
    if is_binary(id), do: Mail.answered(game, player, id)
  end

  defp answered(_, _, _), do: nil

  defp known(action, tick, game) do
    durability = if Mail.durable?(game), do: :logged, else: :memory
    Map.merge(refusal(action, nil, nil), %{status: :accepted, tick: tick, durability: durability})
  end

  defp refusal(action, code, message) do
    id = action[:action_id] || action["action_id"]
    id = if is_binary(id) and byte_size(id) <= 64, do: id
    %{action_id: id, status: :refused, code: code, message: message, tick: nil, durability: nil}
  end

  defp merge([], []), do: []
  defp merge([{:answer, answer} | checked], replies), do: [answer | merge(checked, replies)]
  defp merge([{:pass, _} | checked], [reply | replies]), do: [reply | merge(checked, replies)]

  @doc """
  Has the calling process told of what becomes of a player's actions: `{:outcomes, player, outcomes}`, each as
  `GamePlatform.Compute.outcomes/2` gives it. With `:all` it is told of everybody's, as `{:outcomes, :all, outcomes}`.
  A process that follows a player is one of its devices: the player is connected as long as there is one.
  """
  @spec follow(game, player | :all) :: :ok | {:error, :not_running}
  def follow(game, player) when is_binary(player) or player == :all do
    {:ok, _} = Registry.register(Instance.devices(game), player, nil)
    :ok
  rescue
    ArgumentError -> {:error, :not_running}
  end

  @doc """
  A player, as `GamePlatform.Compute.player/2` knows it, with `connected`, how many processes follow it. Who has
  entered is known from the next tick on.
  """
  @spec player(game, player) :: {:ok, map} | {:error, :unknown_player} | error
  def player(game, name) when is_binary(name) do
    with {:ok, world} <- GamePlatform.world(game) do
      case Compute.player(world, name) do
        {:ok, player} -> {:ok, Map.put(player, :connected, length(devices(game, name)))}
        error -> error
      end
    end
  end

  @doc "Everybody who is known in the world, in the order in which they came, each as `player/2` gives them."
  @spec players(game) :: {:ok, [map]} | error
  def players(game) do
    with {:ok, world} <- GamePlatform.world(game),
         {:ok, players} <- Compute.players(world) do
      {:ok, for(player <- players, do: Map.put(player, :connected, length(devices(game, player.name))))}
    end
  end

  @doc "The processes by which players are connected, by name."
  @spec connected(game) :: %{player => [pid]}
  def connected(game) do
    game
    |> Instance.devices()
    |> Registry.select([{{:"$1", :"$2", :_}, [{:is_binary, :"$1"}], [{{:"$1", :"$2"}}]}])
    |> Enum.group_by(&elem(&1, 0), &elem(&1, 1))
  rescue
    ArgumentError -> %{}
  end

  defp devices(game, name) do
    game |> Instance.devices() |> Registry.lookup(name)
  rescue
    ArgumentError -> []
  end

  @doc "Whose a cell is; nil if it is nobody's."
  @spec owner(game, Compute.cell_id()) :: {:ok, player | nil} | error
  def owner(game, cell) do
    with {:ok, world} <- GamePlatform.world(game),
         {:ok, %{owner: owner}} <- Compute.cell(world, cell),
         do: {:ok, owner}
  end

  @doc "Whether a cell is somebody's."
  @spec owned?(game, Compute.cell_id()) :: boolean
  def owned?(game, cell), do: match?({:ok, owner} when owner != nil, owner(game, cell))

  @doc "Whether a player may build on a cell: it is theirs, or it has been granted to them."
  @spec may_use?(game, player, Compute.cell_id()) :: boolean
  def may_use?(game, player, cell) do
    with {:ok, world} <- GamePlatform.world(game),
         {:ok, %{owner: owner, grant: grant}} <- Compute.cell(world, cell) do
      player in [owner, grant]
    else
      _ -> false
    end
  end

  @doc """
  The cells of a player, in order: those that hang together with cells near the home, near where the player stands, or
  near one of `near`. An estate elsewhere is not found; the `claims` of `player/2` count them all.
  """
  @spec cells_of(game, player, [Compute.cell_id()]) ::
          {:ok, [Compute.cell_id()]} | {:error, :unknown_player} | error
  def cells_of(game, name, near \\ []) do
    with {:ok, world} <- GamePlatform.world(game),
         {:ok, %{home: home, position: position, claims: claims}} <- Compute.player(world, name) do
      first =
        for at <- [home, position | near], ring <- Chart.rings(world.frequency, at, 2), id <- ring, do: id

      gather(world, name, Enum.uniq(first), MapSet.new(), [], {claims, @looks * (claims + 1)})
    end
  end

  defp gather(_, _, [], _, found, _), do: {:ok, Enum.sort(found)}
  defp gather(_, _, _, _, found, {n, left}) when n <= 0 or left <= 0, do: {:ok, Enum.sort(found)}

  defp gather(world, name, edge, seen, found, {n, left}) do
    with {:ok, cells} <- Compute.cells(world, edge) do
      mine = for %{id: id, owner: ^name} <- cells, do: id
      seen = Enum.into(edge, seen)
      next = for id <- mine, at <- Compute.neighbours(world.frequency, id), at not in seen, uniq: true, do: at
      gather(world, name, next, seen, mine ++ found, {n - length(mine), left - length(edge)})
    end
  end

  defp ask(game, question, part) do
    if pid = Instance.whereis(game, part), do: question.(pid), else: {:error, :not_running}
  catch
    :exit, _ -> {:error, :not_running}
  end
end
