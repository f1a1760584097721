defmodule GamePlatform.BotsSoakTest do
  # Many programs play for minutes, through WebSockets; then everything that was accepted is played again elsewhere.
  use ExUnit.Case, async: false

  import GamePlatform.SoakReport

  alias GamePlatform.{Bots, Compute, Native}
  alias GamePlatform.Compute.Node.Batches

  @moduletag :soak
  @moduletag capture_log: true
  @moduletag timeout: :infinity

  @bots String.to_integer(System.get_env("SOAK_BOTS", "50"))
  @seconds String.to_integer(System.get_env("SOAK_BOTS_SECONDS", "300"))
  @options [seed: 5, frequency: 64]

  setup_all do
    begin()
  end

  test "bots" do
    note(21, "bots: failed")
    name = __MODULE__.Game
    start_supervised!({GamePlatform, [name: name, ups: 20, edge: [port: 0]] ++ @options})
    {:ok, port} = GamePlatform.port(name)
    url = "ws://127.0.0.1:#{port}/socket/websocket"
    assert {:ok, report} = Bots.run(players: @bots, ms: @seconds * 1_000, url: url)
    %{tick: ticks, missed: missed} = GamePlatform.stats(name)

    {:ok, world} = GamePlatform.world(name)
    {tick, digest} = digest(world)
    # The log from which a world is made again whose memory is lost.
    {:ok, batches} = Batches.past(:sys.get_state(world.pid).backend.batches)
    batches = Enum.filter(batches, fn {due, _} -> due < tick end)
    assert replay(batches, tick) == digest

    assert report.lost == %{} and report.unheard == 0
    assert missed <= ticks / 100, "#{missed} of #{ticks} ticks missed"
    assert report.gears > 0 and report.makers > div(@bots, 2)

    note(
      21,
      "#{@bots} bots played for #{@seconds} s: #{report.accepted} actions accepted, #{Enum.sum(Map.values(report.refused))} " <>
        "refused, #{report.machines} machines, #{report.gears} gears by #{report.makers} of them; #{missed} of #{ticks} ticks " <>
        "missed; #{length(batches)} batches played again come to the same digest"
    )
  end

  # The digest of one tick of a world that goes on.
  defp digest(world) do
    {:ok, before} = Compute.tick(world)
    {:ok, digest} = Compute.digest(world)
    if Compute.tick(world) == {:ok, before}, do: {before, digest}, else: digest(world)
  end

  defp replay(batches, tick) do
    {:ok, world} = Compute.new_world([backend: :nif] ++ @options)

    for {due, <<actions::16-little, _::binary>> = batch} <- batches do
      {:ok, ^due} = Compute.advance_to(world, due)
      {:ok, _} = Native.world_reserve(world.reader, actions)
      :ok = Native.world_act(world.reader, due, batch)
    end

    {:ok, ^tick} = Compute.advance_to(world, tick)
    {:ok, digest} = Compute.digest(world)
    Compute.close(world)
    digest
  end
end
