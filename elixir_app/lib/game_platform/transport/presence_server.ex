defmodule GamePlatform.Transport.PresenceServer do
  @moduledoc false
  # Watches who is tracked. The table outlives this process: its successor watches the same processes.
  #
  # Clients are told at once of who comes and goes, and then of all that happened in the next moment together: when
  # thousands come at a time, each of them is told of every other.

  use GenServer

  alias GamePlatform.Transport

  # How long such a moment is.
  @moment_ms 50

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
    state = %{name: name, table: table, count: 0, tracked: %{}, waiting?: false, changes: %{}}
    {:ok, Enum.reduce(entries, state, &watch/2)}
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
      {:reply, {:ok, meta.phx_ref}, {pid, {topic, key}} |> watch(state) |> change(topic, [{key, meta}], [])}
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
        {:reply, {:ok, meta.phx_ref}, change(state, topic, [{key, meta}], [{key, old}])}

      [] ->
        {:reply, {:error, :not_tracked}, state}
    end
  end

  def handle_call({:untrack, pid, topic, key}, _, state) do
    case :ets.take(state.table, {topic, pid, key}) do
      [{_, meta}] ->
        {:reply, :ok, pid |> unwatch({topic, key}, state) |> change(topic, [], [{key, meta}])}

      [] ->
        {:reply, :ok, state}
    end
  end

  @impl true
  def handle_info({:DOWN, _, :process, pid, _}, state) do
    {{_, entries}, tracked} = Map.pop(state.tracked, pid, {nil, []})

    gone =
      for {topic, key} <- entries,
          {_, meta} <- :ets.take(state.table, {topic, pid, key}),
          do: {topic, key, meta}

    state = %{state | tracked: tracked}

    {:noreply,
     gone
     |> Enum.group_by(&elem(&1, 0), fn {_, key, meta} -> {key, meta} end)
     |> Enum.reduce(state, fn {topic, leaves}, state -> change(state, topic, [], leaves) end)}
  end

  def handle_info(:moment, %{changes: changes} = state) when changes == %{},
    do: {:noreply, %{state | waiting?: false}}

  def handle_info(:moment, state), do: {:noreply, tell(state)}
  def handle_info(_, state), do: {:noreply, state}

  # `changes`: topic => {joins, leaves}, each ref => {key, meta}.
  defp change(state, topic, joins, leaves) do
    {before, left} = Map.get(state.changes, topic, {%{}, %{}})
    # Who has come in the same moment was never there for clients.
    {unseen, leaves} = Enum.split_with(leaves, fn {_, meta} -> is_map_key(before, meta.phx_ref) end)
    joins = before |> Map.drop(for({_, meta} <- unseen, do: meta.phx_ref)) |> Map.merge(by_ref(joins))
    state = put_in(state.changes[topic], {joins, Map.merge(left, by_ref(leaves))})
    if state.waiting?, do: state, else: tell(state)
  end

  defp by_ref(entries), do: Map.new(entries, fn {_, meta} = entry -> {meta.phx_ref, entry} end)

  defp tell(state) do
    for {topic, {joins, leaves}} <- state.changes, joins != %{} or leaves != %{} do
      diff = %{joins: by_key(joins), leaves: by_key(leaves)}
      Transport.broadcast(state.name, topic, "presence_diff", diff)
    end

    Process.send_after(self(), :moment, @moment_ms)
    %{state | waiting?: true, changes: %{}}
  end

  defp by_key(entries) do
    entries
    |> Enum.sort()
    |> Enum.group_by(fn {_, {key, _}} -> key end, fn {_, {_, meta}} -> meta end)
    |> Map.new(fn {key, metas} -> {key, %{metas: metas}} end)
  end

  # Unique over restarts of this process, and in order.
  defp with_ref(meta, state) do
    ref = <<System.os_time(:microsecond)::64, state.count::16>> |> Base.encode16(case: :lower)
    {Map.put(meta, :phx_ref, ref), %{state | count: rem(state.count + 1, 65_536)}}
  end
end
