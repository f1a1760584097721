defmodule GamePlatform.NativeTest do
  use ExUnit.Case, async: true

  alias GamePlatform.Native

  test "every stub has its native function, and the other way round" do
    {:ok, {_, [abstract_code: {_, forms}]}} = Native |> :code.which() |> :beam_lib.chunks([:abstract_code])

    stubs =
      for {:function, _, name, arity, clauses} <- forms, calls_nif?(clauses), name != :nif, do: {name, arity}

    assert :ok = Native.status()
    assert Enum.sort(stubs) == Enum.sort(Native.module_info(:nifs))
  end

  # Each of these is far below a millisecond whatever it is given; everything else may take longer.
  @on_normal_schedulers ~w(json_decode json_encode native_info native_nothing ring_abort ring_call ring_cancel ring_echo
    ring_info ring_ping ring_progress world_bytes world_cells world_fence world_sites world_tick)

  test "every native function that may take long is dirty" do
    for path <- Path.wildcard("native/nif/src/**/*.rs"),
        [_, options, name] <- Regex.scan(~r/#\[rustler::nif(\(.*?\))?\]\s*fn (\w+)/, File.read!(path)) do
      assert options =~ "Dirty" != name in @on_normal_schedulers, name
    end
  end

  test "the prefix of a stub is the name of a Rust file" do
    files = for path <- Path.wildcard("native/nif/src/*.rs"), do: Path.basename(path, ".rs")

    for {name, _} <- Native.module_info(:nifs) do
      assert Enum.any?(files, &String.starts_with?("#{name}", &1 <> "_")), "#{name}"
    end
  end

  test "arguments of the wrong type are refused" do
    assert_raise ArgumentError, fn -> apply(Native, :world_tick, [make_ref()]) end
    assert_raise ArgumentError, fn -> apply(Native, :world_new, ["x", 1, "", 1, false]) end
    assert_raise ArgumentError, fn -> apply(Native, :hash_blake3, [:data]) end
    {:ok, world} = Native.world_new(2, 1, File.read!("priv/rulesets/default.toml"), 1, false)
    # More ids than a normal scheduler should be held for.
    assert_raise ArgumentError, fn -> Native.world_cells(world, List.duplicate(0, 257)) end
    assert {:ok, 0, cells} = Native.world_cells_many(world, List.duplicate(0, 257))
    assert length(cells) == 257
    assert Native.world_cells(world, [42]) == {:error, {:no_such_cell, 42}}

    assert Native.world_new(0, 1, File.read!("priv/rulesets/default.toml"), 1, false) ==
             {:error, :out_of_range}

    assert Native.world_new(2, 1, File.read!("priv/rulesets/default.toml"), 0, false) == {:error, :threads}
  end

  # The test vector of the BLAKE3 authors for the empty input.
  test "BLAKE3" do
    assert Base.encode16(Native.hash_blake3(""), case: :lower) ==
             "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
  end

  defp calls_nif?(clauses) do
    Enum.any?(clauses, &match?({:clause, _, _, _, [{:call, _, {:atom, _, :nif}, []}]}, &1))
  end
end
