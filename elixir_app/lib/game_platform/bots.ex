defmodule GamePlatform.Bots do
  @moduledoc """
  Players that are programs: each connects to a server over a WebSocket, as every client does, finds a place near its
  home, builds the first factory of the guide there, feeds it, and goes on building. `mix game.bots` runs them.

      GamePlatform.Bots.run(players: 3, ms: 60_000, server: [frequency: 24])

  Nothing in them is a secret of the server: they know what a client is told.
  """

  alias GamePlatform.Bots.{Bot, Client, Tally}
  alias GamePlatform.Config

  @default_url "ws://127.0.0.1:4000/socket/websocket"
  @again_ms 1_000
  @name GamePlatform.Bots.Server

  @type report :: %{atom => term}

  @doc "Where bots connect to if nothing else is said."
  @spec default_url() :: String.t()
  def default_url, do: @default_url

  @doc """
  Has bots play, and answers with what they have done.

  ## Options

    * `:players` (1..10000, default 1) and `:ms`, for how long (default 60,000)
    * `:url`, such as `"#{@default_url}"`. Without one, a server there is taken, and if there is none one is started on a
      free port, with the options of `GamePlatform` in `:server`, and stopped at the end
    * `:token`, if the server asks for one
    * `:every_ms` (default 10,000) and `:print`, a function that is given a report so often

  ## The report

  `seconds`; actions `sent`, `accepted` and `refused` (by code); outcomes: `applied`, `failed` (by code), `unheard`;
  `gears` made by all mills, `makers`, the bots that made one, `machines` that stand; `lost` connections, by reason;
  `players` that are connected; `ticks` that have passed, and `missed` of them, if the server is our own, else nil.
  """
  @spec run(keyword) :: {:ok, report} | {:error, term}
  def run(opts \\ []) do
    with {:ok, opts} <- check(opts), {:ok, url, server} <- server(opts) do
      try do
        drive(opts, url, server)
      after
        if server, do: Supervisor.stop(server)
      end
    end
  end

  defp check(opts) do
    defaults = [
      players: 1,
      ms: 60_000,
      url: nil,
      token: nil,
      server: [],
      every_ms: 10_000,
      print: fn _ -> :ok end
    ]

    with [] <- Keyword.keys(opts) -- Keyword.keys(defaults),
         opts = Keyword.merge(defaults, opts),
         {:players, true} <- {:players, is_integer(opts[:players]) and opts[:players] in 1..10_000},
         {:ms, true} <- {:ms, is_integer(opts[:ms]) and opts[:ms] > 0} do
      {:ok, Map.new(opts)}
    else
      {:players, false} -> Config.invalid(:players, opts[:players], "an integer in 1..10000")
      {:ms, false} -> Config.invalid(:ms, opts[:ms], "a positive number of milliseconds")
      [unknown | _] -> Config.invalid(unknown, opts[unknown], "an option of GamePlatform.Bots.run/1")
    end
  end

  defp server(%{url: url}) when url != nil do
    with {:ok, _, _, _} <- Client.parse(url), do: {:ok, url, nil}
  end

  defp server(%{token: token, server: options}) do
    case Client.connect(@default_url, token(token)) do
      {:ok, client} ->
        Client.close(client)
        {:ok, @default_url, nil}

      {:error, _} ->
        with {:ok, server} <- GamePlatform.start_link([name: @name, edge: [port: 0]] ++ options),
             {:ok, port} <- GamePlatform.port(@name) do
          {:ok, "ws://127.0.0.1:#{port}/socket/websocket", server}
        end
    end
  end

  defp drive(opts, url, server) do
    now = now_ms()
    # As guests they are the same players when they come back.
    secret = Base.encode16(:crypto.strong_rand_bytes(12))
    state = %{opts: opts, url: url, server: server, tally: Tally.new(), bots: %{}, began: now, secret: secret}
    Enum.each(1..opts.players, &send(self(), {:start_bot, &1}))
    state = loop(state, now + opts.every_ms, now + opts.ms)
    report = report(state)
    for {monitor, {pid, _}} <- state.bots, do: stop(monitor, pid)
    drop_starts()
    {:ok, report}
  end

  defp loop(state, next, until) do
    now = now_ms()

    cond do
      now >= until ->
        state

      now >= next ->
        state.opts.print.(report(state))
        loop(state, next + state.opts.every_ms, until)

      true ->
        receive do
          {:start_bot, number} -> state |> start(number) |> loop(next, until)
          {:DOWN, monitor, _, _, reason} -> state |> ended(monitor, reason) |> loop(next, until)
        after
          min(next, until) - now -> loop(state, next, until)
        end
    end
  end

  defp token(nil), do: []
  defp token(token), do: [token: token]

  defp start(%{opts: opts, url: url, tally: tally} = state, number) do
    # A process of its own: a connection belongs to who made it.
    params = [{:guest, "#{state.secret}-#{number}"} | token(opts.token)]
    {pid, monitor} = spawn_monitor(fn -> exit({:shutdown, Bot.run(number, url, params, tally)}) end)
    put_in(state.bots[monitor], {pid, number})
  end

  # It comes again, as the same player, and goes on.
  defp ended(state, monitor, reason) do
    case Map.pop(state.bots, monitor) do
      {{_, number}, bots} ->
        Tally.add(state.tally, {:lost, reason_of(reason)})
        Process.send_after(self(), {:start_bot, number}, @again_ms)
        %{state | bots: bots}

      {nil, _} ->
        state
    end
  end

  defp reason_of({:shutdown, reason}) when is_binary(reason), do: reason
  defp reason_of(_), do: "the bot crashed"

  defp stop(monitor, pid) do
    Process.exit(pid, :kill)
    receive(do: ({:DOWN, ^monitor, _, _, _} -> :ok))
  end

  defp drop_starts do
    receive do
      {:start_bot, _} -> drop_starts()
    after
      0 -> :ok
    end
  end

  defp report(state) do
    own = if state.server, do: GamePlatform.stats(@name), else: %{}

    state.tally
    |> Tally.report()
    |> Map.merge(%{
      seconds: div(now_ms() - state.began, 1000),
      players: map_size(state.bots),
      ticks: own[:tick],
      missed: own[:missed]
    })
  end

  defp now_ms, do: System.monotonic_time(:millisecond)
end
