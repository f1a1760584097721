defmodule GamePlatform.BotsTest do
  use ExUnit.Case, async: true

  alias GamePlatform.Bots
  alias GamePlatform.Bots.{Client, Factory, Player, Tally}
  alias GamePlatform.Compute

  @moduletag :capture_log

  defp server(context, opts) do
    game = Module.concat(__MODULE__, "Game#{context.line}")
    start_supervised!({GamePlatform, [name: game, backend: :nif, edge: [port: 0]] ++ opts})
    {:ok, port} = GamePlatform.port(game)
    {game, "ws://127.0.0.1:#{port}/socket/websocket"}
  end

  @tag timeout: 120_000
  test "three bots build factories that make gears", context do
    {game, url} = server(context, frequency: 16, ups: 150)
    test = self()
    # Until each has made one; the time is only a watchdog.
    run =
      Task.async(fn -> Bots.run(url: url, players: 3, ms: 90_000, every_ms: 500, print: &send(test, &1)) end)

    report = await_gear()
    Task.shutdown(run, :brutal_kill)

    assert %{makers: makers, sent: sent, accepted: accepted, applied: applied, lost: lost} = report
    assert makers >= 1 and report.gears >= 1
    assert lost == %{} and report.unheard == 0
    assert accepted > sent / 2 and applied > accepted / 2

    # It is the world that says so, not the bots.
    {:ok, world} = GamePlatform.world(game)
    {:ok, cells} = Compute.cells(world, Enum.to_list(0..(world.cells - 1)))
    mills = for %{machine: %{prototype: "mill", made: made}} <- cells, do: made
    assert Enum.sum(mills) >= report.gears
  end

  defp await_gear do
    receive do
      %{makers: makers} = report when makers > 0 -> report
      %{gears: 0} -> await_gear()
    after
      60_000 -> flunk("no gear in a minute")
    end
  end

  test "a server of its own is stopped at the end" do
    assert {:ok, report} = Bots.run(players: 2, ms: 1_500, server: [frequency: 8, ups: 50, backend: :nif])
    assert %{players: 2, ticks: ticks, missed: missed, gears: 0, makers: 0, lost: lost} = report
    assert ticks > 0 and is_integer(missed) and lost == %{}
    assert Process.whereis(GamePlatform.Bots.Server) == nil
  end

  test "who cannot come tries again, and says why", context do
    {_, url} = server(context, frequency: 4, ups: 20)
    nowhere = String.replace(url, ~r/:\d+/, ":1")
    assert {:ok, %{sent: 0, lost: lost}} = Bots.run(url: nowhere, ms: 1_500)
    assert [{reason, tries}] = Map.to_list(lost)
    assert reason =~ "cannot be reached: connection refused" and tries in 1..3

    elsewhere = String.replace(url, "websocket", "nothing")
    assert {:ok, %{lost: lost}} = Bots.run(url: elsewhere, ms: 500)
    assert [{reason, tries}] = Map.to_list(lost)
    assert reason =~ "answers" and tries in 1..3
  end

  test "what is no option is named" do
    assert {:error, {:invalid_option, %{option: :players}}} = Bots.run(players: 0)
    assert {:error, {:invalid_option, %{option: :ms}}} = Bots.run(ms: :long)
    assert {:error, {:invalid_option, %{option: :speed}}} = Bots.run(speed: 1)
    assert {:error, sentence} = Bots.run(url: "https://example.org")
    assert sentence =~ "is no URL like ws://"
    assert {:ok, "::1", 80, "/socket/websocket"} = Client.parse("ws://[::1]")
  end

  test "walks and actions that are refused end with the code", context do
    {_, url} = server(context, frequency: 8, ups: 100)
    tally = Tally.new()
    {:ok, player} = Player.enter(url, [], tally)
    home = player.home
    {:ok, player} = Player.act(player, "claim", %{cell: home})
    {"already_yours", player} = Player.act(player, "claim", %{cell: home})
    {"bad_action", player} = Player.act(player, "claim", %{cell: "there"})
    # Longer than the queue.
    steps = for n <- 1..40, do: {"move", %{cell: if(rem(n, 2) == 1, do: next(home), else: home)}}
    {results, player} = Player.play(player, steps)
    assert results == List.duplicate(:ok, 40)

    {[:ok, "not_adjacent" | _], player} =
      Player.play(player, [hd(steps), {"move", %{cell: next(home)}} | steps])

    {:far, player} = Player.go(Player.refresh(player), fn _ -> false end, 3)
    {:ok, player} = Player.go(player, &(&1 == home))
    assert Player.position(player) == home
    assert %{failed: %{"already_yours" => 1}, refused: %{"bad_action" => 1}} = Tally.report(tally)
  end

  defp next(cell), do: hd(Compute.neighbours(8, cell))

  test "where a plan does not fit as it stands, another place or another turn is taken" do
    {:ok, world} = Compute.new_world(seed: 1, frequency: 24, backend: :nif)
    {:ok, cells} = Compute.cells(world, Enum.to_list(0..(world.cells - 1)))
    cells = Map.new(cells, &{&1.id, %{"name" => &1.name, "amount" => &1.amount, "owner" => nil}})

    plans =
      for home <- Enum.take_every(0..(world.cells - 1), 97),
          plan = Factory.site(24, home, "ann", cells, MapSet.new()),
          do: plan

    assert length(plans) > 50

    for plan <- plans, {role, machine} <- plan do
      assert machine.role == role and machine.direction in 0..5
      # Every machine hands to the one that it is to hand to.
      to = %{
        iron: :store,
        ore_1: :iron,
        ore_2: :iron,
        brick: :store,
        stone: :brick,
        store: :mill,
        mill: :gears
      }

      to = Map.merge(to, %{ore_3: :iron, ore_4: :iron})

      if next = to[role] do
        around = Compute.neighbours(24, machine.cell)
        # The second depot is set down before the mill that feeds it.
        assert Enum.at(around, machine.direction) == plan[next].cell
      end
    end
  end
end
