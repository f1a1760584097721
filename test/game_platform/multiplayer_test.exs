defmodule GamePlatform.MultiplayerTest do
  use ExUnit.Case, async: true

  import GamePlatform.Eventually

  alias GamePlatform.{Compute, Multiplayer}

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

  defp act(game, name, action), do: Multiplayer.submit(game, name, [action])

  test "who enters is given a home and the kit, and keeps them", %{game: game} do
    {:ok, %{home: home, position: home, inventory: %{"stone" => 40}}} = Multiplayer.enter(game, "ann")
    # At once, before any tick.
    assert {:ok, [%{status: :accepted}]} = act(game, "ann", %{action_id: "1", action: "claim", cell: home})

    wait_until(fn -> Multiplayer.owner(game, home) == {:ok, "ann"} end)
    assert Multiplayer.owned?(game, home)
    assert Multiplayer.may_use?(game, "ann", home)
    refute Multiplayer.may_use?(game, "bob", home)
    assert Multiplayer.cells_of(game, "ann") == {:ok, [home]}

    # Again is no second time.
    assert {:ok, %{home: ^home, claims: 1, inventory: %{"stone" => 39}}} = Multiplayer.enter(game, "ann")
    other = entered(game, "bob")
    assert other != home
    assert {:ok, [%{name: "ann"}, %{name: "bob"}]} = Multiplayer.players(game)
    assert {:error, :unknown_player} = Multiplayer.player(game, "eve")
    assert {:error, {:bad_action, _}} = Multiplayer.enter(game, String.duplicate("x", 65))
    refute Multiplayer.owned?(game, other)
  end

  test "cells that were granted may be used", %{game: game} do
    home = entered(game, "ann")
    entered(game, "bob")

    {:ok, [_, _]} =
      Multiplayer.submit(game, "ann", [
        %{action_id: "1", action: "claim", cell: home},
        %{action_id: "2", action: "grant", cell: home, player: "bob"}
      ])

    wait_until(fn -> Multiplayer.may_use?(game, "bob", home) end)
    assert Multiplayer.owner(game, home) == {:ok, "ann"}
  end

  test "all cells that hang together near the home are told", %{game: game} do
    home = entered(game, "ann")
    cells = Enum.take(Compute.neighbours(16, home), 3)

    actions =
      for {cell, n} <- Enum.with_index([home | cells]), do: %{action_id: "#{n}", action: "claim", cell: cell}

    {:ok, replies} = Multiplayer.submit(game, "ann", actions)
    assert Enum.all?(replies, &(&1.status == :accepted))
    wait_until(fn -> match?({:ok, [_, _, _, _]}, Multiplayer.cells_of(game, "ann")) end)
    assert Multiplayer.cells_of(game, "ann") == {:ok, Enum.sort([home | cells])}
  end

  test "outcomes are told to who acted and to who follows all, once", %{game: game} do
    home = entered(game, "ann")
    entered(game, "bob")
    :ok = Multiplayer.follow(game, "ann")
    :ok = Multiplayer.follow(game, :all)

    {:ok, [%{tick: tick}]} = act(game, "ann", %{action_id: "1", action: "claim", cell: home})
    outcome = %{action_id: "1", outcome: :applied, code: nil, tick: tick, player: "ann"}
    assert_receive {:outcomes, "ann", [told]}, 5_000
    assert Map.take(told, Map.keys(outcome)) == outcome
    assert_receive {:outcomes, :all, [^told]}, 5_000

    # The same again has the same answer and no second outcome.
    assert {:ok, [%{status: :accepted, tick: ^tick}]} =
             act(game, "ann", %{action_id: "1", action: "claim", cell: home})

    {:ok, [_]} = act(game, "bob", %{action_id: "1", action: "release", cell: home})
    assert_receive {:outcomes, :all, [%{player: "bob", outcome: :refused, code: :not_yours}]}, 5_000
    refute_received {:outcomes, "ann", _}

    # What takes time is told at its end.
    step = hd(Compute.neighbours(16, home))
    {:ok, [%{tick: due}]} = act(game, "ann", %{action_id: "2", action: "move", cell: step})
    assert_receive {:outcomes, "ann", [%{action_id: "2", outcome: :applied, tick: ^due}]}, 5_000
    assert {:ok, %{position: ^step}} = Multiplayer.player(game, "ann")
  end

  test "who follows a player is a device of it", %{game: game} do
    entered(game, "ann")
    assert Multiplayer.connected(game) == %{}
    test = self()

    devices =
      for _ <- 1..2 do
        spawn_link(fn ->
          send(test, Multiplayer.follow(game, "ann"))
          receive(do: (:end -> :ok))
        end)
      end

    for _ <- devices, do: assert_receive(:ok)
    assert {:ok, %{connected: 2}} = Multiplayer.player(game, "ann")
    assert %{"ann" => pids} = Multiplayer.connected(game)
    assert Enum.sort(pids) == Enum.sort(devices)
    for pid <- devices, do: send(pid, :end)
    wait_until(fn -> Multiplayer.connected(game) == %{} end)
    assert {:ok, [%{connected: 0}]} = Multiplayer.players(game)
  end

  test "too many actions, joins and what is none are refused, each in its place", %{game: game} do
    home = entered(game, "ann")
    moves = for n <- 1..25, do: %{"action_id" => "#{n}", "action" => "claim", "cell" => home, "by" => "bob"}
    odd = [%{action_id: "j", action: "join", cell: home}, :odd, ~D[2000-01-01]]
    {:ok, replies} = Multiplayer.submit(game, "ann", odd ++ moves)

    assert [%{action_id: "j", code: :bad_action} | replies] = replies
    assert [%{action_id: nil, code: :bad_action}, %{action_id: nil, code: :bad_action} | replies] = replies
    {accepted, refused} = Enum.split_with(replies, &(&1.status == :accepted))
    assert length(accepted) in 20..22
    assert Enum.all?(refused, &(&1.code == :rate_limited and &1.message =~ "send it again in"))
    assert Enum.map(replies, & &1.action_id) == Enum.map(1..25, &"#{&1}")
    wait_until(fn -> Multiplayer.owner(game, home) == {:ok, "ann"} end)

    assert {:error, {:invalid_option, _}} = Multiplayer.submit(game, "ann", List.duplicate(%{}, 1_001))
  end

  test "without a game nobody plays" do
    assert {:error, :not_running} = Multiplayer.enter(__MODULE__.None, "ann")
    assert {:error, :not_running} = Multiplayer.submit(__MODULE__.None, "ann", [%{action: "move"}])
    assert {:error, :not_running} = Multiplayer.follow(__MODULE__.None, "ann")
    assert {:error, :not_running} = Multiplayer.players(__MODULE__.None)
    assert Multiplayer.connected(__MODULE__.None) == %{}
  end

  @no_economy """
  beat = 1
  kind = [{ name = "dead", ripe = 1, cap = 1 }]
  counter = []
  grow = []
  turn = []
  """
  @tag game: [ruleset: {:text, @no_economy}]
  test "a world without an economy has no players", %{game: game} do
    assert Multiplayer.enter(game, "ann") == {:ok, nil}
    assert Multiplayer.players(game) == {:ok, []}

    assert {:ok, [%{status: :refused, code: :no_economy}]} =
             act(game, "ann", %{action_id: "1", action: "claim", cell: 0})
  end

  test "a world that is started again knows nobody, and players enter it anew", %{game: game} do
    entered(game, "ann")
    {:ok, world} = GamePlatform.world(game)
    Process.exit(world.pid, :kill)
    wait_until(fn -> match?({:ok, %{pid: pid}} when pid != world.pid, GamePlatform.world(game)) end)
    wait_until(fn -> match?({:ok, %{home: _}}, Multiplayer.enter(game, "ann")) end)
    wait_until(fn -> match?({:ok, %{claims: 0}}, Multiplayer.player(game, "ann")) end)
  end
end
