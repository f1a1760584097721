defmodule GamePlatform.Transport.EgressTest do
  use ExUnit.Case, async: true

  import ExUnit.CaptureLog, only: [with_log: 1]
  import GamePlatform.{Eventually, Harm}

  alias GamePlatform.{NativeNode, NativePeer, Socket}
  alias GamePlatform.Transport.Egress

  # A peer that takes nothing until it is told to.
  setup context do
    name = Module.concat(__MODULE__, "E#{context.line}")
    start_supervised!({Egress, name: name})
    # Long enough stopped, it would be taken for hung.
    native = start_supervised!({NativeNode, NativePeer.options([], hang_checks: 3_000)})
    {:ok, up} = NativeNode.await_up(native)
    test = self()
    :ok = Egress.up(name, {:peer, up.node}, 1, &send(test, {:replace, &1}))
    %{egress: name, up: up}
  end

  defp push(egress, bytes),
    do: Egress.push(socket(egress), nil, nil, "event", {:json, :binary.copy("x", bytes)})

  defp socket(egress, run \\ 1), do: %Socket{topic: "t", private: %{egress: egress, n: 1, run: run}}

  test "what waits is bounded, and steps of streams go first", %{egress: egress, up: up} do
    stop(up)
    # More than the channel takes.
    wait_until(fn ->
      push(egress, 100_000)
      Egress.stats(egress).waiting > 0
    end)

    step = {:binary, :binary.copy("s", 50_000)}
    for n <- 1..1_000, do: Egress.broadcast(egress, "k", "t", "diff", step, {n, n + 1})
    %{bytes: bytes, dropped: dropped} = Egress.stats(egress)
    assert bytes < 2 * 1_048_576
    assert dropped > 900
    refute_received {:replace, _}

    # It goes on where it was, and nothing else is lost.
    signal(up, "CONT")
    wait_until(fn -> Egress.stats(egress).waiting == 0 end)
    assert Egress.stats(egress).dropped == dropped

    stop(up)

    {_, log} =
      with_log(fn ->
        # Each is handled at once, however full it is.
        for _ <- 1..1_000, do: push(egress, 100_000)
        assert_receive {:replace, reason}, 10_000
        assert reason =~ "takes nothing"
      end)

    assert log =~ "it is replaced"
    assert %{bytes: 0, waiting: 0} = Egress.stats(egress)
    signal(up, "CONT")
  end

  test "answers wait beside the rest, and more than there is room for say so", %{egress: egress, up: up} do
    stop(up)

    wait_until(fn ->
      push(egress, 100_000)
      Egress.stats(egress).waiting > 0
    end)

    before = Egress.stats(egress)
    body = :binary.copy("a", 100_000)
    for n <- 1..2_000, do: Egress.respond(egress, 1, n, 200, [{"content-type", "text/plain"}], body)
    %{bytes: bytes, waiting: waiting} = Egress.stats(egress)
    assert waiting == before.waiting + 2_000
    assert (bytes - before.bytes) in 60_000_000..68_000_000
    # Nothing is dropped for them, and nothing is too much.
    Egress.broadcast(egress, "k", "t", "diff", {:binary, "step"}, {1, 2})
    assert %{dropped: 0} = Egress.stats(egress)
    refute_received {:replace, _}
    signal(up, "CONT")
    wait_until(fn -> Egress.stats(egress).waiting == 0 end)
    assert %{dropped: 0, bytes: 0} = Egress.stats(egress)
  end

  test "what is large waits where it is until there is room", %{egress: egress, up: up} do
    large = {:binary, :binary.copy("k", 500_000)}
    stop(up)
    offered = for _ <- 1..200, do: Egress.offer(socket(egress), nil, "keyframe", large)
    assert :crowded in offered
    refute Egress.room?(socket(egress))
    assert Egress.stats(egress).bytes < 2 * 1_048_576
    refute_received {:replace, _}
    signal(up, "CONT")
    wait_until(fn -> Egress.offer(socket(egress), nil, "keyframe", large) == :ok end)
    assert Egress.offer(socket(__MODULE__.Nowhere), nil, "keyframe", large) == :crowded
  end

  test "commands for an edge that is down, or for none, go nowhere", %{egress: egress, up: up} do
    :ok = Egress.down(egress)
    assert push(egress, 10) == :ok
    assert %{sent: 0, waiting: 0} = Egress.stats(egress)
    :ok = Egress.up(egress, {:peer, up.node}, 1, fn _ -> :ok end)
    assert push(egress, 10) == :ok
    assert %{sent: 1, waiting: 0} = Egress.stats(egress)
    assert Egress.push(socket(__MODULE__.Nowhere), nil, nil, "event", {:json, "{}"}) == :ok
    # So do those for a socket of another run.
    assert Egress.push(socket(egress, 2), nil, nil, "event", {:json, "{}"}) == :ok
    assert Egress.offer(socket(egress, 2), nil, "event", {:json, "{}"}) == :ok
    assert Egress.respond(egress, 2, 1, 200, [], "") == :ok
    assert %{sent: 1, waiting: 0} = Egress.stats(egress)
  end
end
