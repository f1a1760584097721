defmodule GamePlatform.ComputeTest do
  use ExUnit.Case, async: true

  alias GamePlatform.{Compute, Golden}

  import GamePlatform.Eventually

  doctest GamePlatform.Compute

  defp world!(opts) do
    {:ok, world} = Compute.new_world(opts)
    on_exit(fn -> Compute.close(world) end)
    world
  end

  defp invalid(answer) do
    assert {:error, {:invalid_option, %{option: option, value: _, expected: expected}}} = answer
    assert is_binary(expected)
    option
  end

  describe "digests" do
    for {backend, threads} <- [node: 1, node: 2, node: 3, nif: 1, nif: 2, nif: 3, beam: 1] do
      test "#{backend} on #{threads} threads gives the golden values" do
        for %{seed: seed, frequency: frequency, ticks: ticks, digest: digest} <- Golden.digests() do
          # The specification is slow: it gets the small worlds.
          if unquote(backend) != :beam or frequency < 30 do
            world =
              world!(seed: seed, frequency: frequency, backend: unquote(backend), threads: unquote(threads))

            assert Compute.advance(world, ticks) == {:ok, ticks}
            assert Compute.digest(world) == {:ok, digest}, "seed #{seed}, frequency #{frequency}"
          end
        end
      end
    end

    test "differ by seed, frequency, tick, ruleset and a single cell" do
      text = File.read!("priv/rulesets/default.toml")
      {:ok, _, {kinds, amounts}} = Compute.planes(world!(frequency: 3))
      <<first::16-little, rest::binary>> = amounts
      changed = <<rem(first + 1, 65536)::16-little, rest::binary>>

      worlds = [
        [frequency: 3],
        [frequency: 3, seed: 2],
        [frequency: 4],
        [frequency: 3, ruleset: {:text, String.replace(text, "cap = 60 }", "cap = 61 }")}],
        [frequency: 3, cells: {kinds, changed}]
      ]

      digests =
        for opts <- worlds, ticks <- [0, 1] do
          world = world!(opts)
          {:ok, ^ticks} = Compute.advance(world, ticks)
          {:ok, digest} = Compute.digest(world)
          digest
        end

      assert digests == Enum.uniq(digests)

      assert Compute.digest(world!(frequency: 3, cells: {kinds, amounts})) ==
               Compute.digest(world!(frequency: 3))
    end
  end

  describe "advancing" do
    test "is absolute or relative, and never goes back" do
      for backend <- [:node, :nif, :beam] do
        world = world!(frequency: 4, backend: backend)
        assert Compute.tick(world) == {:ok, 0}
        assert Compute.advance(world, 0) == {:ok, 0}
        assert Compute.advance(world, 5) == {:ok, 5}
        assert Compute.advance_to(world, 9) == {:ok, 9}
        assert Compute.advance_to(world, 9) == {:ok, 9}
        assert Compute.advance_to(world, 3) == {:ok, 9}
        assert Compute.tick(world) == {:ok, 9}
      end
    end

    test "calls of many processes add up" do
      world = world!(frequency: 8)
      tasks = for _ <- 1..20, do: Task.async(fn -> Compute.advance(world, 7) end)
      assert tasks |> Task.await_many() |> Enum.sort() == for(n <- 1..20, do: {:ok, 7 * n})
    end

    test "in slices comes to the same state as in one go" do
      # Large enough that one tick takes many slices.
      dense = String.replace(File.read!("priv/rulesets/default.toml"), "beat = 16", "beat = 1")
      opts = [frequency: 300, ruleset: {:text, dense}]
      [a, b] = [world!([threads: 1] ++ opts), world!([threads: 2] ++ opts)]
      assert Compute.advance(a, 6) == {:ok, 6}
      # Each call gives up somewhere inside a tick.
      Stream.repeatedly(fn -> Compute.advance_to(b, 6, timeout_ms: 1) end) |> Enum.find(&(&1 == {:ok, 6}))
      assert Compute.digest(a) == Compute.digest(b)
    end

    test "stops when its time is over, and the world goes on from there" do
      world = world!(frequency: 64)
      assert Compute.advance(world, 1_000_000_000, timeout_ms: 30) == {:error, :timeout}
      {:ok, tick} = Compute.tick(world)
      assert Compute.advance(world, 1) == {:ok, tick + 1}
    end

    test "stops when its caller dies" do
      world = world!(frequency: 64)
      caller = spawn(fn -> Compute.advance(world, 1_000_000_000) end)
      wait_until(fn -> match?({:ok, tick} when tick > 0, Compute.tick(world)) end)
      Process.exit(caller, :kill)
      # Answered only when nothing is before it in the queue.
      assert {:ok, tick} = Compute.advance(world, 1)
      assert Compute.tick(world) == {:ok, tick}
    end

    test "lets cells, digests and planes be read meanwhile" do
      worlds = for seed <- 1..(2 * System.schedulers_online()), do: world!(frequency: 300, seed: seed)
      callers = for world <- worlds, do: spawn(fn -> Compute.advance(world, 1_000_000_000) end)
      for world <- worlds, do: wait_until(fn -> match?({:ok, tick} when tick > 5, Compute.tick(world)) end)

      for world <- worlds do
        assert {:ok, [_, _]} = Compute.cells(world, [0, 900_001])
        assert {:ok, cells} = Compute.cells(world, Enum.to_list(0..9_999))
        assert length(cells) == 10_000
        assert {:ok, <<_::256>>} = Compute.digest(world)
        assert {:ok, _, _} = Compute.planes(world)
      end

      for caller <- callers, do: Process.exit(caller, :kill)
    end
  end

  describe "cells" do
    test "are those of the planes, whatever the backend" do
      for backend <- [:node, :nif, :beam] do
        world = world!(frequency: 6, seed: 3, backend: backend)
        {:ok, 40} = Compute.advance(world, 40)
        {:ok, 40, {kinds, amounts}} = Compute.planes(world)
        {:ok, cells} = Compute.cells(world, Enum.to_list(0..361))

        for {cell, id} <- Enum.with_index(cells) do
          assert %{id: ^id, machine: nil, owner: nil} = cell
          assert cell.kind == :binary.at(kinds, id)
          assert <<cell.amount::16-little>> == binary_part(amounts, 2 * id, 2)
          assert cell.name == Enum.at(world.kinds, cell.kind)
        end

        assert Compute.cells(world, []) == {:ok, []}
        assert Compute.cell(world, 361) == {:ok, List.last(cells)}
      end
    end

    test "neighbours are symmetric" do
      for frequency <- [1, 2, 5], id <- 0..(10 * frequency * frequency + 1) do
        around = Compute.neighbours(frequency, id)
        assert length(around) in [5, 6]
        for other <- around, do: assert(id in Compute.neighbours(frequency, other))
      end
    end
  end

  describe "life and death" do
    test "a closed world answers :closed" do
      for backend <- [:node, :nif, :beam] do
        world = world!(frequency: 2, backend: backend)
        assert Compute.close(world) == :ok
        assert Compute.close(world) == :ok

        for answer <- [
              Compute.tick(world),
              Compute.advance(world, 1),
              Compute.advance_to(world, 1),
              Compute.digest(world),
              Compute.cell(world, 0),
              Compute.cells(world, Enum.to_list(0..41)),
              Compute.planes(world),
              Compute.picture(world)
            ] do
          assert answer == {:error, :closed}
        end
      end
    end

    test "a world ends with the process that made it" do
      test = self()

      owner =
        spawn(fn ->
          {:ok, world} = Compute.new_world(frequency: 2)
          send(test, {:world, world})
          Process.sleep(:infinity)
        end)

      assert_receive {:world, world}, 5_000
      assert {:ok, 3} = Compute.advance(world, 3)
      ref = Process.monitor(world.pid)
      Process.exit(owner, :kill)
      assert_receive {:DOWN, ^ref, _, _, :normal}, 5_000
      assert Compute.tick(world) == {:error, :closed}
    end

    test "a world that is killed leaves nothing hanging" do
      world = world!(frequency: 64)
      task = Task.async(fn -> Compute.advance(world, 1_000_000_000) end)
      wait_until(fn -> match?({:ok, tick} when tick > 0, Compute.tick(world)) end)
      Process.exit(world.pid, :kill)
      assert Task.await(task) == {:error, :worker_down}
      assert Compute.advance(world, 1) == {:error, :closed}
      # Its memory goes with its process: nobody can read it any more.
      wait_until(fn -> Compute.tick(world) == {:error, :closed} end)
      assert Compute.cell(world, 0) == {:error, :closed}
      assert Compute.close(world) == :ok
    end

    test "a name finds the world, and is taken once" do
      name = :"world_#{System.unique_integer([:positive])}"
      world = world!(frequency: 2, name: name)
      assert Compute.world(name) == {:ok, world}

      assert Compute.new_world(frequency: 2, name: name) ==
               {:error, {:name_taken, %{name: name, pid: world.pid}}}

      Compute.close(world)
      assert Compute.world(name) == {:error, :closed}
    end

    test "inspect is one short line" do
      assert inspect(world!(frequency: 2, seed: 5)) == "#GamePlatform.World<node frequency 2 seed 5>"
    end
  end

  describe "what does not fit" do
    test "options of a new world" do
      for {option, values} <- [
            seed: [-1, 0x1_0000_0000_0000_0000, 1.0, "1", nil],
            frequency: [0, 4097, -5, 2.0, :big, nil],
            backend: [:dirty, :rust, "nif", nil],
            threads: [0, 257, "2"],
            ruleset: [:other, "", 7, {:text, 7}],
            name: ["world", {:local, :x}, :undefined, true, {:via, NoSuchModule, 1}],
            cells: ["", {1, 2}, {"", nil}, {"a", "b"}],
            max_bytes: [-1, :all]
          ],
          value <- values do
        assert option == invalid(Compute.new_world([{option, value}])), inspect({option, value})
      end

      assert :size == invalid(Compute.new_world(size: 3))
      assert nil == invalid(Compute.new_world([{nil, 3}]))
      assert :name == invalid(Compute.world("x"))
      assert :name == invalid(Compute.world(:kernel_sup))
      assert Compute.world(:nobody_has_this_name) == {:error, :closed}
      assert :opts == invalid(apply(Compute, :new_world, [%{seed: 1}]))
      assert :opts == invalid(apply(Compute, :new_world, [[:seed]]))
    end

    test "arguments of calls" do
      world = world!(frequency: 2)

      for {option, answer} <- [
            n: Compute.advance(world, -1),
            n: Compute.advance(world, 0x20_0000_0000_0000),
            n: Compute.advance(world, "1"),
            tick: Compute.advance_to(world, 1.5),
            timeout_ms: Compute.advance(world, 1, timeout_ms: -1),
            timeout_ms: Compute.advance(world, 1, timeout_ms: :never),
            limit: Compute.advance(world, 1, limit: 1),
            id: Compute.cell(world, 42),
            id: Compute.cell(world, -1),
            id: Compute.cell(world, :pole),
            id: Compute.cell(world, nil),
            id: Compute.cells(world, [0, 41, 42]),
            ids: Compute.cells(world, 0..3),
            ids: Compute.cells(world, [0 | 1]),
            frequency: Compute.neighbours(0, 0),
            frequency: Compute.neighbours(4097, 0),
            id: Compute.neighbours(2, 42),
            id: Compute.neighbours(2, -1),
            size: Compute.picture(world, size: 10),
            longitude: Compute.picture(world, longitude: "east"),
            latitude: Compute.picture(world, latitude: Integer.pow(10, 400))
          ] do
        assert option == invalid(answer)
      end

      for fun <- [:tick, :digest, :planes, :close],
          do: assert(:world == invalid(apply(Compute, fun, [:nobody])))

      assert :world == invalid(apply(Compute, :advance, [nil, 1]))
      assert :world == invalid(apply(Compute, :advance_to, [nil, 1]))
      assert :world == invalid(apply(Compute, :cell, [nil, 1]))
      assert Compute.tick(world) == {:ok, 0}
    end

    test "an advance past the last tick" do
      world = world!(frequency: 1)
      {:ok, 1} = Compute.advance(world, 1)
      assert :n == invalid(Compute.advance(world, 0x1F_FFFF_FFFF_FFFF))
    end

    test "a world larger than memory is refused before it is made" do
      assert {:error, {:out_of_memory, %{needed_bytes: needed, available_bytes: 1_000_000}}} =
               Compute.new_world(frequency: 4096, max_bytes: 1_000_000)

      assert needed > 1_000_000_000
      assert {:error, {:out_of_memory, _}} = Compute.new_world(frequency: 64, backend: :beam, max_bytes: 1000)
      assert {:ok, world} = Compute.new_world(frequency: 4, max_bytes: 1_000_000)
      Compute.close(world)
    end

    test "cells of the wrong number or kind" do
      {kinds, amounts} = {<<0::size(42)-unit(8)>>, <<0::size(42)-unit(16)>>}
      <<_, unknown::binary>> = kinds

      for backend <- [:node, :nif, :beam],
          cells <- [{"", ""}, {kinds <> "x", amounts <> "xx"}, {unknown <> <<8>>, amounts}] do
        assert {:error, {:wrong_cells, sentence}} =
                 Compute.new_world(frequency: 2, backend: backend, cells: cells)

        assert sentence =~ "expected 42 cells" or sentence =~ "cell 41 has kind 8; the ruleset has 8 kinds"
      end

      for cells <- [{kinds, ""}, {kinds, amounts <> "x"}, {kinds <> "x", amounts}] do
        assert :cells == invalid(Compute.new_world(frequency: 2, cells: cells))
      end
    end

    test "a faulty ruleset names its file, line and reason" do
      path = Path.join(System.tmp_dir!(), "ruleset_#{System.unique_integer([:positive])}.toml")
      on_exit(fn -> File.rm(path) end)

      for {text, line, reason} <- [
            {"beat = 16\nkind = [\n  { name = \"rock\", ripe = 0, cap = 9 },\n]", 3, "1..65535"},
            {"beat = 16\n\nkinds = []", 3, "unknown key"},
            {"beat = ", 1, ""},
            {"beat = 16\n\xff", 2, "UTF-8"}
          ] do
        File.write!(path, text)

        assert {:error, {:invalid_ruleset, %{file: ^path, line: ^line, reason: found}}} =
                 Compute.new_world(frequency: 2, ruleset: path)

        assert found =~ reason
      end

      assert {:error, {:invalid_ruleset, %{file: "/no/such.toml", reason: "no such file or directory"}}} =
               Compute.new_world(ruleset: "/no/such.toml")

      assert {:error, {:invalid_ruleset, %{reason: "not a regular file"}}} =
               Compute.new_world(ruleset: System.tmp_dir!())

      File.write!(path, File.read!("priv/rulesets/default.toml"))
      assert Compute.digest(world!(frequency: 3, ruleset: path)) == Compute.digest(world!(frequency: 3))
    end
  end
end
