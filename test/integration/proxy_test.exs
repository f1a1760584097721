defmodule GamePlatform.ProxyTest do
  # The network of the other tests does the harm that it says.
  use ExUnit.Case, async: true

  import GamePlatform.Eventually

  alias GamePlatform.Proxy

  @wait_ms 5_000
  @stall_ms 200

  # A server that sends back what it gets, and tells the test of it and of ends.
  setup do
    {:ok, listener} = :gen_tcp.listen(0, [:binary, active: false, ip: {127, 0, 0, 1}])
    {:ok, port} = :inet.port(listener)
    test = self()
    start_supervised!({Task, fn -> serve(listener, test) end})
    proxy = start_supervised!({Proxy, to: port})
    %{proxy: proxy, port: Proxy.port(proxy)}
  end

  defp serve(listener, test) do
    {:ok, socket} = :gen_tcp.accept(listener)
    echo(socket, test)
    serve(listener, test)
  end

  defp echo(socket, test) do
    case :gen_tcp.recv(socket, 0) do
      {:ok, data} ->
        send(test, {:served, data})
        :gen_tcp.send(socket, data)
        echo(socket, test)

      {:error, reason} ->
        send(test, {:ended, reason})
        :gen_tcp.close(socket)
    end
  end

  defp connect(port) do
    {:ok, socket} = :gen_tcp.connect({127, 0, 0, 1}, port, [:binary, active: false, nodelay: true])
    socket
  end

  defp said(port, data \\ "hello") do
    socket = connect(port)
    :ok = :gen_tcp.send(socket, data)
    assert {:ok, ^data} = :gen_tcp.recv(socket, byte_size(data), @wait_ms)
    assert_receive {:served, ^data}
    socket
  end

  test "what is said is passed on, and so is an end", %{proxy: proxy, port: port} do
    socket = said(port, String.duplicate("x", 1_000))
    assert %{connections: 1, total: 1} = Proxy.stats(proxy)
    :gen_tcp.close(socket)
    assert_receive {:ended, :closed}, @wait_ms
    wait_until(fn -> Proxy.stats(proxy).connections == 0 end)
  end

  test "cuts are seen on both sides", %{proxy: proxy, port: port} do
    socket = said(port)
    assert Proxy.cut(proxy, :fin) == 1
    assert {:error, :closed} = :gen_tcp.recv(socket, 0, @wait_ms)
    assert_receive {:ended, :closed}, @wait_ms

    socket = said(port)
    assert Proxy.cut(proxy, :rst, 1) == 1
    # What a reset looks like depends on the option show_econnreset.
    assert {:error, _} = :gen_tcp.recv(socket, 0, @wait_ms)
    assert_receive {:ended, _}, @wait_ms
    wait_until(fn -> Proxy.stats(proxy).connections == 0 end)
  end

  test "a stall passes nothing on, and then everything in order", %{proxy: proxy, port: port} do
    socket = said(port)
    assert Proxy.stall(proxy, :up, @stall_ms) == 1
    :ok = :gen_tcp.send(socket, "one ")
    :ok = :gen_tcp.send(socket, "two")
    began = System.monotonic_time(:millisecond)
    assert {:ok, "one two"} = :gen_tcp.recv(socket, 7, @wait_ms)
    assert System.monotonic_time(:millisecond) - began >= @stall_ms - 50

    assert Proxy.stall(proxy, :down, @stall_ms) == 1
    :ok = :gen_tcp.send(socket, "three")
    assert_receive {:served, "three"}, @wait_ms
    assert {:error, :timeout} = :gen_tcp.recv(socket, 0, 20)
    assert {:ok, "three"} = :gen_tcp.recv(socket, 5, @wait_ms)
  end

  test "a stall hides that the client has gone", %{proxy: proxy, port: port} do
    socket = said(port)
    :ok = Proxy.set(proxy, {:stall, :both})
    :gen_tcp.close(socket)
    refute_receive {:ended, _}, 100
    :ok = Proxy.set(proxy, :pass)
    assert_receive {:ended, :closed}, @wait_ms
  end

  test "delays, and refusals of new connections", %{proxy: proxy, port: port} do
    :ok = Proxy.set(proxy, {:delay, 60})
    began = System.monotonic_time(:millisecond)
    socket = said(port)
    assert System.monotonic_time(:millisecond) - began >= 120
    # Nothing overtakes.
    :ok = :gen_tcp.send(socket, "slow ")
    assert_receive {:served, "slow "}, @wait_ms
    :ok = Proxy.set(proxy, :pass)
    :ok = :gen_tcp.send(socket, "fast")
    assert {:ok, "slow fast"} = :gen_tcp.recv(socket, 9, @wait_ms)
    :ok = Proxy.set(proxy, :refuse)
    other = connect(port)
    assert {:error, :closed} = :gen_tcp.recv(other, 0, @wait_ms)
    :ok = Proxy.set(proxy, :pass)
    :gen_tcp.close(socket)
    assert_receive {:ended, :closed}, @wait_ms
    said(port)
  end
end
