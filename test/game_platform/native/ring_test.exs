defmodule GamePlatform.Native.RingTest do
  # It counts threads of this VM.
  use ExUnit.Case, async: false

  import GamePlatform.Eventually

  alias GamePlatform.{EchoService, Native}

  @stats 2
  @sleep 1001
  @never 1002
  @die 1003
  @bad_length 1004
  @bad_slots 1005
  @bad_heads 1006
  @bad_completion 1007
  @bad_tail 1008
  @watchdog_ms 20_000

  setup_all do
    %{program: EchoService.build()}
  end

  # The program ends with its port, and its port with the process of the test.
  setup %{program: program} do
    EchoService.start(program)
  end

  # The result of a call, however it comes.
  defp await(:pending, ref) do
    receive do
      {^ref, result} -> result
    after
      @watchdog_ms -> flunk("no reply")
    end
  end

  defp await(result, _ref), do: result

  defp call(ring, op, words \\ [], within_ns \\ 0) do
    ref = make_ref()
    await(Native.ring_call(ring, ref, op, words, within_ns), ref)
  end

  defp echo(ring, data) do
    ref = make_ref()
    await(Native.ring_echo(ring, ref, data), ref)
  end

  test "a ping says how long it took", %{ring: ring} do
    for _ <- 1..100 do
      ref = make_ref()
      assert {:ok, nanoseconds} = await(Native.ring_ping(ring, ref), ref)
      assert nanoseconds > 0
    end
  end

  test "words go there and back", %{ring: ring} do
    top = 0xFFFF_FFFF_FFFF_FFFF
    assert call(ring, @stats, [1, 2, 3, 4, 5, top]) == {:ok, {0, @stats, 1, 2, 3, 4, 5, top}}
    assert {:ok, {5, 0, 0, 0, 0, 0, 0, 0}} = call(ring, 77)
    assert_raise ArgumentError, fn -> Native.ring_call(ring, make_ref(), 1, [1, 2, 3, 4, 5, 6, 7], 0) end
    assert_raise ArgumentError, fn -> Native.ring_call(ring, make_ref(), -1, [], 0) end
    assert_raise ArgumentError, fn -> Native.ring_call(ring, :no_ref, 1, [], 0) end
  end

  test "many processes call at the same time and each gets its own answers", %{ring: ring} do
    1..8
    |> Enum.map(fn process ->
      Task.async(fn ->
        for n <- 1..1250, do: assert({:ok, {0, _, ^process, ^n, _, _, _, _}} = busy(ring, [process, n]))
      end)
    end)
    |> Task.await_many(60_000)

    assert %{in_flight: 0, submitted: 10_000, taken: 10_000} = Native.ring_info(ring)
  end

  defp busy(ring, words) do
    with {:error, :busy} <- call(ring, @stats, words), do: busy(ring, words)
  end

  test "payloads of any size come back", %{ring: ring} do
    for size <- [0, 1, 7, 8, 9, 63, 64, 4096, 65_535, 65_536] do
      data = :crypto.strong_rand_bytes(size)
      assert echo(ring, data) == {:ok, data}
    end

    assert_raise ArgumentError, fn -> Native.ring_echo(ring, make_ref(), :binary.copy("x", 65_537)) end

    # More at once than there are blocks: each is answered or refused, and no block is lost.
    1..40
    |> Enum.map(fn n ->
      data = String.duplicate("#{n}", 1000)
      Task.async(fn -> {echo(ring, data), data} end)
    end)
    |> Task.await_many(@watchdog_ms)
    |> Enum.each(fn {result, data} -> assert result in [{:ok, data}, {:error, :busy}] end)

    for _ <- 1..20, do: assert(echo(ring, "x") == {:ok, "x"})
  end

  test "a request whose time is over is not worked on", %{ring: ring} do
    assert {:ok, {0, _, _, _, _, _, _, _}} = call(ring, @stats, [], 60_000_000_000)
    assert {:ok, {1, _, _, _, _, _, _, _}} = call(ring, @stats, [], 1)
  end

  test "a cancelled call sends nothing", %{ring: ring} do
    [cancelled, other] = [make_ref(), make_ref()]
    assert Native.ring_call(ring, cancelled, @sleep, [50], 0) == :pending
    assert Native.ring_call(ring, other, @sleep, [100], 0) == :pending
    assert Native.ring_cancel(ring, cancelled) == :ok
    assert {:ok, _} = await(:pending, other)
    wait_until(fn -> Native.ring_info(ring).in_flight == 0 end)
    refute_received {^cancelled, _}
    assert Native.ring_cancel(ring, make_ref()) == :ok
  end

  test "a caller that is killed leaves its slot until the reply comes", %{ring: ring} do
    test = self()

    caller =
      spawn(fn ->
        send(test, {:called, Native.ring_call(ring, make_ref(), @sleep, [200], 0)})
        Process.sleep(:infinity)
      end)

    assert_receive {:called, :pending}, @watchdog_ms
    Process.exit(caller, :kill)
    assert {1, _, _} = Native.ring_progress(ring)
    wait_until(fn -> match?({0, _, _}, Native.ring_progress(ring)) end)
    assert {:ok, _} = call(ring, @stats)
  end

  test "after the service was killed an abort tells all who wait", %{ring: ring} = service do
    waiting = for _ <- 1..20, do: make_ref()
    for ref <- waiting, do: assert(Native.ring_call(ring, ref, @never, [], 0) == :pending)
    EchoService.kill(service)
    late = make_ref()
    assert Native.ring_call(ring, late, @stats, [], 0) == :pending
    assert Native.ring_abort(ring, :worker_down) == :ok
    for ref <- [late | waiting], do: assert(await(:pending, ref) == {:error, :worker_down})
    assert Native.ring_ping(ring, make_ref()) == {:error, :worker_down}
    assert Native.ring_echo(ring, make_ref(), "x") == {:error, :worker_down}
    wait_until(fn -> Native.ring_info(ring).in_flight == 0 end)
    refute_received {:ring_corrupt, _, _}
  end

  for {name, ending} <- [killed: :kill, corrupt: @bad_completion] do
    test "no caller is forgotten if the service is #{name} while all call", %{ring: ring} = service do
      callers = for _ <- 1..8, do: Task.async(fn -> until_error(ring) end)
      wait_until(fn -> Native.ring_info(ring).submitted > 1000 end)

      case unquote(ending) do
        :kill ->
          EchoService.kill(service)
          Native.ring_abort(ring, :worker_down)

        harm ->
          Native.ring_call(ring, make_ref(), harm, [], 0)
      end

      assert [reason] = callers |> Task.await_many(@watchdog_ms) |> Enum.uniq()
      assert reason == if(unquote(ending) == :kill, do: :worker_down, else: :corrupt_peer)
      wait_until(fn -> Native.ring_info(ring).in_flight == 0 end)
    end
  end

  defp until_error(ring) do
    case {call(ring, @stats), echo(ring, "some data")} do
      {{:error, reason}, _} when reason != :busy -> reason
      {_, {:error, reason}} when reason != :busy -> reason
      _ -> until_error(ring)
    end
  end

  test "a service that dies while it is asked", %{ring: ring, port: port} do
    ref = make_ref()
    assert Native.ring_call(ring, ref, @die, [], 0) == :pending
    EchoService.await_exit(port)
    refute_received {^ref, _}
    Native.ring_abort(ring, :shutdown)
    assert await(:pending, ref) == {:error, :shutdown}
  end

  for {name, op} <- [slots: @bad_slots, heads: @bad_heads, completion: @bad_completion, tail: @bad_tail] do
    test "a service that writes garbage: #{name}", %{ring: ring} do
      ref = make_ref()
      first = Native.ring_call(ring, ref, unquote(op), [], 0)
      # Whatever was broken: the next calls find it, or the waiter has found it.
      wait_until(fn -> Native.ring_ping(ring, make_ref()) == {:error, :corrupt_peer} end)
      assert await(first, ref) == {:error, :corrupt_peer}
      assert_receive {:ring_corrupt, ^ring, text}, @watchdog_ms
      assert text =~ "which cannot be"
      assert Native.ring_echo(ring, make_ref(), "x") == {:error, :corrupt_peer}
      assert Native.ring_abort(ring, :worker_down) == :ok
      assert Native.ring_ping(ring, make_ref()) == {:error, :corrupt_peer}
      refute_received {:ring_corrupt, _, _}
    end
  end

  test "a service that lies about a length", %{ring: ring} do
    assert {:ok, _} = call(ring, @bad_length)
    assert echo(ring, "x") == {:error, :corrupt_peer}
    assert_receive {:ring_corrupt, ^ring, text}, @watchdog_ms
    assert text =~ "bytes of a payload"
    assert Native.ring_ping(ring, make_ref()) == {:error, :corrupt_peer}
  end

  test "an idle service beats, and info says what was counted", %{ring: ring} do
    {0, beat, _} = Native.ring_progress(ring)
    wait_until(fn -> elem(Native.ring_progress(ring), 1) > beat + 2 end)
    {:ok, _} = call(ring, @stats)
    info = Native.ring_info(ring)

    assert Enum.sort(Map.keys(info)) ==
             ~w(beat busy doorbell hits in_flight parks progress sleeps slots spins_won submitted taken wakes)a

    assert %{doorbell: :futex, in_flight: 0, slots: 1024, submitted: 1, taken: 1, busy: 0} = info
  end

  test "a ring ends with its owner, and nothing is handed to what is no socket" do
    test = self()
    owner = spawn(fn -> send(test, Native.ring_new(self())) && Process.sleep(:infinity) end)
    assert_receive {:ok, ring}, @watchdog_ms
    ref = make_ref()
    assert Native.ring_ping(ring, ref) == :pending
    assert {:error, {:handover_failed, text}} = Native.ring_handover(ring, -1)
    assert text =~ "socket"
    Process.exit(owner, :kill)
    assert await(:pending, ref) == {:error, :worker_down}
    assert Native.ring_ping(ring, ref) == {:error, :worker_down}
  end

  test "more calls than slots are refused", %{ring: ring} = service do
    results = for _ <- 1..1100, do: Native.ring_call(ring, make_ref(), @never, [], 0)
    assert Enum.frequencies(results) == %{:pending => 1024, {:error, :busy} => 76}
    assert %{in_flight: 1024, busy: 76} = Native.ring_info(ring)
    EchoService.kill(service)
    Native.ring_abort(ring, :worker_down)
    wait_until(fn -> Native.ring_info(ring).in_flight == 0 end)
  end

  test "a ring that nobody has any more ends its thread", %{ring: ring} do
    [owner, before] = [self(), waiters()]
    assert before > 0
    Task.await(Task.async(fn -> for(_ <- 1..20, do: {:ok, _} = Native.ring_new(owner)) && :ok end))
    wait_until(fn -> waiters() <= before end)
    assert {:ok, _} = call(ring, @stats)
  end

  defp waiters do
    Enum.count(Path.wildcard("/proc/self/task/*/comm"), &(File.read(&1) == {:ok, "gp_ring\n"}))
  end
end
