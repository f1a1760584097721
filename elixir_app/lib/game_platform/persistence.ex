defmodule GamePlatform.Persistence do
  @moduledoc """
  What outlives a running platform: worlds in a data directory, their restart, forks, and a look at their past.

  An instance that is given `data_dir:` (`GamePlatform.start_link/1`) keeps its world there; `info/1` tells how that goes:

    * **The event log.** An action is written to the log before it is executed, and its player is told that it was
      accepted when it is on the disk. The log also has the tick that executed it, so what a world was at any tick
      follows from what it was before.
    * **Snapshots.** Every so often, and when the instance is stopped, the whole world is written to a file. A few are
      kept; the log is kept from the oldest of them on.
    * **Durability.** The answer to an accepted action says how safe it is. `logged`: on the disk; it happens whatever
      dies. `stored`: in the SQL store too, which is the same file. `memory`: not on the disk yet, so a crash loses it
      unless it got there before; what is executed always is. The option `:durability` says by name of an action what
      the answer waits for; after two seconds of waiting it says what there is.
    * **A full or slow disk.** Ticks go on. While the disk is full actions are refused with `log_full`, and while too many
      wait with `log_behind`; that ends by itself. A slow disk delays actions by some ticks.
    * **Restart.** However an instance ended, the next one takes the newest sound snapshot, executes again what the log
      has from there on, each action in its tick, and goes on where the one before stopped; what was accepted and not
      executed yet is executed then. A damaged snapshot is named in the log and left out; a damaged event log stops
      the start with a line that names the place.

  The functions here only read, whether the directory is in use or not: `worlds/2` tells what there is, `view/4` shows
  a world as it was, `replay/3` runs the log again and holds it against the snapshots, and `fork/3` makes a directory of
  its own from any tick that is kept. They start a `gp_link` of their own, which ends with them.

  ## Errors

  Beside those of `GamePlatform.Compute`:

    * `{:data_dir, %{dir: _, reason: _, hint: _}}`: the directory cannot be used; it may be in use, of a newer version,
      or none
    * `{:event_log, %{dir: _, reason: _, hint: sentence}}`: the log cannot be opened or read
    * `{:unknown_world, %{known: ids, hint: sentence}}`, `{:world_exists, %{hint: sentence}}`
    * `{:not_covered, %{first: tick, last: tick, hint: sentence}}`: nothing is kept of that tick
    * `{:no_snapshot, %{hint: sentence}}`: all snapshots that would be needed are damaged
    * `{:snapshot_file, %{file: _, hint: sentence}}`: it cannot be written

  The files are described in `docs/persistence.md`.
  """

  alias GamePlatform.{Compute, Config, Instance, Native}
  alias GamePlatform.Persistence.{Check, DataDir, Fork, History, Link, Log, Snapshots, Snapshotter}

  @options [:backend, :threads, :worker, :max_bytes]
  @id ~r/\A[a-z0-9_-]{1,64}\z/

  @type id :: String.t()
  @type tick :: non_neg_integer

  @doc """
  How a running instance keeps its world; nil if it does not, or is not running.

    * `log`: `status` (`:ok`, `:down` without a link, or the code that actions are refused with), `waiting` (actions
      that are not on the disk yet), `durable` (the number of the last one that is), `commits`, `failures`,
      `commit_us` (how long the last commit took)
    * `snapshots`: `tick`, `bytes`, `duration_us` and `age_s` of the last one, `taken`, `failures`, and `error`, a sentence
      while the last turn failed
    * `link`: what `gp_link` counts, such as `db_bytes` and `wal_bytes`, and its `os_pid`; nil if it does not tell in time
  """
  @spec info(atom) :: %{log: map, snapshots: map, link: map | nil} | nil
  def info(game \\ GamePlatform) do
    [link, log, snapshotter] = for part <- [:link, :log, :snapshotter], do: Instance.via(game, part)

    if Process.whereis(Instance.registry(game)) && GenServer.whereis(log),
      do: %{log: Log.info(log), snapshots: Snapshotter.info(snapshotter), link: Link.stats(link)}
  catch
    # A part is being started again.
    :exit, _ -> nil
  end

  @doc """
  The worlds of a directory in the order of their ids: `id`, `seed`, `frequency`, `tick` (where a restart goes on),
  `snapshots` (their ticks, the newest first), `first_tick` (the log is complete from there on) and `actions`
  (how many the log has).
  """
  @spec worlds(Path.t(), keyword) :: {:ok, [%{atom => term}]} | {:error, History.error()}
  def worlds(dir, opts \\ []) do
    with {:ok, _} <- options(opts, []), :ok <- Native.status() do
      History.worlds(dir, opts, fn %{info: info, meta: meta} = history ->
        %{
          id: history.id,
          seed: meta.seed,
          frequency: meta.frequency,
          tick: history.last,
          snapshots: Snapshots.list(history.path, history.id),
          first_tick: info.first_tick,
          actions: info.entries
        }
      end)
    end
  end

  @doc """
  A world as it was at a tick, or at `:newest`. It can be read like any other and answers `{:error, :read_only}` to
  whoever would act in it or advance it. Close it with `GamePlatform.Compute.close/1`.

  ## Options

    * `:backend`, `:threads`, `:worker`, `:max_bytes`: as `GamePlatform.Compute.restore/2` takes them
    * `:progress`: a function, called about once a second with `%{tick: _, from: _, until: _, actions: _}`
  """
  @spec view(Path.t(), id, tick | :newest, keyword) :: {:ok, Compute.world()} | {:error, History.error()}
  def view(dir, world, tick, opts \\ []) do
    with {:ok, _} <- options(opts, []), :ok <- History.check_tick(:tick, tick) do
      with_history(dir, world, opts, &History.view(&1, tick, opts))
    end
  end

  @doc """
  Makes a data directory from a world as it was at a tick: an instance that is started with it goes on from there, bit
  for bit as the original did if nobody acts. It holds the world and one snapshot of it, and nothing that had been
  accepted and was not executed yet. The original is only read.

  Answers `%{dir: _, world: id, tick: _, digest: _}`.

  ## Options

    * `:to`: the directory, which is made if there is none, and must not be in use; required
    * `:at`: the tick, or `:newest`, which is the default
    * `:as`: the id of the world there, which it must not have; default the same
    * and those of `view/4`
  """
  @spec fork(Path.t(), id, keyword) ::
          {:ok, %{dir: Path.t(), world: id, tick: tick, digest: <<_::256>>}} | {:error, History.error()}
  def fork(dir, world, opts) do
    with {:ok, own} <- options(opts, [:to, :at, :as]),
         own = Map.merge(%{at: :newest, as: world}, own),
         :ok <- if(is_binary(own[:to]), do: :ok, else: Config.invalid(:to, own[:to], "a directory")),
         :ok <- check_id(:as, own.as),
         :ok <- History.check_tick(:at, own.at) do
      with_history(dir, world, opts, &Fork.make(&1, own, opts))
    end
  end

  @doc """
  Runs again what the log has, from the oldest snapshot that is kept (or from the beginning, if the log has it) to a
  tick, and compares each snapshot on the way with what comes of it. It ends at the first that differs.

  The report has `from`, `until`, `tick` (how far it came), `actions`, `digest` (of what was replayed), `equal` (ticks of
  snapshots that agree), `damaged` (`{tick, sentence}` of those that cannot be compared), and `differs`: nil, or
  `%{after: _, tick: _, chunk: _, cell: _, what: sentence}`: in one of the ticks between `after` and `tick` the two
  parted, and at `tick` that cell is the first that shows it.

  ## Options

    * `:until`: the tick, or `:newest`, which is the default
    * `:told`: a function, called with `{:equal, tick}` or `{:damaged, tick, sentence}` as snapshots are met
    * and those of `view/4`
  """
  @spec replay(Path.t(), id, keyword) :: {:ok, %{atom => term}} | {:error, History.error()}
  def replay(dir, world, opts \\ []) do
    with {:ok, own} <- options(opts, [:until, :told]),
         own = Map.merge(%{until: :newest, told: fn _ -> :ok end}, own),
         :ok <- History.check_tick(:until, own.until) do
      with_history(dir, world, opts, &Check.run(&1, own.until, opts, own.told))
    end
  end

  @doc """
  An error of this module as one line.

      iex> {:error, error} = GamePlatform.Persistence.worlds("/no/such/directory")
      iex> GamePlatform.Persistence.describe(error)
      "data directory /no/such/directory does not exist: give one that a server has used, with --data-dir"
  """
  @spec describe(History.error()) :: String.t()
  def describe({:data_dir, _} = error), do: DataDir.describe(error)
  def describe({_, %{hint: hint}}), do: hint

  defp with_history(dir, world, opts, fun) do
    with :ok <- Native.status(),
         :ok <- check_id(:world, world),
         {:ok, history} <- History.open(dir, world, opts) do
      try do
        fun.(history)
      after
        History.close(history)
      end
    end
  end

  defp check_id(name, id) do
    if is_binary(id) and id =~ @id,
      do: :ok,
      else: Config.invalid(name, id, "the id of a world, 1..64 of the characters a-z, 0-9, _ and -")
  end

  # The own ones as a map; those of worlds are checked here, before anything is done.
  defp options(opts, own) do
    known = own ++ @options ++ [:progress, :native]

    cond do
      not Keyword.keyword?(opts) ->
        Config.invalid(:opts, opts, "a keyword list")

      unknown = Enum.find(opts, fn {key, _} -> key not in known end) ->
        {key, value} = unknown
        Config.invalid(key, value, "one of the options #{Enum.join(known, ", ")}")

      true ->
        with {:ok, _} <- Config.validate(:restore, Keyword.take(opts, @options)),
             do: {:ok, opts |> Keyword.take(own) |> Map.new()}
    end
  end
end
