defmodule GamePlatform.Roulette.Host do
  @moduledoc false
  # The game's VM as those outside see it: it is started, asked, killed and started again on the same directory, and
  # publishes a beat with a number at a steady rate meanwhile.

  use GenServer

  import GamePlatform.Harm, only: [signal: 2]

  alias GamePlatform.{CrashMatrix, OtherVM}

  @programs %{edge: "gp_edge", worker: "gp_worker", link: "gp_link"}
  @start_ms 60_000

  def start_link(opts), do: GenServer.start_link(__MODULE__, opts, timeout: @start_ms)

  @doc "Beats from now on."
  def begin(host), do: GenServer.cast(host, :begin)

  @doc "Kills a program or a process of the game, or all of it: then it is there again when this returns."
  def kill(host, what), do: GenServer.call(host, {:kill, what}, @start_ms)

  @doc "Ends the beats with one that is published for sure; returns its number."
  def last_beat(host), do: GenServer.call(host, :last_beat, @start_ms)

  @doc "Sends a player so many messages; returns what each was answered."
  def tell(host, player, count), do: GenServer.call(host, {:tell, player, count}, @start_ms)

  @doc "What became of each beat: `%{n => {:ok, seq} | {:error, reason} | :unknown}`."
  def published(host), do: GenServer.call(host, :published)

  def info(host), do: GenServer.call(host, :info, @start_ms)

  @doc "Ends the VM as a crash would; nothing of it is left then."
  def stop(host), do: GenServer.call(host, :stop, @start_ms)

  @impl true
  def init(opts) do
    Process.flag(:trap_exit, true)
    state = %{opts: opts, vm: nil, n: 0, published: %{}, open: MapSet.new(), asking: nil, beating: false}
    {:ok, start_vm(state)}
  end

  defp start_vm(%{opts: opts} = state) do
    game = inspect([port: opts[:port], data_dir: opts[:dir]] ++ opts[:game], limit: :infinity)
    %{state | vm: OtherVM.start("GamePlatform.Roulette.Inside.run(#{game}, tell)")}
  end

  @impl true
  def handle_cast(:begin, state) do
    send(self(), :beat)
    {:noreply, %{state | beating: true}}
  end

  @impl true
  def handle_call({:kill, :vm}, _, state) do
    state = state |> end_vm() |> start_vm()
    {:reply, :ok, state}
  end

  def handle_call({:kill, program}, _, state) when is_map_key(@programs, program) do
    state.vm.os_pid |> CrashMatrix.programs(@programs[program]) |> Enum.each(&signal(&1, "KILL"))
    {:reply, :ok, state}
  end

  def handle_call({:kill, process}, _, state) do
    line(state, "kill #{process}")
    {:reply, :ok, state}
  end

  def handle_call(:last_beat, from, state),
    do: {:noreply, ask_last(%{state | beating: false, asking: {:last_beat, from}})}

  def handle_call({:tell, player, count}, from, state) do
    line(state, "tell #{player} #{count}")
    {:noreply, %{state | asking: {:tell, from}}}
  end

  def handle_call(:info, from, state) do
    line(state, "info")
    {:noreply, %{state | asking: {:info, from}}}
  end

  def handle_call(:published, _, state), do: {:reply, state.published, state}

  def handle_call(:stop, _, state) do
    state = end_vm(state)
    {:stop, :normal, :ok, state}
  end

  @impl true
  def handle_info(:beat, %{beating: true} = state) do
    Process.send_after(self(), :beat, state.opts[:beat_ms])
    {:noreply, beat(state)}
  end

  def handle_info(:beat, state), do: {:noreply, state}

  def handle_info({port, {:data, {:eol, "told " <> text}}}, %{vm: %{port: port}} = state) do
    {:noreply, text |> Base.decode64!() |> :erlang.binary_to_term() |> told(state)}
  end

  # It ended, and nobody had asked it to.
  def handle_info({port, {:exit_status, status}}, %{vm: %{port: port}} = state),
    do: {:stop, {:vm_ended, status}, state}

  def handle_info({:EXIT, pid, reason}, state) when is_pid(pid), do: {:stop, reason, state}

  def handle_info({port, {:data, {_, text}}}, %{vm: %{port: port}} = state) do
    IO.puts(:stderr, text)
    {:noreply, state}
  end

  def handle_info(_, state), do: {:noreply, state}

  @impl true
  def terminate(_, %{vm: nil}), do: :ok
  def terminate(_, state), do: end_vm(state)

  defp beat(%{n: n} = state) do
    line(state, "publish #{n + 1}")
    published = Map.put(state.published, n + 1, :unknown)
    %{state | n: n + 1, published: published, open: MapSet.put(state.open, n + 1)}
  end

  # None that was asked for before comes after it.
  defp ask_last(state), do: if(MapSet.size(state.open) == 0, do: beat(state), else: state)

  defp told({:published, n, result}, state) do
    alone? = MapSet.equal?(state.open, MapSet.new([n]))
    state = put_in(state.published[n], result)
    state = %{state | open: MapSet.delete(state.open, n)}

    case {state.asking, result} do
      {{:last_beat, from}, {:ok, _}} when n == state.n and alone? ->
        GenServer.reply(from, n)
        %{state | asking: nil}

      {{:last_beat, _}, _} ->
        ask_last(state)

      _ ->
        state
    end
  end

  defp told({what, value}, %{asking: {asked, from}} = state)
       when {what, asked} in [told: :tell, info: :info] do
    GenServer.reply(from, value)
    %{state | asking: nil}
  end

  defp told(_, state), do: state

  defp line(state, text), do: Port.command(state.vm.port, text <> "\n")

  # Its programs end by themselves, and have removed what was theirs.
  defp end_vm(%{vm: vm} = state) do
    programs = for {_, name} <- @programs, os_pid <- CrashMatrix.programs(vm.os_pid, name), do: os_pid
    signal(vm.os_pid, "KILL")
    state = exited(state)
    GamePlatform.Eventually.wait_until(fn -> not Enum.any?(programs, &GamePlatform.NativePeer.alive?/1) end)
    File.rm_rf!(vm.dir)
    # What it did not answer it never will.
    %{state | vm: nil, open: MapSet.new()}
  end

  # What it said at last counts.
  defp exited(%{vm: %{port: port}} = state) do
    receive do
      {^port, {:exit_status, _}} ->
        state

      {^port, {:data, {:eol, "told " <> text}}} ->
        text |> Base.decode64!() |> :erlang.binary_to_term() |> told(state) |> exited()

      {^port, {:data, _}} ->
        exited(state)
    after
      @start_ms -> raise "the game's VM did not end"
    end
  end
end
