defmodule GamePlatform.FakeLink do
  @moduledoc """
  What stands in for `GamePlatform.Persistence.Link` and its `gp_link`: a log in memory that is slow, fills up and dies as
  the test says. What it holds is what a disk would. It has the world `main`, and those that are made.
  """

  use GenServer

  alias GamePlatform.Persistence.Link

  @world %{meta: "", entries: [], marks: [], reached: 0, cut: {-1, 0}}

  def start_link(name, opts \\ []), do: GenServer.start_link(__MODULE__, {name, opts}, name: name)

  @doc "What is durable: `entries` and `marks` as `{tick, seq}`, first ones first; nil if there is no such world."
  def durable(link, world \\ "main"), do: GenServer.call(link, {:durable, world})

  @doc "Until when what happens, by name: `:full`, `:deaf` (nothing is answered)."
  def set(link, what), do: GenServer.call(link, {:set, what})

  @doc "Dies, with what is under way written or not, and comes back."
  def die(link), do: GenServer.call(link, :die)

  @impl true
  def init({name, opts}) do
    {:ok,
     %{
       name: name,
       run: nil,
       opts: Map.merge(%{delay_ms: 0}, Map.new(opts)),
       now: :well,
       worlds: %{"main" => @world},
       waiting: []
     }
     |> run()}
  end

  # The process that takes requests, which is another one in each life.
  defp run(state) do
    owner = self()
    %{state | run: spawn_link(fn -> serve(owner) end)}
  end

  defp serve(owner) do
    receive do
      {:"$gen_call", from, request} -> send(owner, {:request, self(), from, request})
      :stop -> exit(:normal)
    end

    serve(owner)
  end

  @impl true
  def handle_call(:info, _, state), do: {:reply, %{state: :up, up: %{pid: state.run}}, state}

  def handle_call({:durable, world}, _, state) do
    durable =
      with %{} = world <- state.worlds[world],
           do: %{
             entries: Enum.reverse(world.entries),
             marks: Enum.reverse(world.marks),
             reached: world.reached
           }

    {:reply, durable, state}
  end

  def handle_call({:set, what}, _, state) do
    state = %{state | now: what}
    if what != :deaf, do: send(self(), :again)
    {:reply, :ok, state}
  end

  def handle_call(:die, _, state) do
    # Of what is under way some was written.
    {written, _} = Enum.split(Enum.reverse(state.waiting), Enum.random(0..1))
    state = Enum.reduce(written, state, fn {_, request}, state -> elem(write(state, request), 1) end)
    send(state.run, :stop)
    tell(state, {:link, :down})
    state = run(%{state | waiting: []})
    tell(state, {:link, :up, state.run})
    {:reply, :ok, state}
  end

  defp tell(state, message),
    do: for(pid <- Link.subscribers(%{name: state.name, subscriber: nil}), do: send(pid, message))

  @impl true
  # Whoever reads does not wait for who writes.
  def handle_info({:request, run, from, request}, %{run: run, now: now} = state)
      when elem(request, 0) in [:world, :unmarked] and now != :deaf do
    GenServer.reply(from, read(state, request))
    {:noreply, state}
  end

  def handle_info({:request, run, from, request}, %{run: run} = state) do
    if state.opts.delay_ms > 0,
      do: Process.send_after(self(), :again, Enum.random(0..state.opts.delay_ms)),
      else: send(self(), :again)

    {:noreply, %{state | waiting: [{from, request} | state.waiting]}}
  end

  def handle_info({:request, _, _, _}, state), do: {:noreply, state}
  def handle_info(:again, %{now: :deaf} = state), do: {:noreply, state}
  def handle_info(:again, %{waiting: []} = state), do: {:noreply, state}

  def handle_info(:again, state) do
    {from, request} = List.last(state.waiting)

    # What was written before needs no room.
    {answer, state} =
      case write(state, request) do
        {_, changed} when state.now == :full and changed != state and elem(request, 0) != :prune ->
          {{:error, {:full, "no room on the disk"}}, state}

        written ->
          written
      end

    GenServer.reply(from, answer)
    if length(state.waiting) > 1, do: send(self(), :again)
    {:noreply, %{state | waiting: List.delete_at(state.waiting, -1)}}
  end

  # As the agreement between log and link has it.
  defp read(state, request) do
    case {state.worlds[elem(request, 1)], request} do
      {nil, _} ->
        {:error, {:unknown_world, "no such world"}}

      {world, {:world, _}} ->
        {tick, seq} = marked(world)

        {:ok,
         %{
           meta: world.meta,
           reached: world.reached,
           last_seq: last(world),
           marked_seq: seq,
           marked_tick: tick
         }}

      {world, {:unmarked, _, from, most}} ->
        {_, marked} = marked(world)
        entries = for {seq, _} = entry <- Enum.reverse(world.entries), seq > max(from, marked), do: entry
        n = max(div(most, 1_048_576), 1)
        {:ok, Enum.take(entries, n), length(entries) > n}
    end
  end

  defp write(state, {:world, _} = request), do: {read(state, request), state}
  defp write(state, {:unmarked, _, _, _} = request), do: {read(state, request), state}

  defp write(state, {:create_world, id, meta}) do
    case state.worlds[id] do
      nil -> {:ok, put_in(state.worlds[id], %{@world | meta: meta})}
      %{meta: ^meta} -> {:ok, state}
      _ -> {{:error, {:exists, "there is one"}}, state}
    end
  end

  defp write(state, {:prune, id, before}) do
    world = state.worlds[id]
    {gone, marks} = Enum.split_with(world.marks, fn {tick, _} -> tick < before end)

    case gone do
      [] ->
        {{:ok, 0}, state}

      [{_, seq} = cut | _] ->
        entries = Enum.filter(world.entries, &(elem(&1, 0) > seq))
        {{:ok, 1}, put_in(state.worlds[id], %{world | marks: marks, entries: entries, cut: cut})}
    end
  end

  defp write(state, {:commit, id, ops}) do
    case state.worlds[id] do
      nil ->
        {{:error, {:unknown_world, "no such world"}}, state}

      world ->
        world = Enum.reduce(ops, world, &apply_op/2)
        {{:ok, last(world)}, put_in(state.worlds[id], world)}
    end
  end

  defp last(%{entries: [{seq, _} | _]}), do: seq
  defp last(%{cut: {_, seq}}), do: seq

  defp marked(%{marks: [mark | _]}), do: mark
  defp marked(%{cut: cut}), do: cut

  defp apply_op({:entries, entries}, world) do
    Enum.reduce(entries, world, fn {seq, bytes}, world ->
      if seq <= last(world), do: world, else: %{world | entries: [{seq, bytes} | world.entries]}
    end)
  end

  defp apply_op({:mark, tick, seq}, world) do
    cond do
      {tick, seq} in world.marks ->
        world

      match?([{last_tick, last_seq} | _] when last_tick >= tick or last_seq >= seq, world.marks) or
          not List.keymember?(world.entries, seq, 0) ->
        raise "mark {#{tick}, #{seq}} is out of order after #{inspect(List.first(world.marks))}"

      true ->
        %{world | marks: [{tick, seq} | world.marks]}
    end
  end

  defp apply_op({:unmark, tick}, %{marks: [{tick, _} | marks]} = world), do: %{world | marks: marks}
  defp apply_op({:unmark, _}, world), do: world
  defp apply_op({:reached, tick}, world), do: %{world | reached: max(tick, world.reached)}
end
