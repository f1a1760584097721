defmodule GamePlatform.FakeLink do
  @moduledoc """
  What stands in for `GamePlatform.Persistence.Link` and its `gp_link`: a log in memory that is slow, fills up and dies as
  the test says. What it holds is what a disk would.
  """

  use GenServer

  alias GamePlatform.Persistence.Link

  def start_link(name, opts \\ []), do: GenServer.start_link(__MODULE__, {name, opts}, name: name)

  @doc "What is durable: `entries` and `marks` as `{tick, seq}`, first ones first."
  def durable(link), do: GenServer.call(link, :durable)

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
       entries: [],
       marks: [],
       reached: 0,
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

  def handle_call(:durable, _, state) do
    {:reply,
     %{entries: Enum.reverse(state.entries), marks: Enum.reverse(state.marks), reached: state.reached}, state}
  end

  def handle_call({:set, what}, _, state) do
    state = %{state | now: what}
    if what != :deaf, do: send(self(), :again)
    {:reply, :ok, state}
  end

  def handle_call(:die, _, state) do
    # Of what is under way some was written.
    {written, _} = Enum.split(Enum.reverse(state.waiting), Enum.random(0..1))
    state = Enum.reduce(written, state, fn {_, {:commit, _, ops}}, state -> elem(commit(state, ops), 1) end)
    send(state.run, :stop)
    tell(state, {:link, :down})
    state = run(%{state | waiting: []})
    tell(state, {:link, :up, state.run})
    {:reply, :ok, state}
  end

  defp tell(state, message) do
    for pid <- Link.subscribers(%{name: state.name, subscriber: nil}), do: send(pid, message)
  end

  @impl true
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
    {from, {:commit, _, ops}} = List.last(state.waiting)

    # What was written before needs no room.
    {answer, state} =
      case commit(state, ops) do
        {_, changed} when state.now == :full and changed != state ->
          {{:error, {:full, "no room on the disk"}}, state}

        written ->
          written
      end

    GenServer.reply(from, answer)
    {:noreply, %{state | waiting: List.delete_at(state.waiting, -1)}}
  end

  # As the agreement between log and link has it.
  defp commit(state, ops) do
    state = Enum.reduce(ops, state, &apply_op/2)
    {{:ok, last(state.entries)}, state}
  end

  defp last([]), do: 0
  defp last([{seq, _} | _]), do: seq

  defp apply_op({:entries, entries}, state) do
    Enum.reduce(entries, state, fn {seq, bytes}, state ->
      if seq <= last(state.entries), do: state, else: %{state | entries: [{seq, bytes} | state.entries]}
    end)
  end

  defp apply_op({:mark, tick, seq}, state) do
    cond do
      {tick, seq} in state.marks ->
        state

      match?([{last_tick, last_seq} | _] when last_tick >= tick or last_seq >= seq, state.marks) or
          not List.keymember?(state.entries, seq, 0) ->
        raise "mark {#{tick}, #{seq}} is out of order after #{inspect(List.first(state.marks))}"

      true ->
        %{state | marks: [{tick, seq} | state.marks]}
    end
  end

  defp apply_op({:unmark, tick}, %{marks: [{tick, _} | marks]} = state), do: %{state | marks: marks}
  defp apply_op({:unmark, _}, state), do: state
  defp apply_op({:reached, tick}, state), do: %{state | reached: max(tick, state.reached)}
end
