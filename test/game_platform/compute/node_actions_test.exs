defmodule GamePlatform.Compute.NodeActionsTest do
  # What players have done outlives the worker that was told of it, and the memory that it was done in.
  use ExUnit.Case, async: true

  import GamePlatform.Harm
  import GamePlatform.Tiny

  alias GamePlatform.Compute

  @moduletag capture_log: true

  @ticks 120
  @never <<0xFFFF_FFFF_FFFF_FFFF::64>>
  @published 128

  setup context do
    worker = Module.concat(__MODULE__, "W#{context.line}")
    start_worker(worker)
    %{worker: worker}
  end

  # Actions for each tick, most of which can be done.
  defp deeds(seed) do
    :rand.seed(:exsss, seed)
    cells = [middle() | around()]

    joins = [join("ann"), join("bob", hd(around()))]

    for tick <- 0..(@ticks - 1), into: %{} do
      actions =
        for n <- 1..Enum.random([0, 0, 1, 3])//1,
            do: deed(Enum.random(~w(ann bob)), "#{tick}.#{n}", Enum.random(cells))

      {tick, if(tick == 0, do: joins ++ actions, else: actions)}
    end
  end

  defp deed(name, id, cell) do
    prototypes = ~w(belt fork digger oven chest gardener wheel)

    {action, fields} =
      Enum.random([
        {"claim", []},
        {"claim", []},
        {"place", [prototype: Enum.random(prototypes), direction: Enum.random(0..5)]},
        {"place", [prototype: Enum.random(prototypes), direction: Enum.random(0..5)]},
        {"remove", []},
        {"grant", [player: Enum.random(["ann", "bob", nil])]},
        {"gather", []},
        {"put", [item: Enum.random(~w(fibre stone)), count: 2]},
        {"move", []}
      ])

    act(name, id, action, [cell: cell] ++ fields)
  end

  # Does the deeds; `harm` comes before each advance. Everything that is to be equal.
  defp live(world, deeds, harm \\ fn _ -> :ok end) do
    for tick <- 0..(@ticks - 1) do
      {:ok, _} = Compute.submit(world, deeds[tick])
      harm.(tick)
      assert Compute.advance(world, 1) == {:ok, tick + 1}
    end

    seen(world)
  end

  defp seen(world) do
    {:ok, cells} = Compute.cells(world, Enum.to_list(0..(world.cells - 1)))
    {:ok, players} = Compute.players(world)
    {:ok, outcomes} = Compute.outcomes(world, 0)
    {:ok, digest} = Compute.digest(world)
    {cells, players, outcomes, digest}
  end

  defp undisturbed(deeds), do: live(world!(), deeds)

  defp node!(worker), do: world!(backend: :node, worker: worker)

  test "the worker is killed at any moment", %{worker: worker} do
    deeds = deeds(3)
    expected = undisturbed(deeds)
    {_, _, outcomes, _} = expected
    assert Enum.count(outcomes, &(&1.outcome == :applied)) >= 15

    for seed <- 1..3 do
      :rand.seed(:exsss, seed)

      harm = fn _ ->
        case Enum.random(1..6) do
          1 -> kill(worker)
          2 -> signal(up(worker), "KILL")
          _ -> :ok
        end
      end

      assert live(node!(worker), deeds, harm) == expected, "seed #{seed}"
    end

    assert info(worker).restarts > 20
  end

  test "the memory is lost, and made again from what was done", %{worker: worker} do
    deeds = deeds(4)
    expected = undisturbed(deeds)

    ruin = fn ->
      for path <- memory(up(worker).os_pid, "game_platform_world") do
        {:ok, file} = :file.open(path, [:raw, :binary, :read, :write])
        :ok = :file.pwrite(file, @published, @never)
        :file.close(file)
      end
    end

    harm = fn tick -> if rem(tick, 40) == 35, do: ruin.() end
    world = node!(worker)
    assert live(world, deeds, harm) == expected
    # Nothing is pending, and somebody looks.
    ruin.()
    assert seen(world) == expected
    assert info(worker).restarts > 2
  end

  test "garbage in the memory raises nothing, whoever reads it", %{worker: worker} do
    :rand.seed(:exsss, 5)
    world = node!(worker)
    live(world, deeds(5))

    for n <- 1..60 do
      for path <- memory(up(worker).os_pid, "game_platform_world") do
        {:ok, file} = :file.open(path, [:raw, :binary, :read, :write])
        {:ok, size} = :file.position(file, :eof)
        # Not the headers, which other tests are about.
        for _ <- 1..40,
            do: :ok = :file.pwrite(file, Enum.random(256..(size - 8)), :rand.bytes(Enum.random(1..8)))

        :file.close(file)
      end

      for answer <- [
            Compute.cells(world, Enum.to_list(0..(world.cells - 1))),
            Compute.players(world),
            Compute.player(world, "ann"),
            Compute.outcomes(world, 0),
            Compute.submit(world, [act("ann", "g#{n}", "gather", cell: middle()), join("p#{n}")]),
            Compute.advance(world, 1)
          ] do
        assert elem(answer, 0) == :ok or match?({:error, _}, answer)
      end
    end

    assert {:ok, _} = Compute.tick(world)
  end

  test "more room is made as it is needed", %{worker: worker} do
    names = for n <- 1..3_000, do: "p#{n}"

    joins = fn world ->
      Compute.submit(world, for({name, n} <- Enum.with_index(names), do: join(name, rem(n, 600))))
    end

    moves = fn world -> Compute.submit(world, for(name <- names, do: act(name, "1", "release", cell: 7))) end

    results =
      for world <- [world!(), world!(backend: :nif), node!(worker)] do
        {:ok, _} = joins.(world)
        {:ok, 1} = Compute.advance(world, 1)
        {:ok, _} = moves.(world)
        if world.backend == :node, do: signal(up(worker), "KILL")
        {:ok, 2} = Compute.advance(world, 1)
        {:ok, players} = Compute.players(world)
        {:ok, outcomes} = Compute.outcomes(world, 0)
        assert {length(players), length(outcomes)} == {3_000, 3_000}
        {players, outcomes, Compute.digest(world)}
      end

    assert match?([_], Enum.uniq(results))
  end

  # Deeds that wait take less room than what becomes of them, and nothing is submitted meanwhile.
  test "more room is made when the world needs it by itself", %{worker: worker} do
    cells = 10 * 8 * 8 + 2
    field = {:binary.copy(<<0>>, cells), :binary.copy(<<9::16-little>>, cells)}
    id = fn n -> String.pad_leading("#{n}", 64, "0") end

    results =
      for options <- [[backend: :nif], [backend: :node, worker: worker]] do
        world = world!([ruleset: "priv/rulesets/default.toml", cells: field] ++ options)

        for n <- 1..75 do
          name = "p#{n}"
          gathers = for deed <- 1..16, do: act(name, id.(deed), "gather", cell: middle())
          {:ok, replies} = Compute.submit(world, [join(name) | gathers])
          assert Enum.all?(replies, &(&1.status == :accepted))
          assert {:ok, ^n} = Compute.advance(world, 1)
        end

        assert {:ok, 2_100} = Compute.advance_to(world, 2_100)
        {:ok, outcomes} = Compute.outcomes(world, 0)
        assert length(outcomes) == 75 * 16
        {outcomes, Compute.digest(world)}
      end

    assert match?([_], Enum.uniq(results))
    assert info(worker).restarts == 0
  end
end
