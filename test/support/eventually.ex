defmodule GamePlatform.Eventually do
  @moduledoc "Waiting for what another process will do; the deadline is only a watchdog."

  @watchdog_ms 20_000

  def wait_until(done?, deadline \\ System.monotonic_time(:millisecond) + @watchdog_ms) do
    cond do
      done?.() ->
        :ok

      System.monotonic_time(:millisecond) > deadline ->
        raise ExUnit.AssertionError, message: "not within #{@watchdog_ms} ms"

      true ->
        Process.sleep(1)
        wait_until(done?, deadline)
    end
  end
end
