defmodule GamePlatform.NativeNode.DistributionTest do
  use ExUnit.Case, async: false

  import GamePlatform.Eventually

  alias GamePlatform.NativeNode.Distribution
  alias GamePlatform.NativePeer

  @moduletag :capture_log
  @watchdog 30_000

  setup do
    {:ok, node} = Distribution.ensure_started()
    {:ok, dir} = Distribution.make_dir("gp_test_")
    on_exit(fn -> File.rm_rf(dir) end)
    %{node: node, dir: dir, peer: :"peer_#{Distribution.random(4)}@127.0.0.1"}
  end

  defp run(context, name, cookie) do
    socket = Path.join(context.dir, "dist.sock")
    args = ["--connect", "#{context.node}", "--name", "#{name}", "--socket", socket, "--cookie-stdin"]

    port =
      Port.open({:spawn_executable, NativePeer.path()}, [
        :binary,
        :exit_status,
        :stderr_to_stdout,
        {:line, 500},
        {:args, args}
      ])

    Port.command(port, "#{cookie}\n")
    port
  end

  defp pending?(peer) do
    Enum.any?(:ets.tab2list(:sys_dist), fn connection -> elem(connection, 1) == peer end)
  end

  test "a host that is a node stays it; one that is none gets a name of its own", %{node: node} do
    assert Node.alive?()
    assert Distribution.ensure_started() == {:ok, node}
  end

  test "the peer with the cookie is let in, once, and the socket goes", %{peer: peer} = context do
    {:ok, acceptor} = Distribution.listen(context.dir, peer, :secret)
    port = run(context, peer, "secret")
    assert_receive {:distribution, ^acceptor, :connected}, @watchdog
    assert File.ls!(context.dir) == []
    assert_receive {^port, {:data, {:eol, "ready"}}}, @watchdog
    assert GenServer.call({:peer, peer}, :ping) == :pong

    Node.monitor(peer, true)
    Port.command(port, "stop\n")
    assert_receive {^port, {:exit_status, 0}}, @watchdog
    assert_receive {:nodedown, ^peer}, @watchdog
    refute pending?(peer)
  end

  test "a wrong cookie and a wrong name are refused and leave nothing behind", %{peer: peer} = context do
    {:ok, acceptor} = Distribution.listen(context.dir, peer, :secret)

    port = run(context, peer, "wrong")
    assert_receive {:distribution, ^acceptor, {:refused, _}}, @watchdog
    assert_receive {^port, {:data, {:eol, "error: " <> text}}}, @watchdog
    assert text =~ "cookie"
    wait_until(fn -> not pending?(peer) end)
    assert_receive {^port, {:exit_status, 1}}, @watchdog

    # A program takes its socket with it.
    Distribution.close(acceptor)
    {:ok, acceptor} = Distribution.listen(context.dir, peer, :secret)
    port = run(context, "other@127.0.0.1", "secret")
    assert_receive {:distribution, ^acceptor, {:refused, _}}, @watchdog
    assert_receive {^port, {:data, {:eol, "error: " <> text}}}, @watchdog
    assert text =~ "not_allowed"
    assert_receive {^port, {:exit_status, 1}}, @watchdog

    # Nor is the name spoilt for the right one, whose cookie is not the host's own.
    Distribution.close(acceptor)
    File.rm(Path.join(context.dir, "dist.sock"))
    {:ok, acceptor} = Distribution.listen(context.dir, peer, :secret)
    assert Node.get_cookie() != :secret
    run(context, peer, "secret")
    assert_receive {:distribution, ^acceptor, :connected}, @watchdog
  end

  test "a peer that is killed in the handshake leaves nothing behind", %{peer: peer} = context do
    {:ok, acceptor} = Distribution.listen(context.dir, peer, :secret)
    path = Path.join(context.dir, "dist.sock")
    {:ok, socket} = :gen_tcp.connect({:local, path}, 0, [:binary, packet: 2, active: false])
    # Its name, with all flags, and no more.
    :ok = :gen_tcp.send(socket, [?N, <<0x1D_07DF_7FBD::64, 7::32, byte_size("#{peer}")::16>>, "#{peer}"])
    assert {:ok, "sok"} = :gen_tcp.recv(socket, 0, @watchdog)
    assert pending?(peer)
    :gen_tcp.close(socket)
    assert_receive {:distribution, ^acceptor, {:refused, _}}, @watchdog
    wait_until(fn -> not pending?(peer) end)
  end

  test "the end of who listens ends the listening", %{peer: peer} = context do
    test = self()

    listener =
      spawn(fn ->
        {:ok, acceptor} = Distribution.listen(context.dir, peer, :secret)
        send(test, acceptor)
        Process.sleep(:infinity)
      end)

    assert_receive acceptor when is_pid(acceptor), @watchdog
    Process.exit(listener, :kill)
    wait_until(fn -> not Process.alive?(acceptor) end)
  end

  test "a path that is too long for a socket is refused with what to do" do
    dir = "/tmp/" <> String.duplicate("x", 110)
    assert {:error, {:socket_path_too_long, %{hint: "set TMPDIR" <> _}}} = Distribution.listen(dir, :a@b, :c)
    assert {:error, {:no_socket, %{reason: :enoent}}} = Distribution.listen("/nonexistent", :a@b, :c)
  end

  # In a VM of its own: what it finds there is what a host has.
  defp elixir(env, script) do
    ebin = :game_platform |> :code.lib_dir() |> Path.join("ebin")
    args = ["-pa", "#{ebin}", "-e", script]
    System.cmd(System.find_executable("elixir"), args, env: env, stderr_to_stdout: true)
  end

  test "no cookie is written, and a home that cannot be written is no obstacle", context do
    script = ~s|{:ok, _} = GamePlatform.NativeNode.Distribution.ensure_started(); IO.inspect(Node.alive?())|

    for home <- [context.dir, "/nonexistent"] do
      assert {out, 0} = elixir([{"HOME", home}, {"XDG_CONFIG_HOME", nil}], script)
      assert out =~ "true"
    end

    assert File.ls!(context.dir) == []
  end
end
