defmodule GamePlatformWeb.WorldChannel.PlayerTest do
  # Through the edge, as every client: it is the same player from wherever it shows its token.
  use ExUnit.Case, async: true

  import ExUnit.CaptureLog, only: [with_log: 1]
  import GamePlatform.Eventually

  alias GamePlatform.{Compute, Instance, Multiplayer, Presence}
  alias GamePlatform.Bots.Client
  alias GamePlatform.Transport.Token

  @moduletag :capture_log
  @secret String.duplicate("s", 32)
  @watchdog_ms 10_000

  setup context do
    game = Module.concat(__MODULE__, "Game#{context.line}")
    opts = [name: game, frequency: 16, ups: 100, backend: :nif, edge: [port: 0, jwt_secret: @secret]]
    start_supervised!({GamePlatform, opts})
    {:ok, port} = GamePlatform.port(game)
    %{game: game, port: port}
  end

  defp device(port, name) do
    {:ok, token} = Token.sign(%{sub: name, exp: System.system_time(:second) + 60}, @secret)
    {:ok, client} = Client.connect("ws://127.0.0.1:#{port}/socket/websocket", token: token)
    {:ok, world, client} = Client.join(client)
    {client, world}
  end

  defp act(client, action), do: Client.ask(client, "action", action)

  defp outcome(client, id) do
    {:ok, client} = Client.listen(client, @watchdog_ms, &is_map_key(&1.outcomes, id))
    {outcome, _} = Client.take_outcome(client, id)
    {seq, outcome} = Map.pop!(outcome, "seq")
    assert is_integer(seq) and seq > 0
    outcome
  end

  test "a player enters at home, acts, and is told what becomes of it on every device", %{
    game: game,
    port: port
  } do
    {phone, world} = device(port, "ann")
    assert %{"player" => "ann", "home" => home, "position" => home, "you" => you} = world
    assert %{"name" => "ann", "home" => ^home, "inventory" => %{"stone" => 40}, "claims" => 0} = you
    {desk, %{"home" => ^home}} = device(port, "ann")

    claim = %{action_id: "c1", action: "claim", cell: home}
    {:ok, reply, phone} = act(phone, claim)
    assert %{"action_id" => "c1", "status" => "accepted", "durability" => "memory", "tick" => tick} = reply
    told = %{"action_id" => "c1", "outcome" => "applied", "tick" => tick}
    assert outcome(phone, "c1") == told
    assert outcome(desk, "c1") == told

    # The same again, from wherever: the same answer, and no second effect.
    assert {:ok, ^reply, desk} = act(desk, claim)
    {:ok, %{"claims" => 1, "inventory" => %{"stone" => 39}}, desk} = Client.ask(desk, "player", %{})

    {:ok, _, desk} =
      act(desk, %{action_id: "p1", action: "place", cell: home, prototype: "depot", direction: 2})

    assert %{"outcome" => "applied"} = outcome(desk, "p1")
    {:ok, %{"cell" => cell}, desk} = Client.ask(desk, "cell", %{cell: home})
    assert %{"id" => ^home, "owner" => "ann", "grant" => nil, "machine" => machine} = cell
    assert %{"prototype" => "depot", "direction" => 2, "contents" => %{}} = machine
    {:ok, %{"cells" => [^cell, _]}, _} = Client.ask(desk, "cell", %{cells: [home, 0]})

    # Who goes leaves everything, and comes back to it.
    Client.close(phone)
    Client.close(desk)
    wait_until(fn -> Multiplayer.connected(game) == %{} end)
    assert {:ok, %{claims: 1, connected: 0}} = Multiplayer.player(game, "ann")
    assert {_, %{"home" => ^home, "you" => %{"claims" => 1}}} = device(port, "ann")
    {:ok, world} = GamePlatform.world(game)
    assert {:ok, %{owner: "ann", machine: %{prototype: "depot"}}} = Compute.cell(world, home)
  end

  test "what cannot be is refused with a code and a sentence, at once or when it is due", %{port: port} do
    {client, %{"home" => home}} = device(port, "ann")
    {bob, %{"home" => bobs}} = device(port, "bob")

    for {action, code, sentence} <- [
          {%{action_id: "1", action: "dance"}, "bad_action", "move"},
          {%{action_id: "1", action: "claim", cell: -1}, "bad_action", "cell"},
          {%{action_id: "1", action: "join", cell: home}, "bad_action", "joining"},
          {%{action: "claim", cell: home}, "bad_action", "action_id"},
          {[], "bad_action", "an object"}
        ] do
      {:error, refusal, _} = act(client, action)
      assert %{"status" => "refused", "code" => ^code, "message" => message} = refusal
      assert message =~ sentence
      assert refusal["action_id"] == if(is_map(action), do: action[:action_id])
    end

    # Nobody acts for another.
    {:ok, _, bob} = act(bob, %{action_id: "1", action: "claim", cell: bobs, by: "ann"})
    assert %{"outcome" => "applied"} = outcome(bob, "1")
    {:ok, %{"cell" => %{"owner" => "bob"}}, client} = Client.ask(client, "cell", %{cell: bobs})

    {:ok, _, client} = act(client, %{action_id: "2", action: "remove", cell: bobs})
    assert %{"outcome" => "refused", "code" => "not_yours", "message" => message} = outcome(client, "2")
    assert message =~ "Cell #{bobs} is bob's"

    for {payload, field} <- [
          {%{cell: 99_999}, "cell"},
          {%{}, "cell"},
          {%{cells: [0, "x"]}, "cells"},
          {%{cells: Enum.to_list(0..256)}, "cells"}
        ] do
      assert {:error, %{"field" => ^field}, _} = Client.ask(client, "cell", payload)
    end
  end

  test "twenty actions a second, on all devices together", %{port: port} do
    {phone, %{"home" => home}} = device(port, "ann")
    {desk, _} = device(port, "ann")

    {replies, _} =
      Enum.flat_map_reduce(1..20, {phone, desk}, fn n, {phone, desk} ->
        {a, _, phone} = act(phone, %{action_id: "p#{n}", action: "claim", cell: home})
        {b, reply, desk} = act(desk, %{action_id: "d#{n}", action: "claim", cell: home})
        {[{a, %{}}, {b, reply}], {phone, desk}}
      end)

    accepted = Enum.count(replies, &match?({:ok, _}, &1))
    # However long the forty took, some had to wait.
    assert accepted in 20..39
    assert Enum.any?(replies, &match?({:error, %{"code" => "rate_limited", "message" => "20 " <> _}}, &1))
  end

  test "steps are played one after another, and others see where a player is", %{game: game, port: port} do
    {client, %{"home" => home}} = device(port, "ann")
    transport = Instance.transport(game)

    where = fn ->
      with %{"ann" => %{metas: [%{position: cell}]}} <- Presence.list(transport, "world:main"), do: cell
    end

    wait_until(fn -> where.() == home end)
    step = hd(Compute.neighbours(16, home))
    {:ok, %{"tick" => first}, client} = act(client, %{action_id: "1", action: "move", cell: step})
    {:ok, %{"tick" => second}, client} = act(client, %{action_id: "2", action: "move", cell: home})
    {:ok, %{"tick" => third}, client} = act(client, %{action_id: "3", action: "move", cell: step})
    assert [second - first, third - second] == [4, 4]
    assert %{"outcome" => "applied", "tick" => ^third} = outcome(client, "3")
    wait_until(fn -> where.() == step end)
  end

  test "after the world has been started again its players are in it anew", %{game: game, port: port} do
    {client, %{"home" => home}} = device(port, "ann")
    {:ok, world} = GamePlatform.world(game)

    with_log(fn ->
      Process.exit(world.pid, :kill)
      # By itself: nobody joins.
      wait_until(fn -> match?({:ok, %{home: ^home}}, Multiplayer.player(game, "ann")) end)
      {:ok, _, client} = act(client, %{action_id: "1", action: "claim", cell: home})
      assert %{"outcome" => "applied"} = outcome(client, "1")
    end)
  end

  test "who has just joined is answered who they are, before the first tick that knows them", %{game: game} do
    slow = Module.concat(game, Slow)
    opts = [name: slow, frequency: 16, ups: 1, backend: :nif, edge: [port: 0, jwt_secret: @secret]]
    start_supervised!({GamePlatform, opts}, id: slow)
    {:ok, port} = GamePlatform.port(slow)
    {client, %{"home" => home, "you" => you}} = device(port, "ann")
    assert {:ok, %{"name" => "ann", "home" => ^home} = again, _} = Client.ask(client, "player", %{})
    assert again["inventory"] == you["inventory"]
  end

  test "a name that is too long watches", %{port: port} do
    assert {_, %{"home" => nil, "you" => nil, "message" => message}} = device(port, String.duplicate("x", 65))
    assert message =~ "64 bytes"
  end
end
