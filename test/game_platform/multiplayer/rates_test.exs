defmodule GamePlatform.Multiplayer.RatesTest do
  use ExUnit.Case, async: true

  alias GamePlatform.Multiplayer.Rates

  @second 1_000_000

  setup context, do: {:ok, table: Rates.new_table(Module.concat(__MODULE__, "T#{context.line}"))}

  defp takes(table, player, action, now, n), do: for(_ <- 1..n, do: Rates.take(table, player, action, now))

  test "twenty at once, then one each fiftieth of a second", %{table: table} do
    assert Enum.all?(takes(table, "ann", "move", 0, 20), &(&1 == :ok))
    assert {:error, sentence} = Rates.take(table, "ann", "move", 0)
    assert sentence =~ "20 actions a second" and sentence =~ "in 51 ms"
    assert {:error, _} = Rates.take(table, "ann", "move", 49_000)
    assert :ok = Rates.take(table, "ann", "move", 51_000)
    assert {:error, _} = Rates.take(table, "ann", "move", 51_000)
    # Another is not meant.
    assert :ok = Rates.take(table, "bob", "move", 0)

    # Over a minute of trying every millisecond it is twenty a second.
    taken = Enum.count(1..60_000, &(Rates.take(table, "eve", "move", &1 * 1000) == :ok))
    assert taken in 1_199..1_221
  end

  test "four of them may turn things", %{table: table} do
    assert [:ok, :ok, :ok, :ok, {:error, sentence}] = takes(table, "ann", "rotate", 0, 5)
    assert sentence =~ "4 of rotate and set_recipe"
    assert {:error, _} = Rates.take(table, "ann", "set_recipe", 0)
    # What was refused was not counted.
    assert Enum.all?(takes(table, "ann", "place", 0, 16), &(&1 == :ok))
    assert {:error, _} = Rates.take(table, "ann", "place", 0)
    assert :ok = Rates.take(table, "ann", "rotate", div(@second, 2))
  end

  test "of many devices at the same time no more than of one", %{table: table} do
    taken =
      1..8
      |> Enum.map(fn _ ->
        Task.async(fn -> Enum.count(takes(table, "ann", "move", 0, 50), &(&1 == :ok)) end)
      end)
      |> Task.await_many()

    assert Enum.sum(taken) == 20
  end

  test "who has not acted for a while is forgotten", %{table: table} do
    takes(table, "ann", "move", 0, 5)
    takes(table, "bob", "move", 3 * @second, 1)
    assert Rates.prune(table, 2 * @second) == 1
    assert :ets.lookup(table, "ann") == [] and :ets.lookup(table, "bob") != []
  end
end
