defmodule GamePlatform.Persistence.SnapshotsTest do
  use ExUnit.Case, async: true

  import ExUnit.CaptureLog

  alias GamePlatform.Compute
  alias GamePlatform.Persistence.Snapshots

  @moduletag :tmp_dir

  setup_all do
    {:ok, world} = Compute.new_world(seed: 7, frequency: 4, backend: :nif)

    taken =
      for tick <- [0, 10, 20, 30, 40], into: %{} do
        {:ok, ^tick} = Compute.advance_to(world, tick)
        {:ok, binary} = Compute.snapshot(world)
        {tick, binary}
      end

    Compute.close(world)
    {:ok, taken: taken}
  end

  defp write(dir, taken, ticks),
    do: for(tick <- ticks, do: assert(Snapshots.write(dir, "main", taken[tick]) == {:ok, tick}))

  test "a file for each tick, the newest first", %{tmp_dir: dir, taken: taken} do
    assert Snapshots.list(dir, "main") == []
    write(dir, taken, [10, 0, 30])
    assert Snapshots.list(dir, "main") == [30, 10, 0]
    assert Snapshots.list(dir, "other") == []
    assert Snapshots.path(dir, "main", 30) == Path.join(dir, "worlds/main/0000000000000030.gps")
    assert Snapshots.read(dir, "main", 30) == {:ok, taken[30]}
    assert {:ok, binary, %{tick: 10, seed: 7}} = Snapshots.good(dir, "main", 10)
    assert binary == taken[10]
  end

  test "the largest tick has a name, too", %{tmp_dir: dir} do
    assert dir |> Snapshots.path("main", 2 ** 53 - 1) |> Path.basename() == "9007199254740991.gps"
  end

  test "other files are none", %{tmp_dir: dir, taken: taken} do
    write(dir, taken, [10])

    names =
      ~w(10.gps 0000000000000011.gps.tmp 000000000000001x.gps +000000000000012.gps -000000000000012.gps notes)

    for name <- names, do: File.write!(Path.join([dir, "worlds/main", name]), "")
    assert Snapshots.list(dir, "main") == [10]
  end

  test "what is not a snapshot is not written", %{tmp_dir: dir, taken: taken} do
    assert {:error, {:invalid_snapshot, _}} = Snapshots.write(dir, "main", "gps1 and so on")
    assert {:error, {:invalid_snapshot, _}} = Snapshots.write(dir, "main", binary_part(taken[10], 0, 200))
    refute File.exists?(Path.join(dir, "worlds"))
  end

  test "what cannot be written or read names the file", %{tmp_dir: dir, taken: taken} do
    file = Snapshots.path(dir, "main", 10)
    assert {:error, {:snapshot_file, %{file: ^file, hint: hint}}} = Snapshots.read(dir, "main", 10)
    assert hint == "#{file} cannot be read (no such file or directory)"
    File.write!(Path.join(dir, "worlds"), "")
    assert {:error, {:snapshot_file, %{file: ^file, hint: hint}}} = Snapshots.write(dir, "main", taken[10])
    assert hint == "#{file} cannot be written (not a directory)"
  end

  describe "the newest that counts" do
    test "is that of the tick, or before it", %{tmp_dir: dir, taken: taken} do
      assert Snapshots.newest_good(dir, "main") == :none
      write(dir, taken, [10, 20, 30])
      assert Snapshots.newest_good(dir, "main") == {:ok, 30, taken[30]}
      assert Snapshots.newest_good(dir, "main", 30) == {:ok, 30, taken[30]}
      assert Snapshots.newest_good(dir, "main", 29) == {:ok, 20, taken[20]}
      assert Snapshots.newest_good(dir, "main", 9) == :none
    end

    test "is not one with a byte changed, cut short, longer, renamed or gone", %{tmp_dir: dir, taken: taken} do
      write(dir, taken, [0, 10, 20, 30, 40])
      [file0, file10, file20, file30, file40] = for tick <- 0..40//10, do: Snapshots.path(dir, "main", tick)
      at = div(byte_size(taken[40]), 2)
      <<before::binary-size(at), byte, rest::binary>> = taken[40]
      File.write!(file40, [before, Bitwise.bxor(byte, 1), rest])
      File.write!(file30, binary_part(taken[30], 0, byte_size(taken[30]) - 1))
      File.write!(file20, taken[20] <> "!")
      File.write!(file10, taken[0])

      log = capture_log(fn -> assert Snapshots.newest_good(dir, "main") == {:ok, 0, taken[0]} end)

      for file <- [file40, file30, file20],
          do: assert(log =~ ~r/snapshot #{file} is damaged: .+: it is not used/)

      assert log =~ "snapshot #{file10} is of tick 0: it is not used"
      refute log =~ file0

      assert {{:ok, 0, _}, [{^file40, _}, {^file30, _}, {^file20, _}, {^file10, "is of tick 0"}]} =
               Snapshots.search(dir, "main", :newest, nil)

      # Whoever looks into it finds them.
      assert Snapshots.list(dir, "main") == [40, 30, 20, 10, 0]
      File.write!(file0, "")
      capture_log(fn -> assert Snapshots.newest_good(dir, "main") == :none end)
    end

    test "every bit counts", %{tmp_dir: dir, taken: taken} do
      binary = taken[10]
      write(dir, taken, [10])
      file = Snapshots.path(dir, "main", 10)

      for at <- 0..(byte_size(binary) - 1)//13 do
        <<before::binary-size(at), byte, rest::binary>> = binary
        File.write!(file, [before, Bitwise.bxor(byte, 2 ** rem(at, 8)), rest])
        assert {:error, {:snapshot_file, _}} = Snapshots.good(dir, "main", 10)
      end
    end

    test "is of this world", %{tmp_dir: dir, taken: taken} do
      write(dir, taken, [10, 20])
      {:ok, %{ruleset: ruleset}} = Compute.snapshot_info(taken[10])
      meta = %{seed: 7, frequency: 4, ruleset: ruleset}
      assert {:ok, 20, _} = Snapshots.newest_good(dir, "main", :newest, meta)

      for {key, value, what} <- [
            {:seed, 8, "its seed is 7, not 8"},
            {:frequency, 5, "its frequency is 4, not 5"},
            {:ruleset, "another", "its ruleset is another one"}
          ] do
        log =
          capture_log(fn ->
            assert Snapshots.newest_good(dir, "main", :newest, %{meta | key => value}) == :none
          end)

        assert log =~ "is of another world: #{what}"
      end
    end
  end

  test "only so many are kept", %{tmp_dir: dir, taken: taken} do
    write(dir, taken, [0, 10, 20, 30])
    assert Snapshots.prune(dir, "main", 9, 30) == {:ok, nil}
    assert Snapshots.prune(dir, "main", 4, 30) == {:ok, 0}
    assert Snapshots.prune(dir, "main", 2, 30) == {:ok, 20}
    assert Snapshots.list(dir, "main") == [30, 20]
    assert Snapshots.prune(dir, "main", 1, 30) == {:ok, 30}
  end

  test "the log is kept from a file on that counts", %{tmp_dir: dir, taken: taken} do
    write(dir, taken, [0, 10, 20, 30])
    File.write!(Snapshots.path(dir, "main", 10), "damaged")
    log = capture_log(fn -> assert Snapshots.prune(dir, "main", 3, 30) == {:ok, 0} end)
    assert log =~ "0000000000000010.gps is damaged"
    assert Snapshots.list(dir, "main") == [30, 20, 0]
    # Of later ticks are those of another past, whatever they hold.
    assert Snapshots.prune(dir, "main", 2, 20) == {:ok, 0}
    assert Snapshots.list(dir, "main") == [20, 0]
  end

  test "what cannot be removed is named", %{tmp_dir: dir, taken: taken} do
    write(dir, taken, [10, 20])
    file = Snapshots.path(dir, "main", 10)
    File.rm!(file)
    File.mkdir!(file)
    assert {:error, {:snapshot_file, %{file: ^file, hint: hint}}} = Snapshots.prune(dir, "main", 1, 20)
    assert hint =~ "cannot be removed"
  end
end
