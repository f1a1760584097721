defmodule GamePlatform.Compute.Ring do
  @moduledoc false
  # Calls to a worker through shared memory. A reply that does not come while the caller's scheduler may
  # spin for it comes as a message; the caller waits for that like for any other.

  alias GamePlatform.Native

  @type words :: tuple
  @type reason :: :busy | :timeout | :worker_down | :corrupt_peer

  # The numbers of `native/shm/src/protocol.rs`; a test compares them.
  @operations %{ping: 1, stats: 2, echo: 3, advance: 4, generate: 5, digest: 6, close: 7}
  @statuses %{
    0 => :ok,
    1 => :late,
    2 => :no_such_world,
    3 => :busy,
    4 => :failed,
    5 => :no_such_operation,
    6 => :invalid,
    7 => :full
  }

  def operations, do: @operations
  def statuses, do: @statuses

  # `{:ok, status, words}`: the words after the status.
  @spec call(term, atom, [non_neg_integer], timeout) :: {:ok, atom, [non_neg_integer]} | {:error, reason}
  def call(ring, operation, arguments, timeout \\ :infinity) do
    ref = make_ref()
    operation = Map.fetch!(@operations, operation)

    answer = Native.ring_call(ring, ref, operation, arguments, within_ns(timeout))

    with {:ok, reply} <- wait(ring, ref, answer, timeout) do
      [status | words] = Tuple.to_list(reply)
      # A status that does not exist was not written by a sound worker.
      case @statuses do
        %{^status => name} -> {:ok, name, words}
        _ -> {:error, :corrupt_peer}
      end
    end
  end

  # Asks without waiting; the reply, if it comes as a message, may be ignored.
  @spec cast(term, atom, [non_neg_integer]) :: :ok | {:error, reason}
  def cast(ring, operation, arguments) do
    case Native.ring_call(ring, make_ref(), Map.fetch!(@operations, operation), arguments, 0) do
      {:error, reason} -> {:error, reason}
      _ -> :ok
    end
  end

  # Nanoseconds of one round trip.
  @spec ping(term, timeout) :: {:ok, pos_integer} | {:error, reason}
  def ping(ring, timeout) do
    ref = make_ref()
    wait(ring, ref, Native.ring_ping(ring, ref), timeout)
  end

  @spec echo(term, binary, timeout) :: {:ok, binary} | {:error, reason}
  def echo(ring, payload, timeout \\ :infinity) do
    ref = make_ref()
    wait(ring, ref, Native.ring_echo(ring, ref, payload), timeout)
  end

  defp wait(ring, ref, :pending, timeout) do
    receive do
      {^ref, answer} -> answer
    after
      timeout ->
        Native.ring_cancel(ring, ref)

        # It may have been sent just before.
        receive do
          {^ref, answer} -> answer
        after
          0 -> {:error, :timeout}
        end
    end
  end

  defp wait(_, _, answer, _), do: answer

  # A worker leaves undone what nobody waits for any more.
  defp within_ns(:infinity), do: 0
  defp within_ns(timeout), do: max(timeout, 1) * 1_000_000
end
