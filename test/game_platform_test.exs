defmodule GamePlatformTest do
  use ExUnit.Case, async: true

  alias GamePlatform.Compute

  import GamePlatform.Eventually

  doctest GamePlatform

  defp name, do: :"Elixir.Game#{System.unique_integer([:positive])}"

  test "a supervised world ticks at its rate, and equals one advanced by hand" do
    name = name()
    start_supervised!({GamePlatform, name: name, frequency: 8, seed: 3, ups: 200})
    {:ok, world} = GamePlatform.world(name)
    wait_until(fn -> GamePlatform.stats(name).tick >= 40 end)

    assert %{
             target_ups: 200,
             cells: 642,
             backend: :node,
             frequency: 8,
             seed: 3,
             missed: missed,
             ups: ups,
             cells_per_s: cells_per_s,
             tick_p50_us: p50,
             tick_p99_us: p99
           } = GamePlatform.stats(name)

    assert is_integer(missed) and ups > 0 and cells_per_s == round(ups * 642) and p50 in 0..p99

    # Further than the running world, so that both can be brought to the same tick.
    {:ok, copy} = Compute.new_world(frequency: 8, seed: 3)
    {:ok, 5000} = Compute.advance(copy, 5000)
    assert {:ok, 5000} = Compute.advance_to(world, 5000)
    {:ok, _, planes} = Compute.planes(copy)
    # The server ticks on: look for the state it had.
    assert {:ok, tick, running} = Compute.planes(world)
    {:ok, ^tick} = Compute.advance_to(copy, tick)
    {:ok, ^tick, planes_then} = Compute.planes(copy)
    assert running == planes_then
    if tick == 5000, do: assert(running == planes)
  end

  test "instances run side by side and take no name but their own" do
    [a, b] = [name(), name()]
    start_supervised!({GamePlatform, name: a, frequency: 2, seed: 1})
    start_supervised!({GamePlatform, name: b, frequency: 3, seed: 2})
    assert {:ok, %{frequency: 2}} = GamePlatform.world(a)
    assert {:ok, %{frequency: 3}} = GamePlatform.world(b)

    # Other tests run at the same time, so only what bears the first one's name can be told.
    taken =
      Process.registered() |> Enum.map(&Atom.to_string/1) |> Enum.filter(&String.starts_with?(&1, "#{a}"))

    assert taken != [] and Enum.all?(taken, &(&1 == "#{a}" or String.starts_with?(&1, "#{a}.")))
    # A world is found by the instance's name through its facade only.
    assert {:error, {:invalid_option, %{option: :name}}} = Compute.world(a)
    assert {:ok, _} = GamePlatform.world(a)
    assert {:error, {:already_started, _}} = GamePlatform.start_link(name: a, frequency: 2)
  end

  test "the world is made anew when it is killed, and gone when the instance stops" do
    name = name()
    start_supervised!({GamePlatform, name: name, frequency: 2})
    {:ok, first} = GamePlatform.world(name)

    ExUnit.CaptureLog.capture_log(fn ->
      Process.exit(first.pid, :kill)

      wait_until(fn ->
        match?({:ok, %{pid: pid}} when pid != first.pid, GamePlatform.world(name))
      end)
    end)

    {:ok, second} = GamePlatform.world(name)
    ref = Process.monitor(second.pid)
    stop_supervised!(name)
    assert_receive {:DOWN, ^ref, _, _, :normal}, 5_000
    assert Compute.tick(second) == {:error, :closed}
  end

  test "answers while somebody else advances its world, and tells rates below one a second" do
    name = name()
    start_supervised!({GamePlatform, name: name, frequency: 64, ups: 1})
    {:ok, world} = GamePlatform.world(name)
    caller = spawn(fn -> Compute.advance(world, 1_000_000_000) end)
    wait_until(fn -> match?({:ok, tick} when tick > 100, Compute.tick(world)) end)
    assert %{target_ups: 1} = GamePlatform.stats(name)
    Process.exit(caller, :kill)
    wait_until(fn -> GamePlatform.stats(name).ups > 0.0 end)
  end

  test "what does not run says so" do
    assert GamePlatform.world(NoSuchGame) == {:error, :not_running}
    assert GamePlatform.stats(NoSuchGame) == {:error, :not_running}
    assert GamePlatform.stats("game") == {:error, :not_running}
  end

  test "what cannot be started says why" do
    Process.flag(:trap_exit, true)

    for {option, opts} <- [
          ups: [ups: 0],
          ups: [ups: "20"],
          frequency: [frequency: 5000],
          name: [name: "game"],
          name: [name: nil],
          name: [name: :undefined],
          cells: [cells: {"", ""}],
          opts: [1]
        ] do
      assert {:error, {:invalid_option, %{option: ^option}}} = GamePlatform.start_link(opts)
    end

    ExUnit.CaptureLog.capture_log(fn ->
      assert {:error, {:out_of_memory, _}} = GamePlatform.start_link(name: name(), max_bytes: 10)
      assert {:error, {:invalid_ruleset, _}} = GamePlatform.start_link(name: name(), ruleset: "/nowhere")
    end)
  end
end
