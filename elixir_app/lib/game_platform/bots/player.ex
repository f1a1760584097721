defmodule GamePlatform.Bots.Player do
  @moduledoc false
  # What a bot can do in a world, through the channel that everybody uses: look, act, walk. A connection that ends is
  # thrown as `{:closed, reason}`.

  alias GamePlatform.Bots.{Client, Tally}
  alias GamePlatform.Game.World.Chart

  # `you` is what the server tells of the player; `cells` what was seen when, by id.
  defstruct [:client, :tally, :name, :home, :frequency, :ups, :you, :run] ++
              [n: 0, cells: %{}, spoilt: MapSet.new()]

  @type t :: %__MODULE__{}

  @looks 256
  # Of 16 that a player's queue holds.
  @ahead 12
  @again_ms 100
  # A world that is being started, or is busy, is asked so often.
  @joins 5
  @join_ms 500
  @tries 100
  # Beside what an action takes: other bots, other programs.
  @outcome_ms 15_000

  @doc "Connects and joins."
  @spec enter(String.t(), keyword, Tally.t()) :: {:ok, t} | {:error, String.t()}
  def enter(url, params, tally) do
    with {:ok, client} <- Client.connect(url, params), do: join(client, tally, @joins)
  end

  # On the same connection it is the same guest.
  defp join(client, tally, tries) do
    case Client.join(client, %{binary: true}) do
      {:ok, %{"home" => home} = world, client} when is_integer(home) ->
        {:ok, begin(client, tally, world)}

      {:ok, world, _} ->
        {:error, world["message"] || "nobody can play in this world: its ruleset has no economy"}

      {:error, %{"reason" => reason}, client} when tries > 1 ->
        with {:ok, client} <- Client.listen(client, @join_ms),
             do: join(client, tally, tries - 1),
             else: (_ -> {:error, reason})

      {:error, %{"reason" => reason}, _} ->
        {:error, reason}

      {:closed, reason} ->
        {:error, reason}
    end
  end

  defp begin(client, tally, world) do
    run = Base.encode16(:crypto.strong_rand_bytes(4), case: :lower)
    %{"home" => home, "you" => you, "player" => name, "frequency" => frequency, "ups" => ups} = world
    player = %__MODULE__{client: client, tally: tally, name: name, home: home, you: you, run: run}
    # It asks for what it wants to know; of diffs it gets as few as may be.
    {_, player} = ask(%{player | frequency: frequency, ups: ups}, "look", %{cell: home, radius: 0})
    player
  end

  @spec ask(t, String.t(), map) :: {{:ok | :error, map}, t}
  def ask(player, event, payload) do
    case Client.ask(player.client, event, payload) do
      {:closed, reason} -> throw({:closed, reason})
      {status, response, client} -> {{status, response}, %{player | client: client}}
    end
  end

  @doc "Asks what the player has, and where it is."
  @spec refresh(t) :: t
  def refresh(player) do
    case ask(player, "player", %{}) do
      {{:ok, you}, player} -> %{player | you: you}
      # Not there yet.
      {_, player} -> rest(player, @again_ms)
    end
  end

  def position(%{you: %{"position" => position}}), do: position
  def has(%{you: %{"inventory" => inventory}}, item), do: Map.get(inventory, item, 0)

  @doc "Looks at cells."
  @spec look(t, [non_neg_integer]) :: t
  def look(player, ids) do
    ids
    |> Enum.chunk_every(@looks)
    |> Enum.reduce(player, fn ids, player ->
      case ask(player, "cell", %{cells: ids}) do
        {{:ok, %{"cells" => cells}}, player} ->
          %{player | cells: Map.merge(player.cells, Map.new(cells, &{&1["id"], &1}))}

        {_, player} ->
          player
      end
    end)
  end

  @doc "Takes what comes, for so long."
  @spec rest(t, non_neg_integer) :: t
  def rest(player, ms), do: listen(player, ms, fn _ -> false end)

  defp listen(player, ms, done?) do
    case Client.listen(player.client, ms, done?) do
      {:ok, client} -> %{player | client: client}
      {:closed, reason} -> throw({:closed, reason})
    end
  end

  @doc "Acts and waits for what becomes of it: `:ok`, or the code of a refusal."
  @spec act(t, String.t(), map) :: {:ok | String.t(), t}
  def act(player, action, fields) do
    case submit(player, action, fields) do
      {{:ok, id}, player} -> outcome(player, id, 0)
      {{:error, code}, player} -> {code, player}
    end
  end

  @doc """
  Actions of the body, one after another, as many ahead as the queue takes; returns what became of each. Once one of them
  is refused, those that are not sent yet are left out.
  """
  @spec play(t, [{String.t(), map}]) :: {[:ok | String.t()], t}
  def play(player, actions), do: play(player, actions, :queue.new(), [])

  defp play(player, [], ahead, results) do
    case :queue.out(ahead) do
      {{:value, {id, ticks}}, ahead} ->
        {result, player} = outcome(player, id, ticks)
        play(player, [], ahead, [result | results])

      {:empty, _} ->
        {Enum.reverse(results), player}
    end
  end

  defp play(player, [{action, fields} | rest] = actions, ahead, results) do
    if :queue.len(ahead) >= @ahead do
      {{:value, {id, ticks}}, ahead} = :queue.out(ahead)
      {result, player} = outcome(player, id, ticks)
      play(player, if(result == :ok, do: actions, else: []), ahead, [result | results])
    else
      case submit(player, action, fields) do
        {{:ok, id}, player} -> play(player, rest, :queue.in({id, most_ticks(action, fields)}, ahead), results)
        {{:error, code}, player} -> play(player, [], ahead, [code | results])
      end
    end
  end

  defp most_ticks("gather", _), do: 8 * 30
  defp most_ticks("craft", %{count: count}), do: 20 * count
  defp most_ticks(_, _), do: 4

  # One id for all tries: what was taken in the first time is not done twice.
  defp submit(player, action, fields) do
    id = "#{player.run}-#{player.n}"
    payload = Map.merge(fields, %{action_id: id, action: action})
    submit(%{player | n: player.n + 1}, id, payload, @tries)
  end

  defp submit(player, id, payload, tries) do
    Tally.add(player.tally, :sent)

    case ask(player, "action", payload) do
      {{:ok, %{"status" => "accepted"}}, player} ->
        Tally.add(player.tally, :accepted)
        {{:ok, id}, player}

      {{_, response}, player} ->
        code = response["code"] || "unknown"
        Tally.add(player.tally, {:refused, code})

        if code in ["rate_limited", "busy", "queue_full"] and tries > 1,
          do: player |> rest(@again_ms) |> submit(id, payload, tries - 1),
          else: {{:error, code}, player}
    end
  end

  defp outcome(player, id, ticks) do
    wait_ms = @outcome_ms + div(2000 * ticks, player.ups)
    player = listen(player, wait_ms, &is_map_key(&1.outcomes, id))
    {outcome, client} = Client.take_outcome(player.client, id)
    player = %{player | client: client}

    case outcome do
      %{"outcome" => "applied"} ->
        Tally.add(player.tally, :applied)
        {:ok, player}

      %{"code" => code} ->
        Tally.add(player.tally, {:failed, code})
        {code, player}

      _ ->
        Tally.add(player.tally, :unheard)
        {"unheard", player}
    end
  end

  @doc "Walks to the nearest cell, of those at most `radius` steps away, that `goal?` likes; `:far` if there is none."
  @spec go(t, (non_neg_integer -> boolean), non_neg_integer) :: {:ok | :far | String.t(), t}
  def go(player, goal?, radius \\ 40) do
    case Chart.way(player.frequency, position(player), radius, goal?) do
      nil ->
        {:far, player}

      [] ->
        {:ok, player}

      way ->
        {results, player} = play(player, for(cell <- way, do: {"move", %{cell: cell}}))
        {Enum.find(results, :ok, &(&1 != :ok)), refresh(player)}
    end
  end
end
