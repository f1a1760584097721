defmodule GamePlatform.Transport.PresenceServer do
  @moduledoc false
  # Watches who is tracked. The table outlives this process: its successor watches the same processes.

  use GenServer

  alias GamePlatform.Transport

  # The table: {{topic, pid, key}, meta with its ref}.

  def start_link(name), do: GenServer.start_link(__MODULE__, name, name: Transport.part(name, "Presence"))

  # Called by the supervisor, which owns the table from then on.
  def new_table(name),
    do: :ets.new(table(name), [:ordered_set, :public, :named_table, read_concurrency: true])

  def call(name, request), do: GenServer.call(Transport.part(name, "Presence"), request)

  def lookup(name, pid, topic, key) do
    case :ets.lookup(table(name), {topic, pid, key}) do
      [{_, meta}] -> Map.drop(meta, [:phx_ref, :phx_ref_prev])
      [] -> nil
    end
  end

  def list(name, topic) do
    name
    |> table()
    |> :ets.match_object({{topic, :_, :_}, :_})
    |> Enum.group_by(fn {{_, _, key}, _} -> key end, fn {_, meta} -> meta end)
    |> Map.new(fn {key, metas} -> {key, %{metas: Enum.sort_by(metas, & &1.phx_ref)}} end)
  end

  defp table(name), do: Transport.part(name, "PresenceTable")

  @impl true
  def init(name) do
    table = table(name)
    entries = for [topic, pid, key] <- :ets.match(table, {{:"$1", :"$2", :"$3"}, :_}), do: {pid, {topic, key}}
    {:ok, Enum.reduce(entries, %{name: name, table: table, count: 0, tracked: %{}}, &watch/2)}
  end

  # `tracked`: pid => {monitor, [{topic, key}]}.
  defp watch({pid, entry}, state) do
    {monitor, entries} = Map.get_lazy(state.tracked, pid, fn -> {Process.monitor(pid), []} end)
    %{state | tracked: Map.put(state.tracked, pid, {monitor, [entry | entries]})}
  end

  defp unwatch(pid, entry, state) do
    case state.tracked do
      %{^pid => {monitor, [^entry]}} ->
        Process.demonitor(monitor, [:flush])
        %{state | tracked: Map.delete(state.tracked, pid)}

      %{^pid => {monitor, entries}} ->
        %{state | tracked: Map.put(state.tracked, pid, {monitor, List.delete(entries, entry)})}

      _ ->
        state
    end
  end

  @impl true
  def handle_call({:track, pid, topic, key, meta}, _, state) do
    {meta, state} = with_ref(meta, state)

    if :ets.insert_new(state.table, {{topic, pid, key}, meta}) do
      diff(state, topic, %{key => %{metas: [meta]}}, %{})
      {:reply, {:ok, meta.phx_ref}, watch({pid, {topic, key}}, state)}
    else
      {:reply, {:error, :already_tracked}, state}
    end
  end

  def handle_call({:update, pid, topic, key, change}, _, state) do
    entry = {topic, pid, key}

    case :ets.lookup(state.table, entry) do
      [{_, old}] ->
        {meta, state} = with_ref(Map.put(change, :phx_ref_prev, old.phx_ref), state)
        :ets.insert(state.table, {entry, meta})
        diff(state, topic, %{key => %{metas: [meta]}}, %{key => %{metas: [old]}})
        {:reply, {:ok, meta.phx_ref}, state}

      [] ->
        {:reply, {:error, :not_tracked}, state}
    end
  end

  def handle_call({:untrack, pid, topic, key}, _, state) do
    case :ets.take(state.table, {topic, pid, key}) do
      [{_, meta}] ->
        diff(state, topic, %{}, %{key => %{metas: [meta]}})
        {:reply, :ok, unwatch(pid, {topic, key}, state)}

      [] ->
        {:reply, :ok, state}
    end
  end

  @impl true
  def handle_info({:DOWN, _, :process, pid, _}, state) do
    {{_, entries}, tracked} = Map.pop(state.tracked, pid, {nil, []})

    for {topic, entries} <- Enum.group_by(entries, &elem(&1, 0)) do
      leaves =
        for {_, key} <- entries, {_, meta} <- :ets.take(state.table, {topic, pid, key}), into: %{} do
          {key, %{metas: [meta]}}
        end

      diff(state, topic, %{}, leaves)
    end

    {:noreply, %{state | tracked: tracked}}
  end

  def handle_info(_, state), do: {:noreply, state}

  defp diff(state, topic, joins, leaves),
    do: Transport.broadcast(state.name, topic, "presence_diff", %{joins: joins, leaves: leaves})

  # Unique over restarts of this process, and in order.
  defp with_ref(meta, state) do
    ref = <<System.os_time(:microsecond)::64, state.count::16>> |> Base.encode16(case: :lower)
    {Map.put(meta, :phx_ref, ref), %{state | count: rem(state.count + 1, 65_536)}}
  end
end
