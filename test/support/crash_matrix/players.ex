defmodule GamePlatform.CrashMatrix.Players do
  @moduledoc """
  Players whose connections break: each sends an action again, under its id, until there is an answer, and comes back as
  the same player.
  """

  alias GamePlatform.Bots.Client
  alias GamePlatform.Compute

  # A player has 20 actions in a second.
  @period_ms 55
  @retry_ms 50
  @sample_ms 250
  @second div(1000, @sample_ms)

  @rest 0
  @act 1
  @stop 2

  @enforce_keys [:told, :tasks, :phase]
  defstruct [:told, :tasks, :phase, :sampler, :count]

  @doc """
  In `told`, a table of the calling process, there is what each action was answered: `{{player, id}, {:accepted, durability,
  tick}}` or `{{player, id}, {:refused, code, sure?}}`. It is not sure if the action had been sent before, without an answer.
  """
  def start(count, port, frequency) do
    told = :ets.new(__MODULE__, [:public, write_concurrency: true])
    phase = :atomics.new(1, [])
    answered = :counters.new(1, [:write_concurrency])
    url = "ws://127.0.0.1:#{port}/socket/websocket"

    about = %{url: url, frequency: frequency, told: told, phase: phase, answered: answered}
    tasks = for n <- 1..count, do: player(about, n, {n, :rand.uniform(1_000_000), 1})
    sampler = Task.async(fn -> sample(phase, answered, []) end)
    %__MODULE__{told: told, tasks: tasks, phase: phase, sampler: sampler, count: count}
  end

  @doc "Whether they act or rest."
  def act(players, act?), do: :atomics.put(players.phase, 1, if(act?, do: @act, else: @rest))

  @doc "Waits until every action is answered; returns how many were, and how many in a second."
  def stop(players, timeout_ms) do
    :atomics.put(players.phase, 1, @stop)
    for task <- players.tasks, do: :ok = Task.await(task, timeout_ms)
    rates(Task.await(players.sampler))
  end

  defp rates(samples) do
    counts = for {@act, count} <- samples, do: count
    seconds = counts |> Enum.chunk_every(@second, 1, :discard) |> Enum.map(&Enum.sum/1)
    up = Enum.filter(counts, &(&1 > 0))
    mean = if up == [], do: 0, else: div(Enum.sum(up) * @second, length(up))
    %{best: Enum.max(seconds, fn -> 0 end), mean: mean}
  end

  defp sample(phase, answered, samples) do
    before = :counters.get(answered, 1)
    now = :atomics.get(phase, 1)
    Process.sleep(@sample_ms)

    if now == @stop,
      do: samples,
      else: sample(phase, answered, [{now, :counters.get(answered, 1) - before} | samples])
  end

  defp player(about, n, seed) do
    Task.async(fn ->
      :rand.seed(:exsss, seed)
      Process.sleep(rem(n, @period_ms))
      own = %{secret: "crash matrix, player #{n}", n: 1, client: nil, name: nil, home: nil, unsure: false}
      play(Map.merge(about, own))
    end)
  end

  defp play(player) do
    case :atomics.get(player.phase, 1) do
      @stop ->
        if player.client, do: Client.close(player.client)
        :ok

      @rest ->
        Process.sleep(@period_ms)
        play(player)

      @act ->
        began = now_ms()
        player = connected(player)
        player = ask(%{player | unsure: false}, action(player))
        Process.sleep(max(began + @period_ms - now_ms(), 0))
        play(%{player | n: player.n + 1})
    end
  end

  defp connected(%{client: nil} = player) do
    with {:ok, client} <- Client.connect(player.url, guest: player.secret),
         {:ok, %{"player" => name, "home" => home}, client} when is_integer(home) <- Client.join(client) do
      %{player | client: client, name: name, home: home}
    else
      {:error, sentence} when is_binary(sentence) ->
        again(player)

      {_, _, client} ->
        Client.close(client)
        again(player)

      {:closed, _} ->
        again(player)
    end
  end

  defp connected(player), do: player

  defp again(player) do
    Process.sleep(@retry_ms)
    connected(player)
  end

  # Those of the body take time, and a queue holds 16.
  defp action(%{n: n, home: home} = player) do
    cell = Enum.random([home | Compute.neighbours(player.frequency, home)])

    fields =
      case rem(n, 24) do
        0 -> %{"action" => "craft", "recipe" => "twist_cord", "count" => 1}
        8 -> %{"action" => "gather", "cell" => cell}
        16 -> %{"action" => "move", "cell" => cell}
        n when rem(n, 2) == 0 -> %{"action" => "claim", "cell" => cell}
        _ -> %{"action" => "release", "cell" => cell}
      end

    Map.put(fields, "action_id", "#{n}")
  end

  defp ask(player, action) do
    case Client.ask(player.client, "action", action) do
      {:ok, %{"status" => "accepted"} = reply, client} ->
        note(player, action, {:accepted, reply["durability"], reply["tick"]})
        %{player | client: client}

      {:error, %{"code" => "rate_limited"}, client} ->
        Process.sleep(@retry_ms)
        ask(%{player | client: client}, action)

      # The world is being started: nobody knows whether it was taken.
      {:error, %{"code" => code}, client} when code in ["busy", "unknown_player"] ->
        Process.sleep(@retry_ms)
        ask(%{player | client: client, unsure: true}, action)

      {:error, %{"code" => code}, client} ->
        note(player, action, {:refused, code, not player.unsure})
        %{player | client: client}

      _ ->
        Client.close(player.client)
        ask(connected(%{player | client: nil, unsure: true}), action)
    end
  end

  defp note(player, %{"action_id" => id}, what) do
    :counters.add(player.answered, 1, 1)
    :ets.insert(player.told, {{player.name, id}, what})
  end

  defp now_ms, do: System.monotonic_time(:millisecond)
end
