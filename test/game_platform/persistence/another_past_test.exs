defmodule GamePlatform.Persistence.AnotherPastTest do
  use ExUnit.Case, async: true

  import GamePlatform.Eventually

  alias GamePlatform.{Compute, Multiplayer}
  alias GamePlatform.Persistence.Snapshots

  @moduletag :tmp_dir
  @moduletag :capture_log

  defp start(dir) do
    name = __MODULE__.Game
    opts = [name: name, data_dir: dir, backend: :nif, frequency: 8, ups: 20, snapshot_s: 3600]
    start_supervised!({GamePlatform, opts})
    {:ok, world} = GamePlatform.world(name)
    {name, world}
  end

  defp reach(world, tick), do: wait_until(fn -> Compute.tick(world) >= {:ok, tick} end)

  test "a snapshot that could not be read does not count later, when it can be", %{tmp_dir: dir} do
    # Each end leaves one.
    {game, world} = start(dir)
    {:ok, %{home: home}} = Multiplayer.enter(game, "ann")
    reach(world, 2)
    stop_supervised!(game)
    {game, world} = start(dir)
    reach(world, 60)
    stop_supervised!(game)
    [newest, _] = Snapshots.list(dir, "main")

    # What it leads to is missing for now.
    file = Snapshots.path(dir, "main", newest)
    elsewhere = Path.join(dir, "worlds/elsewhere")
    bytes = File.read!(file)
    File.rm!(file)
    File.ln_s!(elsewhere, file)

    {game, world} = start(dir)
    {:ok, before} = Compute.tick(world)
    assert before < newest
    action = %{action_id: "1", action: "claim", cell: home}
    assert {:ok, [%{status: :accepted, durability: :logged}]} = Multiplayer.submit(game, "ann", [action])
    wait_until(fn -> match?({:ok, %{owner: "ann"}}, Compute.cell(world, home)) end)
    stop_supervised!(game)

    File.write!(elsewhere, bytes)
    {_, world} = start(dir)
    assert {:ok, %{owner: "ann"}} = Compute.cell(world, home)
    assert File.read!(file <> ".aside") == bytes
  end
end
