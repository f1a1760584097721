defmodule GamePlatform.Proxy do
  @moduledoc """
  A network that fails: a TCP proxy between clients and a server, which passes on what comes, and on order or at random
  cuts connections, holds back what they send, or is slow.

  It stops with the process that started it.
  """

  use GenServer

  alias GamePlatform.Proxy.Wire

  @type cut :: :fin | :rst
  @type direction :: :up | :down | :both

  @accept_ms 100

  @doc "`to`: the port of the server on the loopback interface, where there may be none at times."
  def start_link(opts), do: GenServer.start_link(__MODULE__, opts)

  @doc "Where clients connect."
  def port(proxy), do: GenServer.call(proxy, :port)

  @doc """
  What connections do from now on: `:pass`, `{:delay, ms}` each way, `{:stall, direction}` (they are accepted, and
  nothing is passed on until this is called again), `:refuse` (new ones are closed at once; the others go on).
  """
  def set(proxy, how), do: GenServer.call(proxy, {:set, how})

  @doc "Ends connections, `:all` or so many chosen at random, politely or not; returns how many."
  @spec cut(GenServer.server(), cut, :all | pos_integer) :: non_neg_integer
  def cut(proxy, how, which \\ :all) when how in [:fin, :rst], do: each(proxy, which, {:cut, how})

  @doc "Holds back what some connections send for so long."
  @spec stall(GenServer.server(), direction, pos_integer, :all | pos_integer) :: non_neg_integer
  def stall(proxy, direction, ms, which \\ :all), do: each(proxy, which, {:stall, direction, ms})

  defp each(proxy, which, order), do: GenServer.call(proxy, {:each, which, order})

  @doc "`connections` that are open, and how many there have been."
  def stats(proxy), do: GenServer.call(proxy, :stats)

  @impl true
  def init(opts) do
    Process.flag(:trap_exit, true)

    {:ok, listener} =
      :gen_tcp.listen(0, [:binary, active: false, ip: {127, 0, 0, 1}, backlog: 1024, nodelay: true])

    {:ok, port} = :inet.port(listener)
    proxy = self()
    spawn_link(fn -> accept(listener, proxy) end)
    {:ok, %{port: port, to: Keyword.fetch!(opts, :to), how: :pass, wires: %{}, total: 0, listener: listener}}
  end

  # It looks up now and then whether it is still wanted: a port that waits would not let it.
  defp accept(listener, proxy) do
    case :gen_tcp.accept(listener, @accept_ms) do
      {:ok, client} ->
        :ok = :gen_tcp.controlling_process(client, proxy)
        send(proxy, {:accepted, client})
        accept(listener, proxy)

      {:error, reason} when reason in [:timeout, :econnaborted] ->
        accept(listener, proxy)

      {:error, _} ->
        :ok
    end
  end

  @impl true
  def handle_call(:port, _, state), do: {:reply, state.port, state}

  def handle_call(:stats, _, state),
    do: {:reply, %{connections: map_size(state.wires), total: state.total}, state}

  def handle_call({:set, how}, _, state) do
    for {wire, _} <- state.wires, do: send(wire, {:set, how})
    {:reply, :ok, %{state | how: how}}
  end

  def handle_call({:each, which, order}, _, state) do
    wires = Map.keys(state.wires)
    chosen = if which == :all, do: wires, else: Enum.take_random(wires, which)
    for wire <- chosen, do: send(wire, order)
    {:reply, length(chosen), state}
  end

  @impl true
  def handle_info({:accepted, client}, %{how: :refuse} = state) do
    :gen_tcp.close(client)
    {:noreply, state}
  end

  def handle_info({:accepted, client}, state) do
    wire = Wire.start_link(client, state.to, state.how)
    {:noreply, %{state | wires: Map.put(state.wires, wire, true), total: state.total + 1}}
  end

  def handle_info({:EXIT, pid, reason}, state) do
    case Map.pop(state.wires, pid) do
      {nil, _} -> {:stop, reason, state}
      {_, wires} -> {:noreply, %{state | wires: wires}}
    end
  end
end
