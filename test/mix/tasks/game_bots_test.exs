defmodule Mix.Tasks.Game.BotsTest do
  use ExUnit.Case, async: false

  import ExUnit.CaptureIO

  alias Mix.Tasks.Game.Bots

  setup do
    level = Logger.level()
    on_exit(fn -> Logger.configure(level: level) end)
  end

  test "tells at its end what the bots have done" do
    args = ~w(--players 2 --minutes 0.03 --frequency 8 --ups 50 --backend nif)
    output = capture_io(fn -> Bots.run(args) end)
    assert output =~ ~r/^in all: 1 s  2 bots  [\d.]+ actions\/s  accepted \d+ of \d+/m
  end

  test "a line has the counts that are not nought" do
    report = %{
      seconds: 20,
      players: 3,
      sent: 120,
      accepted: 100,
      refused: %{"rate_limited" => 15, "bad_action" => 5},
      applied: 90,
      failed: %{},
      unheard: 0,
      gears: 4,
      makers: 2,
      machines: 27,
      lost: %{"the connection ended" => 1},
      ticks: 400,
      missed: 0
    }

    assert Bots.line(report, %{seconds: 10, sent: 20}) ==
             "20 s  3 bots  10.0 actions/s  accepted 100 of 120  refused 20 (rate_limited 15, bad_action 5)  " <>
               "applied 90  gears 4 by 2  machines 27  lost 1 (the connection ended 1)  tick 400 missed 0"
  end

  test "it fails if there was time for a gear and none was made" do
    assert Bots.judge!(%{makers: 0}, 2_999) == :ok
    assert Bots.judge!(%{makers: 1}, 3_000) == :ok
    assert_raise Mix.Error, "no bot has made a gear in 3000 ticks", fn -> Bots.judge!(%{makers: 0}, 3_000) end
  end

  test "bad input ends with one line that says what is expected" do
    for {args, line} <- [
          {~w(--players many), "--players is \"many\", expected a whole number in 0..10000"},
          {~w(--players 0), "players is 0, expected an integer in 1..10000"},
          {~w(--minutes soon), "--minutes is \"soon\", expected a number above 0"},
          {~w(--url http://x), "\"http://x\" is no URL like ws://127.0.0.1:4000/socket/websocket"},
          {~w(--ups 0), "ups is \"0\", expected an integer in 1..1000"}
        ] do
      assert_raise Mix.Error, line, fn -> Bots.run(args) end
    end
  end
end
