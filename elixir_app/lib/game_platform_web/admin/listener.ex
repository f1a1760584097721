defmodule GamePlatformWeb.Admin.Listener do
  @moduledoc false
  # Owns the listening socket; a linked process accepts, and gives each connection a process of its own.

  use GenServer

  alias GamePlatformWeb.Admin.Connection

  # How long to wait when there are no descriptors left.
  @retry_ms 100
  @hints %{
    eaddrinuse: "another process listens there; end it, or choose another port with ADMIN_PORT",
    eaddrnotavail: "this machine has no such address; choose another one with BIND",
    eacces: "ports below 1024 take privileges; choose another one with ADMIN_PORT"
  }

  def start_link(options), do: GenServer.start_link(__MODULE__, options)
  def port(listener), do: GenServer.call(listener, :port)

  @impl true
  def init(options) do
    # The port is free when this has ended, not a moment later.
    Process.flag(:trap_exit, true)
    {:ok, address} = options.bind |> String.to_charlist() |> :inet.parse_strict_address()
    family = if tuple_size(address) == 8, do: [:inet6], else: []

    socket_options =
      family ++
        [:binary, ip: address, active: false, reuseaddr: true, nodelay: true, backlog: 128] ++
        [send_timeout: options.head_ms, send_timeout_close: true]

    case :gen_tcp.listen(options.port, socket_options) do
      {:ok, socket} ->
        {:ok, port} = :inet.port(socket)
        acceptor = spawn_link(fn -> accept(socket, options) end)
        {:ok, %{socket: socket, port: port, acceptor: acceptor}}

      {:error, reason} ->
        hint = Map.get(@hints, reason, "choose another address or port with BIND and ADMIN_PORT")
        hint = "cannot listen on #{options.bind} port #{options.port}: #{hint}"
        details = %{bind: options.bind, port: options.port, reason: reason, hint: hint}
        {:stop, {:admin_not_started, details}}
    end
  end

  @impl true
  def handle_call(:port, _, state), do: {:reply, state.port, state}

  @impl true
  def handle_info({:EXIT, acceptor, reason}, %{acceptor: acceptor} = state), do: {:stop, reason, state}
  def handle_info(_, state), do: {:noreply, state}

  @impl true
  def terminate(_, %{socket: socket}), do: :gen_tcp.close(socket)

  defp accept(listener, options) do
    case :gen_tcp.accept(listener) do
      {:ok, socket} -> hand_over(socket, options)
      {:error, reason} when reason in [:emfile, :enfile, :enobufs, :enomem] -> Process.sleep(@retry_ms)
      # The peer has gone before it was taken.
      {:error, :econnaborted} -> :ok
      {:error, reason} -> exit({:accept, reason})
    end

    accept(listener, options)
  end

  defp hand_over(socket, options) do
    case Task.Supervisor.start_child(options.connections, Connection, :start, [options]) do
      {:ok, pid} ->
        _ = :gen_tcp.controlling_process(socket, pid)
        send(pid, {:serve, socket})

      {:error, :max_children} ->
        Connection.refuse(socket)
    end
  end
end
