defmodule GamePlatform.Transport.Edge do
  @moduledoc false
  # `gp_edge` under a `GamePlatform.NativeNode`.

  @behaviour GamePlatform.NativeNode

  alias GamePlatform.{NativeNode, Transport}
  alias GamePlatform.Transport.{Egress, Requests}

  @call_ms 5_000
  @stats_ms 500

  def child_spec(config) do
    %{id: __MODULE__, start: {__MODULE__, :start_link, [config]}, shutdown: 10_000}
  end

  def start_link(%{name: name} = config) do
    NativeNode.start_link(
      [
        name: Transport.part(name, "Edge"),
        program: Application.app_dir(:game_platform, "priv/native/gp_edge"),
        server: :gp_edge,
        handler: {__MODULE__, config}
      ] ++ config.native
    )
  end

  # What the edge counts; nil if it does not tell in time.
  def stats(server) do
    case NativeNode.info(server) do
      %{state: :up, node: node} = info ->
        stats = GenServer.call({:gp_edge, node}, :stats, @stats_ms)
        Map.merge(stats, Map.take(info, [:os_pid, :restarts]))

      _ ->
        nil
    end
  catch
    :exit, _ -> nil
  end

  @impl NativeNode
  def handle_up(%{server: server, node: node, owner: owner, generation: generation}, config) do
    # A successor takes the port of the one before, so that clients find it.
    key = {__MODULE__, config.name}
    port = if config.port == 0, do: :persistent_term.get(key, 0), else: config.port

    listen =
      %{
        bind: config.bind,
        acceptor: Process.whereis(Transport.part(config.name, "Acceptor")),
        watcher: owner,
        static: config.static,
        socket_paths: Map.keys(config.sockets),
        origins: config.origins
      }
      |> Map.merge(Requests.listen(config))
      |> Map.merge(config.limits)

    # Sockets that come at once are told of after this.
    replace = &NativeNode.report_corrupt(owner, generation, &1)
    run = Egress.run(GenServer.call(server, :self, @call_ms))
    :ok = Egress.up(Transport.egress(config.name), {:gp_edge, node}, run, replace)

    with {:ok, port} <- listen(server, listen, port, config.port) do
      :persistent_term.put(key, port)
      {:ok, %{port: port, name: config.name, beat: :atomics.new(1, [])}}
    end
  end

  # Another program may have taken the port of the one before; if any will do, there are others.
  defp listen(server, listen, port, wanted) do
    case GenServer.call(server, {:listen, Map.put(listen, :port, port)}, @call_ms) do
      {:error, _} when port != wanted -> listen(server, listen, wanted, wanted)
      answer -> answer
    end
  end

  # It tells several times a second that it still turns.
  @impl NativeNode
  def progress(%{beat: beat}), do: :atomics.get(beat, 1)

  @impl NativeNode
  def handle_info({:gp_beat, n}, %{beat: beat}) when is_integer(n), do: :atomics.put(beat, 1, n)
  def handle_info(_, _), do: :ok

  @impl NativeNode
  def handle_down(%{name: name}, _reason), do: Egress.down(Transport.egress(name))
end
