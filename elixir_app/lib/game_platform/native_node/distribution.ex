defmodule GamePlatform.NativeNode.Distribution do
  @moduledoc false
  # Connects native programs without epmd, a TCP port or flags of the VM: each has a Unix socket and a cookie
  # of its own. `:dist_util` and `:inet_tcp_dist` are internals of OTP, though every carrier other than TCP
  # calls them the same way; they are looked for before they are called.

  require Record

  Record.defrecordp(:hs_data, Record.extract(:hs_data, from_lib: "kernel/include/dist_util.hrl"))
  Record.defrecordp(:net_address, Record.extract(:net_address, from_lib: "kernel/include/net_address.hrl"))

  @handshake_ms 7_000
  # What a Unix socket's address holds, less the zero at its end.
  @path_bytes 103
  @internals [
    dist_util: {:handshake_other_started, 1},
    inet_tcp_dist: {:tick, 2},
    inet_tcp_dist: {:getstat, 1}
  ]

  # The name of this node, which is made a node if it is none. A host that is one keeps its name and cookie.
  def ensure_started do
    cond do
      Node.alive?() -> {:ok, node()}
      :init.get_argument(:home) == :error -> failed(:no_home, "set HOME to a directory of your own")
      true -> start()
    end
  end

  defp start do
    name = :"gp_#{System.pid()}_#{random(4)}@127.0.0.1"
    start = fn -> :net_kernel.start(name, %{name_domain: :longnames, dist_listen: false}) end

    case if(cookie_file?(), do: start.(), else: with_private_cookie(start)) do
      {:ok, _} -> {:ok, node()}
      {:error, {:already_started, _}} -> {:ok, node()}
      {:error, reason} -> failed(reason, "start the VM with --name and --cookie, or mend ~/.erlang.cookie")
    end
  end

  defp failed(reason, hint), do: {:error, {:distribution_not_started, %{reason: reason, hint: hint}}}

  defp cookie_file? do
    {:ok, [[home]]} = :init.get_argument(:home)
    config = :filename.basedir(:user_config, ~c"erlang")
    Enum.any?([home, config], &File.exists?(Path.join(&1, ".erlang.cookie")))
  end

  # OTP would write a cookie to the home directory, or fail where that cannot be written. It looks in
  # XDG_CONFIG_HOME first, and only while it starts.
  defp with_private_cookie(start) do
    before = System.get_env("XDG_CONFIG_HOME")

    with {:ok, dir} <- make_dir("gp_cookie_") do
      try do
        file = Path.join(dir, "erlang/.erlang.cookie")
        File.mkdir!(Path.dirname(file))
        File.write!(file, random(16))
        File.chmod!(file, 0o400)
        System.put_env("XDG_CONFIG_HOME", dir)
        start.()
      after
        if before,
          do: System.put_env("XDG_CONFIG_HOME", before),
          else: System.delete_env("XDG_CONFIG_HOME")

        File.rm_rf(dir)
      end
    end
  end

  # A new directory that only this user can enter.
  def make_dir(prefix) do
    dir = Path.join(System.tmp_dir() || "/tmp", prefix <> random(8))

    with :ok <- File.mkdir(dir), :ok <- File.chmod(dir, 0o700) do
      {:ok, dir}
    else
      {:error, reason} -> {:error, {:no_directory, %{path: dir, reason: reason, hint: "set TMPDIR"}}}
    end
  end

  def random(bytes), do: bytes |> :crypto.strong_rand_bytes() |> Base.encode16(case: :lower)

  # Listens at `dir/dist.sock` until `peer` has connected with its cookie; then the socket's file is gone. The
  # caller gets `{:distribution, acceptor, :connected | {:refused, reason}}`, and its end ends the listening.
  def listen(dir, peer, cookie) when is_atom(peer) and is_atom(cookie) do
    path = Path.join(dir, "dist.sock")

    cond do
      missing = Enum.find(@internals, &(not internal?(&1))) ->
        {:error, {:unsupported_otp, %{missing: missing, hint: "use OTP 25 to 29, or a newer GamePlatform"}}}

      byte_size(path) > @path_bytes ->
        {:error, {:socket_path_too_long, %{path: path, hint: "set TMPDIR to a shorter path"}}}

      true ->
        Node.set_cookie(peer, cookie)
        :proc_lib.start_link(__MODULE__, :init, [self(), path, peer])
    end
  end

  defp internal?({module, {function, arity}}),
    do: Code.ensure_loaded?(module) and function_exported?(module, function, arity)

  # Stops listening; a connection stays.
  def close(acceptor) do
    Process.unlink(acceptor)
    Process.exit(acceptor, :kill)
  end

  def init(owner, path, peer) do
    # In list mode, which the handshake takes for granted.
    options = [ifaddr: {:local, path}, packet: 2, active: false]

    case :gen_tcp.listen(0, options) do
      {:ok, listener} ->
        :proc_lib.init_ack({:ok, self()})
        accept(owner, listener, path, peer)

      {:error, reason} ->
        error = {:no_socket, %{path: path, reason: reason, hint: "see that the directory can be written"}}
        Process.unlink(owner)
        :proc_lib.init_ack({:error, error})
    end
  end

  defp accept(owner, listener, path, peer) do
    {:ok, socket} = :gen_tcp.accept(listener)
    acceptor = self()
    {pid, monitor} = spawn_monitor(fn -> connection(acceptor, socket, peer) end)
    :ok = :gen_tcp.controlling_process(socket, pid)
    send(pid, {acceptor, :go})

    receive do
      {^pid, :connected} ->
        :gen_tcp.close(listener)
        File.rm(path)
        Process.unlink(owner)
        send(owner, {:distribution, self(), :connected})

      {:DOWN, ^monitor, _, _, reason} ->
        send(owner, {:distribution, self(), {:refused, reason}})
        accept(owner, listener, path, peer)
    end
  end

  # Carries one connection for as long as it lasts. Were it not linked to net_kernel, a handshake that fails
  # would leave the peer's name pending there for ever.
  defp connection(acceptor, socket, peer) do
    Process.flag(:priority, :max)
    kernel = Process.whereis(:net_kernel)
    Process.link(kernel)

    receive do
      {^acceptor, :go} -> :ok
    after
      @handshake_ms -> exit(:shutdown)
    end

    connection = self()

    :dist_util.handshake_other_started(
      hs_data(
        kernel_pid: kernel,
        this_node: node(),
        socket: socket,
        timer: :dist_util.start_timer(@handshake_ms),
        this_flags: 0,
        allowed: [peer],
        request_type: :hidden,
        f_send: &:gen_tcp.send/2,
        f_recv: &:gen_tcp.recv/3,
        f_getll: &:inet.getll/1,
        f_setopts_pre_nodeup: &:inet.setopts(&1, active: false, packet: 4),
        f_setopts_post_nodeup: &:inet.setopts(&1, [:binary, active: true, deliver: :port, packet: 4]),
        f_address: fn _, _ ->
          net_address(address: [], host: ~c"localhost", protocol: :stream, family: :local)
        end,
        f_handshake_complete: fn _, _, _ -> send(acceptor, {connection, :connected}) end,
        mf_tick: &__MODULE__.tick/1,
        mf_getstat: &__MODULE__.getstat/1,
        mf_setopts: &:inet.setopts/2,
        mf_getopts: &:inet.getopts/2
      )
    )
  end

  def tick(socket), do: :inet_tcp_dist.tick(:inet_tcp, socket)
  def getstat(socket), do: :inet_tcp_dist.getstat(socket)
end
