for backend <- [:beam, :nif, :node] do
  defmodule Module.concat(GamePlatform.Compute, "Submit#{backend}Test") do
    # Actions of players from the door to what becomes of them, on every backend.
    use ExUnit.Case, async: true

    import GamePlatform.Tiny

    alias GamePlatform.Compute

    setup do
      Process.put(:backend, unquote(backend))
      :ok
    end

    defp reply(world, action) do
      {:ok, [reply]} = Compute.submit(world, [action])
      {reply.status, reply.code || reply.tick}
    end

    describe "joining" do
      test "makes a player once, who may act at once" do
        world = world!()
        assert reply(world, act("ann", "1", "claim", cell: middle())) == {:refused, :unknown_player}
        assert reply(world, join("ann")) == {:accepted, 1}
        assert reply(world, join("ann", 7)) == {:accepted, 1}
        assert play!(world, [act("ann", "1", "claim", cell: middle())]) == %{"1" => :applied}
        assert reply(world, join("ann", 7)) == {:accepted, 1}
        assert play!(world, [join("bob", 7)], 3) == %{}
        assert reply(world, join("bob", 7)) == {:accepted, 4}

        assert {:ok, [ann, bob]} = Compute.players(world)

        assert %{name: "ann", number: 1, position: 300, home: 300, claims: 1, queue: [], busy_until: nil} =
                 ann

        assert ann.inventory == %{"stone" => 59, "fibre" => 20, "metal" => 8}
        assert %{name: "bob", number: 2, position: 7, claims: 0} = bob
        assert Compute.player(world, "bob") == {:ok, bob}
        assert Compute.player(world, "eve") == {:error, :unknown_player}
      end
    end

    describe "an action that is given again" do
      setup do
        world = world!()
        play!(world, [join("ann")])
        %{world: world}
      end

      test "has one effect and one answer, pending, played, queued and done", %{world: world} do
        [beside | _] = around()
        claim = act("ann", "c", "claim", cell: middle())
        moves = [act("ann", "m", "move", cell: beside), act("ann", "n", "move", cell: middle())]
        actions = [claim | moves]
        answers = [{:accepted, 2}, {:accepted, 4}, {:accepted, 6}]

        for _ <- 0..7 do
          assert Enum.map(actions, &reply(world, &1)) == answers
          {:ok, _} = Compute.advance(world, 1)
        end

        {:ok, outcomes} = Compute.outcomes(world, 0)

        assert Enum.map(outcomes, &{&1.action_id, &1.outcome, &1.tick}) == [
                 {"c", :applied, 2},
                 {"m", :applied, 4},
                 {"n", :applied, 6}
               ]

        assert {:ok, %{claims: 1, position: 300}} = Compute.player(world, "ann")
      end

      test "is answered so even if it was refused, until 128 others have come after it", %{world: world} do
        foreign = act("ann", "far", "release", cell: 7)
        assert play!(world, [foreign]) == %{"far" => :not_yours}
        assert reply(world, foreign) == {:accepted, 2}
        others = for n <- 1..127, do: act("ann", "o#{n}", "release", cell: 7)
        assert map_size(play!(world, others)) == 127
        assert reply(world, foreign) == {:accepted, 2}
        play!(world, [act("ann", "one more", "release", cell: 7)])
        assert reply(world, foreign) == {:accepted, 5}
        assert play!(world, []) == %{"far" => :not_yours}
      end

      test "may be another's id", %{world: world} do
        play!(world, [join("bob"), act("ann", "1", "claim", cell: middle())])
        assert reply(world, act("bob", "1", "claim", cell: 7)) == {:accepted, 3}
      end
    end

    test "the queue has its length, with what is pending and played" do
      world = world!()
      play!(world, [join("ann")])
      [beside | _] = around()

      steps =
        for n <- 1..5, do: act("ann", "#{n}", "move", cell: if(rem(n, 2) == 1, do: beside, else: middle()))

      {:ok, replies} = Compute.submit(world, steps)
      assert Enum.map(replies, & &1.tick) == [4, 6, 8, 10, nil]
      assert %{action_id: "5", status: :refused, code: :queue_full, message: message} = List.last(replies)
      assert message == Compute.refusal(:queue_full)
      {:ok, 2} = Compute.advance(world, 1)
      assert reply(world, List.last(steps)) == {:refused, :queue_full}

      assert {:ok, %{busy_until: 4, playing: %{action_id: "1", action: "move"}, queue: queue}} =
               Compute.player(world, "ann")

      assert Enum.map(queue, & &1.action_id) == ~w(2 3 4)

      {:ok, 4} = Compute.advance(world, 2)
      assert reply(world, List.last(steps)) == {:accepted, 12}
      {:ok, 12} = Compute.advance(world, 8)
      {:ok, outcomes} = Compute.outcomes(world, 2)
      assert Enum.map(outcomes, & &1.tick) == [4, 6, 8, 10, 12]
    end

    test "the tick of an action of the body is when it ends as things stand" do
      # Moss of 3 units beside the player, all else rock.
      [moss | _] = around()
      cells = 10 * 64 + 2
      kinds = for id <- 0..(cells - 1), into: <<>>, do: if(id == moss, do: <<1>>, else: <<0>>)

      amounts =
        for id <- 0..(cells - 1), into: <<>>, do: if(id == moss, do: <<3::16-little>>, else: <<0::16>>)

      world = world!(cells: {kinds, amounts})
      play!(world, [join("ann")])

      actions = [
        act("ann", "stone", "gather", cell: middle()),
        act("ann", "moss", "gather", cell: moss),
        act("ann", "gear", "craft", recipe: "turn_gear", count: 2),
        act("ann", "step", "move", cell: moss)
      ]

      {:ok, replies} = Compute.submit(world, actions)
      # Four units of 4 ticks, two of 2, two of 5, one step of 2.
      assert Enum.map(replies, & &1.tick) == [18, 22, 32, 34]
      {:ok, 40} = Compute.advance(world, 39)
      {:ok, outcomes} = Compute.outcomes(world, 0)
      assert Enum.map(outcomes, & &1.tick) == [18, 22, 32, 34]
      assert {:ok, %{inventory: %{"fibre" => 22, "gear" => 2}}} = Compute.player(world, "ann")
    end

    test "of two who want the same the first gets it, in one submit or two" do
      world = world!()
      claim = fn name -> act(name, "1", "claim", cell: middle()) end
      assert reply(world, join("ann")) == {:accepted, 1}
      assert reply(world, join("bob")) == {:accepted, 1}
      assert reply(world, claim.("bob")) == {:accepted, 1}
      assert reply(world, claim.("ann")) == {:accepted, 1}
      {:ok, 1} = Compute.advance(world, 1)

      assert Compute.outcomes(world, 0) ==
               {:ok,
                [
                  %{player: "bob", action_id: "1", outcome: :applied, code: nil, tick: 1},
                  %{player: "ann", action_id: "1", outcome: :refused, code: :not_yours, tick: 1}
                ]}

      assert Compute.outcomes(world, 1) == {:ok, []}
      assert Compute.outcomes(world, 1_000) == {:ok, []}
    end

    test "cells tell machines, owners and grants by name" do
      world = world!()
      [beside, next | _] = around()

      actions = [
        join("ann"),
        join("bob"),
        act("ann", "1", "claim", cell: middle()),
        act("ann", "2", "place", cell: middle(), prototype: "digger", direction: 0),
        act("ann", "3", "place", cell: beside, prototype: "chest", direction: 0),
        act("ann", "4", "place", cell: next, prototype: "lathe", direction: 3),
        act("ann", "5", "put", cell: next, item: "metal", count: 4),
        act("ann", "6", "grant", cell: beside, player: "bob"),
        act("ann", "7", "grant", cell: middle(), player: "eve")
      ]

      assert play!(world, actions, 25) ==
               Map.merge(Map.new(1..6, &{"#{&1}", :applied}), %{"7" => :unknown_player})

      assert {:ok, [digger, chest, lathe, free]} = Compute.cells(world, [middle(), beside, next, 7])

      assert %{owner: "ann", grant: nil, machine: %{prototype: "digger", state: :working, recipe: "dig"}} =
               digger

      assert %{owner: "ann", grant: "bob", machine: %{contents: %{"stone" => 2}, state: :idle}} = chest
      # It has what it needs, and nothing drives it.
      assert %{machine: %{state: :no_drive, progress: 0, contents: %{"metal" => 2}}} = lathe
      assert free == %{id: 7, kind: 0, name: "rock", amount: 0, machine: nil, owner: nil, grant: nil}
      assert Compute.cell(world, beside) == {:ok, chest}
    end

    test "many submits at once and a long advance get along" do
      world = world!()
      names = for n <- 1..10, do: "p#{n}"
      play!(world, Enum.map(names, &join/1))
      job = Task.async(fn -> Compute.advance(world, 400) end)

      ticks =
        names
        |> Enum.map(fn name ->
          Task.async(fn ->
            for n <- 1..20 do
              {:ok, [%{status: :accepted, tick: tick}]} =
                Compute.submit(world, [act(name, "#{n}", "release", cell: 7)])

              {{name, "#{n}"}, tick}
            end
          end)
        end)
        |> Task.await_many(60_000)
        |> Enum.concat()
        |> Map.new()

      assert {:ok, _} = Task.await(job, 60_000)
      {:ok, _} = Compute.advance(world, 2)
      {:ok, outcomes} = Compute.outcomes(world, 0)
      assert Map.new(outcomes, &{{&1.player, &1.action_id}, &1.tick}) == ticks

      # At their ticks and in their order they come to the same state, without slices and threads.
      again = world!()
      play!(again, Enum.map(names, &join/1))

      for outcome <- outcomes do
        {:ok, _} = Compute.advance_to(again, outcome.tick - 1)

        assert reply(again, act(outcome.player, outcome.action_id, "release", cell: 7)) ==
                 {:accepted, outcome.tick}
      end

      {:ok, tick} = Compute.tick(world)
      {:ok, ^tick} = Compute.advance_to(again, tick)
      assert Compute.digest(again) == Compute.digest(world)
    end

    describe "a world without an economy" do
      setup do
        {:ok, world} =
          Compute.new_world(
            frequency: 2,
            backend: unquote(backend),
            ruleset: {:text, ~s(beat = 1\nkind = [{ name = "a", ripe = 1, cap = 1 }])}
          )

        %{world: world}
      end

      test "refuses every action, and has no players", %{world: world} do
        assert world.economy == nil
        assert {:ok, [first, second]} = Compute.submit(world, [act("ann", "1", "move", cell: 2), :junk])
        assert %{action_id: "1", status: :refused, code: :no_economy, tick: nil} = first
        assert first.message == Compute.refusal(:no_economy)
        assert %{action_id: nil, code: :no_economy} = second
        assert Compute.players(world) == {:ok, []}
        assert Compute.player(world, "ann") == {:error, :unknown_player}
        assert Compute.outcomes(world, 0) == {:ok, []}
        assert {:ok, %{machine: nil, owner: nil, grant: nil}} = Compute.cell(world, 0)
      end
    end

    test "what cannot be is refused, and a closed world is closed" do
      world = world!()
      assert world.economy["claim"]["gap"] == 2

      for {option, answer} <- [
            since: Compute.outcomes(world, -1),
            since: Compute.outcomes(world, nil),
            name: Compute.player(world, :ann),
            world: Compute.player(nil, "ann"),
            world: Compute.players(nil),
            world: Compute.outcomes(nil, 0),
            world: Compute.submit(nil, [])
          ] do
        assert {:error, {:invalid_option, %{option: ^option}}} = answer
      end

      Compute.close(world)
      assert Compute.submit(world, [join("ann")]) == {:error, :closed}
      assert Compute.players(world) == {:error, :closed}
      assert Compute.outcomes(world, 0) == {:error, :closed}
    end
  end
end
