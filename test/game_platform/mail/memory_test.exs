defmodule GamePlatform.Mail.MemoryTest do
  # A game that keeps nothing on a disk.
  use ExUnit.Case, async: true

  import GamePlatform.Eventually

  alias GamePlatform.{Instance, JSON, Mail, Multiplayer}

  @moduletag :capture_log

  setup context do
    game = Module.concat(__MODULE__, "Game#{context.line}")
    opts = [name: game, frequency: 16, ups: 100, backend: :nif] ++ (context[:game] || [])
    start_supervised!({GamePlatform, opts})
    %{game: game}
  end

  defp entered(game, name) do
    {:ok, %{home: home}} = Multiplayer.enter(game, name)
    wait_until(fn -> match?({:ok, _}, Multiplayer.player(game, name)) end)
    home
  end

  defp act(game, name, id, cell, action \\ "claim"),
    do: Multiplayer.submit(game, name, [%{action_id: id, action: action, cell: cell}])

  test "an outcome is a message to its player", %{game: game} do
    assert Mail.last(game) == 0
    home = entered(game, "ann")
    {:ok, [%{tick: tick}]} = act(game, "ann", "1", home)
    wait_until(fn -> Mail.last(game) > 0 end)
    last = Mail.last(game)
    assert {:ok, [message], ^last} = Mail.read(game, [{:player, "ann"}], 0)
    assert %{seq: ^last, tick: ^tick, event: "outcome", json: json} = message
    assert JSON.decode(json) == {:ok, %{"action_id" => "1", "outcome" => "applied", "tick" => tick}}
    assert Mail.read(game, [{:player, "bob"}], 0) == {:ok, [], last}
    assert Mail.answered(game, "ann", "1") == tick
    assert Mail.answered(game, "ann", "2") == nil

    # Nobody needs it any more, and it is remembered.
    :ok = Mail.acked(game, {:player, "ann"}, last)
    assert %{messages: 0} = Mail.info(game)
    assert Mail.read(game, [{:player, "ann"}], 0) == {:gap, {1, last}, [], last}
    assert Mail.read(game, [{:player, "ann"}], last) == {:ok, [], last}

    assert act(game, "ann", "1", home) ==
             {:ok,
              [%{action_id: "1", status: :accepted, tick: tick, durability: :memory, code: nil, message: nil}]}
  end

  test "events go to boxes, and are refused if they cannot", %{game: game} do
    assert {:ok, 1} = Mail.post(game, {:topic, "world:main"}, "news", %{text: "a"})
    assert {:ok, 2} = Mail.post(game, {:player, "ann"}, "mail", %{})
    assert {:ok, 3} = Mail.post(game, {:player, "bob"}, "mail", %{"n" => 1})
    boxes = [{:player, "ann"}, {:topic, "world:main"}]
    assert {:ok, [%{seq: 1, json: ~s({"text":"a"})}, %{seq: 2, json: "{}"}], 3} = Mail.read(game, boxes, 0)
    assert {:ok, [%{seq: 1}], 1} = Mail.read(game, boxes, 0, limit: 1)
    assert {:ok, [%{seq: 1}], 1} = Mail.read(game, boxes, 0, bytes: 1)
    assert {:ok, [%{seq: 2}], 2} = Mail.read(game, boxes, 1, limit: 1)
    assert {:ok, [], 3} = Mail.read(game, boxes, 2, limit: 1)
    long = String.duplicate("x", 16_384)

    for {box, event, payload} <- [
          {{:topic, "t"}, "phx_reply", %{}},
          {{:topic, "t"}, "gap", %{}},
          {{:topic, "t"}, "", %{}},
          {{:topic, "t"}, "e", [1]},
          {{:topic, "t"}, "e", %{"seq" => 1}},
          {{:topic, "t"}, "e", %{x: self()}},
          {{:topic, "t"}, "e", %{x: long}},
          {{:player, ""}, "e", %{}},
          {:all, "e", %{}}
        ] do
      assert {:error, {:invalid_payload, sentence}} = Mail.post(game, box, event, payload)
      assert is_binary(sentence)
    end
  end

  test "who is attached is told of what comes, and must have read before", %{game: game} do
    boxes = [{:player, "ann"}, {:topic, "t"}]
    {:ok, 1} = Mail.post(game, {:topic, "t"}, "e", %{n: 1})
    {:ok, 2} = Mail.post(game, {:player, "bob"}, "e", %{n: 2})
    assert :behind = Mail.attach(game, {:pid, self()}, boxes, 0)
    assert {:ok, sequencer} = Mail.attach(game, {:pid, self()}, boxes, 1)
    assert is_pid(sequencer)
    for n <- 3..5, do: {:ok, ^n} = Mail.post(game, {:player, "ann"}, "e", %{n: n})
    {:ok, 6} = Mail.post(game, {:player, "bob"}, "e", %{n: 6})
    for n <- 3..5, do: assert_receive({:mail, ^game, [%{seq: ^n}]})
    refute_received {:mail, _, _}
    :ok = Mail.detach(game, self())
    {:ok, 7} = Mail.post(game, {:player, "ann"}, "e", %{})
    assert %{attached: 0} = Mail.info(game)
    refute_received {:mail, _, _}
  end

  test "a world that begins anew goes on with the numbers", %{game: game} do
    home = entered(game, "ann")
    act(game, "ann", "1", home)
    wait_until(fn -> Mail.answered(game, "ann", "1") != nil end)
    last = Mail.last(game)
    {:ok, world} = GamePlatform.world(game)
    Process.exit(world.pid, :kill)
    wait_until(fn -> match?({:ok, %{pid: pid}} when pid != world.pid, GamePlatform.world(game)) end)
    wait_until(fn -> match?({:ok, %{}}, Multiplayer.enter(game, "ann")) end)
    wait_until(fn -> match?({:ok, [%{status: :accepted}]}, act(game, "ann", "2", home)) end)
    wait_until(fn -> Mail.answered(game, "ann", "2") != nil end)
    assert {:ok, [%{seq: seq}], _} = Mail.read(game, [{:player, "ann"}], last)
    assert seq > last
  end

  test "a sequencer that is killed is told again what it has missed", %{game: game} do
    home = entered(game, "ann")

    for n <- 1..30 do
      if rem(n, 10) == 0, do: kill(game)
      wait_until(fn -> match?({:ok, [%{status: :accepted}]}, act(game, "ann", "#{n}", home)) end)
    end

    wait_until(fn -> Enum.all?(1..30, &Mail.answered(game, "ann", "#{&1}")) end)
    {:ok, messages, _} = Mail.read(game, [{:player, "ann"}], 0)
    ids = for %{json: json} <- messages, {:ok, %{"action_id" => id}} = JSON.decode(json), do: id
    assert Enum.sort(ids) == Enum.sort(for n <- 1..30, do: "#{n}")
    assert :ok = Mail.sync(game)
  end

  defp kill(game) do
    pid = GenServer.whereis(Instance.via(game, :mail))
    Process.exit(pid, :kill)
    wait_until(fn -> GenServer.whereis(Instance.via(game, :mail)) not in [nil, pid] end)
  end

  test "what is revoked stays so", %{game: game} do
    until = System.os_time(:second) + 100
    {:ok, _} = Mail.revoke(game, "session", until)
    assert {at, ^until} = Mail.revoked(game, "session")
    assert_in_delta at, System.os_time(:second), 5
    {:ok, _} = Mail.revoke(game, "over", at - 10)
    assert Mail.revoked(game, "over") == nil
    kill(game)
    assert {^at, ^until} = Mail.revoked(game, "session")
  end

  test "no instance" do
    assert Mail.last(NoGame) == 0
    assert Mail.read(NoGame, [{:player, "ann"}], 0) == {:error, :not_running}
    assert Mail.attach(NoGame, {:pid, self()}, [], 0) == {:error, :not_running}
    assert Mail.post(NoGame, {:topic, "t"}, "e", %{}) == {:error, :not_running}
    assert Mail.answered(NoGame, "a", "b") == nil
    assert Mail.revoked(NoGame, "a") == nil
    assert Mail.info(NoGame) == nil
    assert Mail.sync(NoGame) == {:error, :not_running}
    assert Mail.acked(NoGame, {:player, "a"}, 1) == :ok
  end
end
