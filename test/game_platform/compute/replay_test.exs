defmodule GamePlatform.Compute.ReplayTest do
  # A world that is led through the batches of a log.
  use ExUnit.Case, async: true

  alias GamePlatform.{Compute, Tiny}
  alias GamePlatform.Compute.{Actions, WorldProcess}

  defp batch(world, actions) do
    for(action <- actions, {:ok, %{bytes: bytes}} = Actions.check(world, action), do: bytes)
    |> Actions.batch()
  end

  for backend <- [:beam, :nif, :node] do
    test "#{backend} comes to what the world came to in which they were given" do
      Process.put(:backend, unquote(backend))
      [lived, led] = for _ <- 1..2, do: Tiny.world!()
      recipe = hd(led.economy["recipes"])["name"]

      script = [
        {0, [Tiny.join("ann"), Tiny.act("ann", "1", "claim", cell: 300)]},
        {1, [Tiny.act("ann", "2", "craft", recipe: recipe, count: 1)]},
        {7, [Tiny.act("ann", "3", "release", cell: 300), Tiny.join("bob", 310)]},
        {40, [Tiny.act("bob", "1", "gather", cell: 310)]}
      ]

      for {tick, actions} <- script do
        {:ok, ^tick} = Compute.advance_to(lived, tick)
        {:ok, _} = Compute.submit(lived, actions)
      end

      {:ok, 60} = Compute.advance_to(lived, 60)
      batches = for {tick, actions} <- script, do: {tick, batch(led, actions)}

      # In parts, as a long log is read.
      {first, second} = Enum.split(batches, 3)
      assert WorldProcess.replay(led.pid, first, 8) == {:ok, 8}
      assert WorldProcess.replay(led.pid, second, 60) == {:ok, 60}
      assert Compute.digest(led) == Compute.digest(lived)
      assert Compute.outcomes(led, 0) == Compute.outcomes(lived, 0)
    end
  end

  test "a batch whose tick is over, or comes twice, is refused before anything is done" do
    world = Tiny.world!(backend: :nif)
    {:ok, 5} = Compute.advance(world, 5)
    batch = batch(world, [Tiny.join("ann")])

    for {ticks, passed} <- [{[4, 6], 4}, {[6, 6], 6}, {[5, 9, 8], 8}] do
      assert WorldProcess.replay(world.pid, Enum.map(ticks, &{&1, batch}), 20) ==
               {:error, {:tick_passed, %{tick: passed}}}
    end

    assert WorldProcess.replay(world.pid, [{5, batch}], 20) == {:ok, 20}
    assert {:ok, [%{name: "ann"}]} = Compute.players(world)
  end

  test "a frozen world can be read, and nothing else" do
    world = Tiny.world!()
    {:ok, 3} = Compute.advance(world, 3)
    :ok = WorldProcess.freeze(world.pid)
    assert Compute.advance(world, 1) == {:error, :read_only}
    assert Compute.submit(world, [Tiny.join("ann")]) == {:error, :read_only}
    assert Compute.tick(world) == {:ok, 3}
    assert {:ok, _} = Compute.digest(world)
    assert {:ok, %{id: 5}} = Compute.cell(world, 5)
  end
end
