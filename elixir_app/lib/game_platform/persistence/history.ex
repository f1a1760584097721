defmodule GamePlatform.Persistence.History do
  @moduledoc false
  # The past of a world in a data directory, which is only read, whether somebody uses it or not: snapshots, and the
  # batches of the log that lead from one to any later tick.
  #
  # Who uses the directory may remove what is old meanwhile. Files are read whole before they are used, and after
  # batches were read, the log is asked whether all of them were there.

  alias GamePlatform.{Compute, Config}
  alias GamePlatform.Compute.WorldProcess
  alias GamePlatform.Persistence.{DataDir, Link, Meta, Snapshots}

  # Of the log, at once.
  @batch_bytes 4 * 1_048_576
  @report_ms 1_000
  # What is old may be removed again and again.
  @tries 3
  @world_options [:backend, :threads, :worker, :max_bytes]

  @enforce_keys [:dir, :path, :id, :link]
  # `dir` as it was given. `info` is what the log says of the world, `last` the newest tick that can be shown.
  defstruct [:dir, :path, :id, :link, :info, :meta, :last]

  @type t :: %__MODULE__{}
  @type tick :: non_neg_integer
  @typedoc "What a world begins with: a snapshot, or nil for the state that is generated."
  @type base :: %{tick: tick, snapshot: binary | nil}
  @type progress :: %{tick: tick, from: tick, until: tick, actions: non_neg_integer}
  @type error :: {atom, map} | Compute.reason()

  @doc """
  Opens the history of a world, for the calling process, until `close/1`. `native:` is for `gp_link`, as
  `GamePlatform.NativeNode.start_link/1` takes it.

  `{:error, {:unknown_world, %{known: ids, hint: _}}}` if the directory has no such world; `{:data_dir, _}` as
  `DataDir.read/1`; `{:event_log, %{dir: _, reason: _, hint: _}}` if the log cannot be read.
  """
  @spec open(Path.t(), Snapshots.id(), keyword) :: {:ok, t} | {:error, error}
  def open(dir, id, opts \\ []) do
    with {:ok, history} <- connect(dir, id, opts) do
      case refresh(history) do
        {:ok, history} ->
          {:ok, history}

        error ->
          close(history)
          error
      end
    end
  end

  defp connect(dir, id, opts) do
    with {:ok, %{path: path}} <- DataDir.read(dir),
         {:ok, link} <- Link.open(%{dir: path, mode: :read, native: Keyword.get(opts, :native, [])}) do
      {:ok, %__MODULE__{dir: dir, path: path, id: id, link: link}}
    else
      error -> told(error, dir)
    end
  end

  @doc "Ends what `open/3` began."
  @spec close(t) :: :ok
  def close(%__MODULE__{link: link}), do: Link.close(link)

  @doc "The worlds of a directory, in order, each as a history that is good for as long as `fun` runs."
  @spec worlds(Path.t(), keyword, (t -> term)) :: {:ok, [term]} | {:error, error}
  def worlds(dir, opts, fun) do
    with {:ok, history} <- connect(dir, nil, opts) do
      try do
        with {:ok, ids} <- ids(history), do: each(ids, history, fun, [])
      after
        close(history)
      end
    end
  end

  defp each([], _, _, done), do: {:ok, Enum.reverse(done)}

  defp each([id | ids], history, fun, done) do
    with {:ok, world} <- refresh(%{history | id: id}), do: each(ids, history, fun, [fun.(world) | done])
  end

  @doc "The history with what has been added to it meanwhile."
  @spec refresh(t) :: {:ok, t} | {:error, error}
  def refresh(%__MODULE__{} = history) do
    with {:ok, info} <- info(history), {:ok, meta} <- Meta.decode(info.meta) do
      {found, _} = Snapshots.search(history.path, history.id, :newest, meta)
      newest = with {:ok, tick, _} <- found, do: tick, else: (_ -> 0)
      {:ok, %{history | info: info, meta: meta, last: Enum.max([newest, info.marked_tick + 1, info.reached])}}
    end
  end

  defp info(%{id: id, dir: dir} = history) do
    with {:ok, %{meta: meta} = info} <- call(history, {:world, id}),
         false <- Meta.mail?(meta) do
      {:ok, info}
    else
      {:error, {:event_log, %{reason: reason}}} = error when reason != :unknown_world ->
        error

      _ ->
        with {:ok, known} <- ids(history) do
          has = if known == [], do: "none", else: Enum.join(known, ", ")
          hint = "#{dir} has no world #{inspect(id)}: those that it has are #{has}"
          {:error, {:unknown_world, %{dir: dir, world: id, known: known, hint: hint}}}
        end
    end
  end

  # The log has messages to clients as well, as a world beside each.
  defp ids(history) do
    with {:ok, ids} <- call(history, :worlds) do
      ids
      |> Enum.reduce_while([], fn id, found ->
        case call(history, {:world, id}) do
          {:ok, %{meta: meta}} -> {:cont, if(Meta.mail?(meta), do: found, else: [id | found])}
          error -> {:halt, error}
        end
      end)
      |> case do
        found when is_list(found) -> {:ok, Enum.reverse(found)}
        error -> error
      end
    end
  end

  @doc """
  What a world of that tick is made from: the newest sound snapshot of it or of a tick before, or the state that is
  generated, if the log has all that happened since. `{:error, {:not_covered, %{first: _, last: _}}}` if the tick is
  older than all of that, or has not come yet.
  """
  @spec base(t, tick) :: {:ok, base} | {:error, error}
  def base(%__MODULE__{last: last} = history, tick) when tick > last, do: not_covered(history, tick)

  def base(%__MODULE__{info: info} = history, tick) do
    case Snapshots.newest_good(history.path, history.id, tick, history.meta) do
      {:ok, found, binary} when found >= info.first_tick -> {:ok, %{tick: found, snapshot: binary}}
      _ when info.complete -> {:ok, %{tick: 0, snapshot: nil}}
      _ -> not_covered(history, tick)
    end
  end

  @doc "What the oldest world is made from that can be."
  @spec oldest(t) :: {:ok, base} | {:error, error}
  def oldest(%__MODULE__{info: %{complete: true}}), do: {:ok, %{tick: 0, snapshot: nil}}

  def oldest(%__MODULE__{info: %{first_tick: first}} = history) do
    history.path
    |> Snapshots.list(history.id)
    |> Enum.reverse()
    |> Enum.find_value(fn tick ->
      with true <- tick >= first,
           {:ok, binary, _} <- Snapshots.good(history.path, history.id, tick, history.meta),
           do: {:ok, %{tick: tick, snapshot: binary}},
           else: (_ -> nil)
    end) || {:error, {:no_snapshot, about(history, %{hint: no_snapshot(history)})}}
  end

  defp no_snapshot(%{id: id, dir: dir, info: %{first_tick: first}}) do
    "the log of world #{id} in #{dir} begins at tick #{first}, and there is no sound snapshot of that tick or a later " <>
      "one: put one back from a backup into worlds/#{id}"
  end

  defp not_covered(history, tick) do
    with {:ok, %{tick: first}} <- oldest(history) do
      hint = "tick #{tick} of world #{history.id} is not kept: #{history.dir} has #{first}..#{history.last}"
      {:error, {:not_covered, about(history, %{first: first, last: history.last, hint: hint})}}
    end
  end

  defp about(history, details), do: Map.merge(%{dir: history.dir, world: history.id}, details)

  @doc """
  A world at that tick, which goes on as any other.

    * `backend:`, `threads:`, `worker:`, `max_bytes:` as `GamePlatform.Compute.restore/2` takes them
    * `progress:` is called about once a second with `%{tick: _, from: _, until: _, actions: _}`
  """
  @spec replay(t, tick | :newest, keyword) :: {:ok, Compute.world(), progress} | {:error, error}
  def replay(history, until, opts \\ []), do: replay(history, until, opts, @tries)

  defp replay(history, until, opts, tries) do
    tick = if until == :newest, do: history.last, else: until

    with {:ok, base} <- base(history, tick),
         {:ok, world, base} <- start(history, base, opts) do
      case run(history, world, base.tick, tick, opts) do
        {:ok, done} ->
          {:ok, world, done}

        {:error, :pruned} when tries > 1 ->
          Compute.close(world)
          with {:ok, history} <- refresh(history), do: replay(history, until, opts, tries - 1)

        error ->
          Compute.close(world)
          told(error, history.dir)
      end
    end
  end

  @doc "A world that is nothing but its base; the base before it, if a snapshot turns out to be unusable."
  @spec start(t, base, keyword) :: {:ok, Compute.world(), base} | {:error, error}
  def start(%__MODULE__{meta: meta}, %{snapshot: nil} = base, opts) do
    own = [seed: meta.seed, frequency: meta.frequency, ruleset: {:text, meta.ruleset}]
    with {:ok, world} <- Compute.new_world(own ++ Keyword.take(opts, @world_options)), do: {:ok, world, base}
  end

  def start(history, %{tick: tick, snapshot: binary} = base, opts) do
    case Compute.restore(binary, Keyword.take(opts, @world_options)) do
      {:ok, world} ->
        {:ok, world, base}

      {:error, {:invalid_snapshot, _}} when tick > 0 ->
        with {:ok, base} <- base(history, tick - 1), do: start(history, base, opts)

      error ->
        error
    end
  end

  @doc """
  Takes a world that is at the tick `from` on to `until`. `{:error, :pruned}` if some of what happened between them has
  been removed meanwhile.
  """
  @spec run(t, Compute.world(), tick, tick, keyword) :: {:ok, progress} | {:error, :pruned | error}
  def run(history, world, from, until, opts) do
    report = opts[:progress] || fn _ -> :ok end
    done = %{tick: from, from: from, until: until, actions: 0}

    with {:ok, done} <- batches(history, world, done, report),
         {:ok, %{first_tick: first}} <- info(history),
         do: if(first <= from, do: {:ok, done}, else: {:error, :pruned})
  end

  defp batches(history, world, %{tick: tick, until: until} = done, report) do
    with {:ok, batches, more?} <- call(history, {:batches, history.id, tick, @batch_bytes}) do
      {now, later} = Enum.split_while(batches, fn {tick, _, _} -> tick < until end)
      all? = later != [] or not more?
      next = if all?, do: until, else: elem(List.last(now), 0) + 1
      actions = for {_, _, <<count::16-little, _::binary>>} <- now, reduce: 0, do: (sum -> sum + count)
      now = for {tick, _, batch} <- now, do: {tick, batch}

      with :ok <- feed(world, now, next, done, report) do
        done = %{done | tick: next, actions: done.actions + actions}
        if all?, do: {:ok, done}, else: batches(history, world, done, report)
      end
    end
  end

  # In another process, so that this one can tell how it goes.
  defp feed(world, batches, next, done, report) do
    task = Task.async(fn -> WorldProcess.replay(world.pid, batches, next) end)
    wait(task, world, done, report)
  end

  defp wait(task, world, done, report) do
    case Task.yield(task, @report_ms) do
      {:ok, {:ok, _}} ->
        :ok

      {:ok, error} ->
        error

      nil ->
        with {:ok, tick} <- Compute.tick(world), do: report.(%{done | tick: tick})
        wait(task, world, done, report)
    end
  end

  @doc "A world that shows a tick of the past, and that nobody can change."
  @spec view(t, tick | :newest, keyword) :: {:ok, Compute.world()} | {:error, error}
  def view(history, tick, opts \\ []) do
    with {:ok, world, _} <- replay(history, tick, opts),
         :ok <- WorldProcess.freeze(world.pid),
         do: {:ok, world}
  end

  defp call(%{link: link, dir: dir}, request), do: link |> Link.call(request) |> told(dir)

  @doc "An error of the log in the form of other errors; anything else as it is."
  @spec told(term, Path.t()) :: term
  def told({:error, {reason, sentence}}, dir) when is_binary(sentence) and reason != :invalid_snapshot,
    do: {:error, {:event_log, %{dir: dir, reason: reason, hint: sentence}}}

  def told({:error, reason}, dir) when reason in [:link_down, :pruned] do
    hint =
      if reason == :pruned,
        do: "#{dir} is used, and what was read of it is removed again and again: keep more snapshots",
        else: "gp_link, which reads #{dir}, does not start: see the log above"

    {:error, {:event_log, %{dir: dir, reason: reason, hint: hint}}}
  end

  def told(answer, _), do: answer

  @doc "A tick that was asked for, checked."
  @spec check_tick(atom, term) :: :ok | {:error, Config.error()}
  def check_tick(_, :newest), do: :ok

  def check_tick(name, tick) do
    if is_integer(tick) and tick in 0..Config.max_tick(),
      do: :ok,
      else: Config.invalid(name, tick, "a tick in 0..#{Config.max_tick()}, or :newest")
  end
end
