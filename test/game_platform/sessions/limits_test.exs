defmodule GamePlatform.Sessions.LimitsTest do
  use ExUnit.Case, async: true

  alias GamePlatform.Sessions.Limits

  doctest Limits

  @second 1_000_000

  setup %{line: line}, do: %{table: Limits.new_table(:"limits #{line}")}

  test "a burst, then a steady rate, for each key by itself", %{table: table} do
    for _ <- 1..100, do: assert(Limits.take(table, {:a, 1}, {20, 100}, 0) == :ok)
    assert Limits.take(table, {:a, 1}, {20, 100}, 0) == {:error, 1}
    assert Limits.take(table, {:a, 2}, {20, 100}, 0) == :ok

    for n <- 1..40 do
      assert Limits.take(table, {:a, 1}, {20, 100}, div(n * @second, 20)) == :ok
      assert {:error, 1} = Limits.take(table, {:a, 1}, {20, 100}, div(n * @second, 20))
    end
  end

  test "whole seconds are told, so many that it is allowed then", %{table: table} do
    limit = {1, 10}
    for _ <- 1..10, do: Limits.take(table, :key, limit, 0)
    assert {:error, 1} = Limits.take(table, :key, limit, 0)
    assert :ok = Limits.take(table, :key, limit, @second)
    # Refusals do not count.
    for _ <- 1..50, do: assert({:error, 1} = Limits.take(table, :key, limit, @second))
    assert :ok = Limits.take(table, :key, limit, 2 * @second)
  end

  test "what is over is forgotten, so that a table stays small", %{table: table} do
    for n <- 1..5_000, do: Limits.take(table, {:address, n}, {20, 100}, n * 10_000)
    # Each row lasts a twentieth of a second, and the last of them came within it.
    assert :ets.info(table, :size) < 1_300
    assert Limits.prune(table, 100 * @second) > 0
    assert :ets.info(table, :size) <= 1
  end

  test "many at once are counted exactly", %{table: table} do
    now = System.monotonic_time(:microsecond)

    results =
      1..8
      |> Enum.map(fn _ ->
        Task.async(fn -> for _ <- 1..100, do: Limits.take(table, :key, {50, 100}, now) end)
      end)
      |> Enum.flat_map(&Task.await/1)

    assert Enum.count(results, &(&1 == :ok)) == 100
  end
end
