defmodule GamePlatform.Roulette.Client do
  @moduledoc false
  # A client that never stays where it is: a task, which tells its owner `{:hopped, n}` when it has hopped enough (or
  # `{:wrong, error, stack}`), and waits for `{:finish, beat}` then. It ends with what it knows when it has heard that
  # beat and all its outcomes.

  alias GamePlatform.JSON
  alias GamePlatform.Roulette.{Http, Player, Stays}

  @stay_ms 160
  @retry_ms 60
  @silence_ms 250
  @finish_ms 30_000
  # One hop in so many takes a new token.
  @refresh 40

  @doc "Has the server make a session, however often it has to be asked; `secret` makes it the player of before."
  def connect(opts) do
    player = struct!(Player, opts)
    again(fn -> ask_to_connect(player) end)
  end

  defp ask_to_connect(player) do
    body = JSON.encode!(%{"name" => player.name, "guest" => player.secret})

    case request(player, "POST", "/api/v1/connect", body: body) do
      {:ok, 201, _, %{"home" => home} = answer} when is_integer(home) ->
        %{"session_id" => session, "token" => token, "seq" => seq, "player_id" => name} = answer
        {:ok, %{player | session: session, token: token, home: home, start: seq, at: seq, name: name}}

      {:ok, status, _, body} when status in [400, 401, 403, 404] ->
        Player.wrong!(player, "connect was answered #{status} #{inspect(body)}")

      _ ->
        :again
    end
  end

  defp again(fun) do
    case fun.() do
      {:ok, value} ->
        value

      :again ->
        Process.sleep(@retry_ms)
        again(fun)
    end
  end

  defp request(player, method, path, opts) do
    with {:ok, socket} <- Http.connect(player.port) do
      answer = Http.request(socket, method, path, opts)
      :gen_tcp.close(socket)
      answer
    end
  end

  @doc "Runs such a client."
  def start(player, hops, seed) do
    owner = self()

    Task.async(fn ->
      :rand.seed(:exsss, seed)

      try do
        player = hop(player, hops)
        send(owner, {:hopped, player.n})
        receive(do: ({:finish, beat} -> finish(player, beat)))
      rescue
        error -> send(owner, {:wrong, error, __STACKTRACE__})
      end
    end)
  end

  defp hop(player, 0), do: player

  defp hop(player, left) do
    player = if :rand.uniform(@refresh) == 1, do: refresh(player), else: player

    case stay(player, Enum.random(Stays.transports()), :rand.uniform(@stay_ms)) do
      {:stayed, player} -> hop(player, left - 1)
      {:failed, player} -> hop(player, left)
    end
  end

  @doc "A stay, and a moment of rest if it did not come to one."
  def stay(player, transport, ms) do
    before = player.at

    case Stays.stay(transport, player, ms) do
      {:stayed, player} ->
        player = Player.note(player, {transport, :from, before})
        {:stayed, %{player | hops: Map.update(player.hops, transport, 1, &(&1 + 1))}}

      {:failed, why, player} ->
        surprising(player, transport, why)
        Process.sleep(:rand.uniform(@retry_ms))
        player = Player.note(player, {transport, :from, before, :failed, why})
        {:failed, %{player | failed: Map.update(player.failed, transport, 1, &(&1 + 1))}}
    end
  end

  # Who knows its place and has a token is never told that it may not.
  defp surprising(player, transport, {status, body}) when status in [400, 401, 403, 404, 405, 413, 500],
    do: Player.wrong!(player, "#{transport} was answered #{status} #{inspect(body)}")

  defp surprising(_, _, _), do: :ok

  defp refresh(player) do
    case request(player, "POST", "/api/v1/refresh", headers: [{"authorization", "Bearer #{player.token}"}]) do
      {:ok, 200, _, %{"token" => token, "session_id" => session}} when session == player.session ->
        %{player | token: token}

      {:ok, status, _, body} when status not in [429, 503] ->
        Player.wrong!(player, "refresh was answered #{status} #{inspect(body)}")

      _ ->
        player
    end
  end

  defp finish(player, beat), do: finish(%{player | resting: true}, beat, now_ms() + @finish_ms)

  defp finish(player, beat, deadline) do
    left = Player.unsettled(player, beat)

    cond do
      left == [] ->
        quiet(player, Stays.transports())

      now_ms() > deadline ->
        Player.wrong!(player, "it waits in vain for #{inspect(left, limit: 20)}")

      true ->
        {_, player} = stay(player, Enum.random(Stays.transports()), @silence_ms)
        finish(player, beat, deadline)
    end
  end

  # What comes a second time comes now. Nothing new is done: there would be no end.
  defp quiet(player, []), do: player

  defp quiet(player, [transport | rest] = transports) do
    case stay(player, transport, @silence_ms) do
      {:stayed, player} -> quiet(player, rest)
      {:failed, player} -> quiet(player, transports)
    end
  end

  defp now_ms, do: System.monotonic_time(:millisecond)
end
