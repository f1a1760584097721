defmodule GamePlatform.Compute.FactoryKillsTest do
  # What players and machines do does not depend on the life of a worker.
  use ExUnit.Case, async: true

  import GamePlatform.Harm

  alias GamePlatform.{Compute, Deeds, FactorySite, Native, Plant}
  alias GamePlatform.Compute.{Nif, Node, Ruleset}

  @moduletag capture_log: true

  setup context do
    worker = Module.concat(__MODULE__, "W#{context.line}")
    start_worker(worker)
    %{worker: worker}
  end

  @frequency 100
  @ticks 5_000

  @tag timeout: 120_000
  test "killed at random moments of long advances and of what is submitted between them", %{worker: worker} do
    opts = [seed: 3, frequency: @frequency, ruleset: Plant.ruleset(field: :default)]
    {expected, deeds} = undisturbed(opts)
    assert expected.machines >= 20
    seed = System.unique_integer([:positive])
    assert until_ten(opts, worker, deeds, expected, seed, 0) >= 10
  end

  # Random deeds at random ticks, as they are done where nobody is killed.
  defp undisturbed(opts) do
    :rand.seed(:exsss, 11)
    home = Deeds.home(@frequency)
    ticks = Enum.sort(Enum.take_random(1..(@ticks - 1), 50))
    {:ok, world} = Compute.new_world([backend: :nif] ++ opts)
    {:ok, _} = Compute.submit(world, Deeds.joins(home, @frequency))
    {:ok, 1} = Compute.advance(world, 1)

    deeds =
      for tick <- ticks do
        {:ok, ^tick} = Compute.advance_to(world, tick)
        actions = Deeds.some(world, home, tick, 40)
        {:ok, _} = Compute.submit(world, actions)
        {tick, actions}
      end

    {:ok, @ticks} = Compute.advance_to(world, @ticks)
    {seen(world), [{0, Deeds.joins(home, @frequency)} | deeds]}
  end

  # A fast machine is done before there were enough kills: then again.
  defp until_ten(_, _, _, _, _, kills) when kills >= 10, do: kills

  defp until_ten(opts, worker, deeds, expected, seed, kills) do
    {:ok, world} = Compute.new_world([backend: :node, worker: worker, threads: rem(seed, 2) + 1] ++ opts)
    :rand.seed(:exsss, seed)
    ticks = Enum.sort(for _ <- 1..20, do: Enum.random(0..@ticks))
    life = Task.async(fn -> live(world, deeds) end)
    now = kill_at_work(life, world, worker, ticks, 0)
    assert Task.await(life, 60_000) == {:ok, @ticks}
    assert seen(world) == expected, "random seed #{seed}"
    Compute.close(world)
    until_ten(opts, worker, deeds, expected, seed + 1, kills + now)
  end

  defp live(world, deeds) do
    for {tick, actions} <- deeds do
      {:ok, ^tick} = Compute.advance_to(world, tick)
      {:ok, _} = Compute.submit(world, actions)
    end

    Compute.advance_to(world, @ticks)
  end

  # Kills the worker while it is at work on the world at or after each of the ticks; counts those after which there was
  # still something to do.
  defp kill_at_work(_, _, _, [], kills), do: kills

  defp kill_at_work(life, world, worker, [tick | later], kills) do
    up = up(worker)

    moment =
      spin_until(fn ->
        cond do
          not Process.alive?(life.pid) -> :over
          match?({:ok, now} when now >= tick, Compute.tick(world)) and busy?(up) -> :now
          true -> nil
        end
      end)

    if moment == :over do
      kills
    else
      kill(worker)
      unfinished = match?({:ok, now} when now < @ticks, Compute.tick(world)) and Process.alive?(life.pid)
      kill_at_work(life, world, worker, later, kills + if(unfinished, do: 1, else: 0))
    end
  end

  defp busy?(up) do
    {in_flight, _, _} = Native.ring_progress(up.ring)
    in_flight > 0
  end

  defp seen(world) do
    {:ok, digest} = Compute.digest(world)
    {:ok, players} = Compute.players(world)
    {:ok, outcomes} = Compute.outcomes(world, 0)
    home = Deeds.home(@frequency)
    {:ok, cells} = Compute.cells(world, [home | Deeds.around(@frequency, home, 6)])
    machines = Enum.count(cells, & &1.machine)
    %{digest: digest, players: players, outcomes: outcomes, cells: cells, machines: machines}
  end

  test "killed between what it is told and what it does, and in the middle of a tick", %{worker: worker} do
    source = "priv/rulesets/tiny.toml"
    {:ok, ruleset} = Ruleset.load(source)
    site = FactorySite.new(f: 60, ruleset: source)
    options = %{frequency: 60, seed: 5, ruleset: ruleset, cells: nil, threads: 1, worker: worker}
    batches = batches(site)
    expected = drive(Nif, options, batches, fn -> :ok end)
    {_, outcomes, _, [{_, _, digger, 1, 0} | _]} = expected
    assert <<_::binary>> = digger
    assert Enum.count(outcomes, &match?({_, _, _, 0, _}, &1)) >= 8

    before = info(worker).restarts
    assert drive(Node, options, batches, fn -> kill(worker) end) == expected
    # After each batch, and twice within each tick that has one.
    assert info(worker).restarts - before >= 3 * length(batches)
  end

  defp batches(site) do
    for {tick, actions} <- [
          {0,
           [
             {"join", {:join, {0, 0}}},
             {"1", {:claim, {0, 0}}},
             {"2", {:place, {0, 0}, "digger", 3}},
             {"3", {:gather, {1, 0}}},
             {"4", {:release, {4, 0}}}
           ]},
          {1, [{"5", {:place, {-1, 0}, "chest", 3}}, {"6", {:place, {0, 1}, "belt", 2}}]},
          {7, [{"7", {:rotate, {0, 1}, 3}}, {"3", {:gather, {1, 0}}}]},
          {40, [{"8", {:move, {1, 0}}}, {"9", {:claim, {1, 0}}}]},
          {80, [{"10", {:remove, {0, 1}}}, {"11", {:put, {-1, 0}, "stone", 1}}]}
        ] do
      {tick, FactorySite.batch(site, for({id, action} <- actions, do: {:ann, id, action}))}
    end
  end

  # Through the backend itself, where the world's process leaves no room in between.
  defp drive(module, options, batches, harm) do
    {:ok, state} = module.new(options)
    state = generated(module, state)

    state =
      for {tick, batch} <- batches, reduce: state do
        state ->
          state = advanced(module, state, tick, 1_000_000)
          # What was given before is replaced, by a worker that never heard of it.
          {:ok, state} = module.act(state, tick, hd(batches) |> elem(1))
          harm.()
          {:ok, state} = module.act(state, tick, batch)
          harm.()
          # As little as a slice can be.
          {:ok, _, _, state} = module.advance(state, tick + 1, 1)
          harm.()
          advanced(module, state, tick + 1, 1)
      end

    state = advanced(module, state, 200, 1_000_000)
    {:ok, digest, state} = module.digest(state)
    {:ok, outcomes} = module.outcomes(state, 0)
    {:ok, _, players} = module.players(state)
    site = FactorySite.new(f: options.frequency, ruleset: "priv/rulesets/tiny.toml")
    {:ok, 200, sites} = module.sites(state, for(at <- [{0, 0}, {-1, 0}], do: FactorySite.cell(site, at)))
    module.close(state)
    {digest, outcomes, players, sites}
  end

  defp generated(module, state) do
    case module.generate(state, 100_000) do
      {:ok, true, state} -> state
      {:ok, false, state} -> generated(module, state)
    end
  end

  defp advanced(module, state, tick, slice_us) do
    case module.advance(state, tick, slice_us) do
      {:ok, ^tick, true, state} -> state
      {:ok, _, false, state} -> advanced(module, state, tick, slice_us)
    end
  end
end
