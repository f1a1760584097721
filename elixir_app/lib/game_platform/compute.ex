defmodule GamePlatform.Compute do
  @moduledoc """
  The door to native work: worlds that tick.

  A world is a sphere of hexagonal cells (and twelve pentagons) that a ruleset moves from tick to tick. All
  backends agree bit for bit: equal seed, frequency, ruleset and tick give an equal `digest/1`.

      iex> alias GamePlatform.Compute
      iex> {:ok, world} = Compute.new_world(seed: 7, frequency: 24)
      iex> Compute.advance(world, 200)
      {:ok, 200}
      iex> {:ok, <<_::256>>} = Compute.digest(world)
      iex> {:ok, %{kind: kind, amount: _}} = Compute.cell(world, 0)
      iex> kind in 0..7
      true
      iex> Compute.close(world)
      :ok

  A world lives until `close/1`, or until the process that made it ends: dropping the handle is not enough, and
  a world made in a task is gone with the task. Any process may use the handle. A cell takes six bytes, so the
  largest world takes a gigabyte, and about 15 seconds to make on two cores.

  ## Errors

  Functions answer `{:error, reason}` or `{:error, {reason, details}}`:

    * `{:invalid_option, %{option: _, value: _, expected: _}}`
    * `{:invalid_ruleset, %{file: _, line: _, column: _, reason: _}}`; no `column` if the file cannot be read
    * `{:out_of_memory, %{needed_bytes: _, available_bytes: _}}`: the world is larger than what is free;
      `:out_of_memory` if that shows only when it is made
    * `{:wrong_cells, sentence}`: the option `:cells` does not fit the world
    * `{:name_taken, %{name: _, pid: _}}`
    * `{:native_not_loaded, %{reason: _, hint: _}}`
    * `:closed`, `:timeout`, `:busy` (ticks overtook a read again and again, or a ping found the ring full),
      `:threads` (the system gives no more)
    * `:worker_down` (workers died again and again, or none came up in time), `:corrupt_peer` (a worker wrote what
      cannot be; it is being replaced), `{:worker_refused, %{reason: _}}`
    * `{:worker_not_started | :distribution_not_started | :no_home | :no_directory | :socket_path_too_long |
      :no_socket | :unsupported_otp, %{hint: _, …}}`: the worker cannot be started here; the hint says what to do
    * `{:no_shared_memory, sentence}`: most often too many open files. A world of `:node` takes a descriptor in the
      VM and one in the worker
    * `{:invalid_diff, sentence}`, `{:no_picture, sentence}`, `{:no_snapshot, sentence}`
    * `{:invalid_snapshot, sentence}`: says what is wrong and where; nothing of it was taken in
    * `:too_old`: a tick before the one that the world was restored at
    * `:unknown_player`

  ## When a worker stops

  `tick/1`, `cell/2`, `cells/2`, `player/2`, `players/1`, `outcomes/2` and `diff/3` read memory and are answered at once, whatever the worker does. The others
  wait for it, and if it hangs until that is noticed and it is replaced: two seconds with the defaults of
  `GamePlatform.Worker`, and more if it has been replaced several times in a row. `timeout_ms:` bounds
  `advance/3` and `advance_to/3`, give or take a tenth of a second.
  """

  alias GamePlatform.{Config, Native}

  alias GamePlatform.Compute.{
    Beam,
    Chunks,
    Memory,
    Nif,
    Node,
    Reads,
    Refusal,
    Ring,
    Ruleset,
    Snapshots,
    Submission
  }

  alias GamePlatform.Compute.{Worker, World, Worlds}

  @type world :: World.t()
  @type reason :: atom | {atom, term}
  @type cell_id :: non_neg_integer
  @type chunk :: non_neg_integer
  @type cell :: World.cell()
  @type player :: World.player()
  @type action :: World.action()
  @type reply :: World.reply()
  @type outcome :: World.outcome()

  @backends %{node: Node, nif: Nif, beam: Beam}
  @max_tick Config.max_tick()
  @grace_ms 100
  # The longest that a process can wait.
  @longest_ms 4_294_967_295
  @expected_world "a world, as new_world/1 returns it"

  defguardp is_count(n) when is_integer(n) and n >= 0 and n <= @max_tick

  @doc """
  Makes a world at tick 0 and generates its cells.

  ## Options

  #{Config.docs(:world)}

  ## Examples

      iex> GamePlatform.Compute.new_world(frequency: 0)
      {:error, {:invalid_option, %{option: :frequency, value: 0, expected: "an integer in 1..4096"}}}
  """
  @spec new_world(keyword) :: {:ok, world} | {:error, reason}
  def new_world(opts \\ []) do
    with {:ok, options} <- Config.validate(:world, opts),
         :ok <- Native.status(),
         {:ok, ruleset} <- Ruleset.load(options.ruleset),
         module = Map.fetch!(@backends, options.backend),
         :ok <- Memory.check(module.bytes(options.frequency), options.max_bytes),
         {:ok, pid} <- Worlds.new(module, %{options | ruleset: ruleset}, self()) do
      call(pid, :world)
    end
  end

  @doc """
  Advances `n` ticks from now and waits for the last one, without blocking a scheduler.

  Calls of several processes are done one after another. With `timeout_ms:` the answer is
  `{:error, :timeout}` when the time is over, and the world stays at the tick it has come to; the same
  happens when the caller dies. Progress is reported by `GamePlatform.Telemetry`.

  ## Options

  #{Config.docs(:call)}
  """
  @spec advance(world, non_neg_integer, keyword) :: {:ok, tick :: non_neg_integer} | {:error, reason}
  def advance(world, n, opts \\ [])
  def advance(%World{} = world, n, opts) when is_count(n), do: advance_by(world, {:by, n}, opts)
  def advance(%World{}, n, _), do: Config.invalid(:n, n, "a number of ticks in 0..#{@max_tick}")
  def advance(other, _, _), do: not_a_world(other)

  @doc """
  Advances to an absolute tick. Idempotent: a tick that has passed is answered with the present one.
  """
  @spec advance_to(world, non_neg_integer, keyword) :: {:ok, tick :: non_neg_integer} | {:error, reason}
  def advance_to(world, tick, opts \\ [])
  def advance_to(%World{} = world, tick, opts) when is_count(tick), do: advance_by(world, {:to, tick}, opts)
  def advance_to(%World{}, tick, _), do: Config.invalid(:tick, tick, "a tick in 0..#{@max_tick}")
  def advance_to(other, _, _), do: not_a_world(other)

  defp advance_by(world, goal, opts) do
    with {:ok, %{timeout_ms: timeout_ms}} <- Config.validate(:call, opts),
         do: call(world.pid, {:advance, goal, timeout_ms}, patience(timeout_ms))
  end

  # The world's process answers between two slices, unless its worker has stopped: until that is noticed, the
  # caller is not to wait for it.
  defp patience(:infinity), do: :infinity
  defp patience(timeout_ms), do: min(timeout_ms + @grace_ms, @longest_ms)

  @doc "The last published tick."
  @spec tick(world) :: {:ok, non_neg_integer} | {:error, reason}
  def tick(%World{} = world), do: read(world, :tick, & &1.tick(&2))
  def tick(other), do: not_a_world(other)

  @doc """
  The digest of the whole state: BLAKE3 in the canonical form that `docs/rules.md` describes, equal for
  equal state whatever the backend.
  """
  @spec digest(world) :: {:ok, <<_::256>>} | {:error, reason}
  def digest(%World{} = world), do: call(world.pid, :digest)
  def digest(other), do: not_a_world(other)

  @doc """
  One cell. `kind` is the kind's number and `name` its name in the ruleset. `owner` is the player whose the cell is,
  `grant` the one who has the owner's rights on it, and `machine` what stands there:

    * `recipe` is set for a machine that makes something, `item` for one that sorts or gives an item out
    * `contents`: what could be taken out of it, besides `fuel`, which is nil for machines that burn nothing and has
      `burn`, the ticks that the lit piece still lasts
    * `progress` of the recipe's time; nil while nothing is being made
    * `made`, `spilt` (by-products that had no room) and `lit` (pieces of fuel): counted since it was placed
    * `state`: `:working`; `:waiting` for ingredients or a cell; `:full`; `:no_fuel`; `:no_drive`; `:halted` by fire;
      `:idle`: nothing to do
  """
  @spec cell(world, cell_id) :: {:ok, cell} | {:error, reason}
  def cell(world, id) do
    with {:ok, [cell]} <- cells(world, [id]), do: {:ok, cell}
  end

  @doc "Several cells in the order asked for, all of the same tick. They are read without waiting for a tick."
  @spec cells(world, [cell_id]) :: {:ok, [cell]} | {:error, reason}
  def cells(%World{} = world, ids) do
    with :ok <- check_ids(world, ids), do: fetch(world, :cells, [ids])
  end

  def cells(other, _), do: not_a_world(other)

  @doc """
  Kind and amount of several cells, `{id, kind, amount}` in the order asked for, and the tick that they are of. Unlike
  `cells/2` it does not look at machines and owners, so that thousands cost little.

      iex> alias GamePlatform.Compute
      iex> {:ok, world} = Compute.new_world(seed: 7, frequency: 8)
      iex> {:ok, 0, [{641, kind, _amount}]} = Compute.field(world, [641])
      iex> kind in 0..7
      true
      iex> Compute.close(world)
      :ok
  """
  @spec field(world, [cell_id]) ::
          {:ok, tick :: non_neg_integer, [{cell_id, kind :: 0..7, amount :: 0..0xFFFF}]} | {:error, reason}
  def field(%World{} = world, ids) do
    with :ok <- check_ids(world, ids), {:ok, {tick, cells}} <- fetch(world, :field, [ids]) do
      {:ok, tick, Enum.zip_with(ids, cells, fn id, {kind, amount} -> {id, kind, amount} end)}
    end
  end

  def field(other, _), do: not_a_world(other)

  defp check_ids(world, ids) do
    if is_list(ids) and not List.improper?(ids) do
      case Enum.reject(ids, &(is_integer(&1) and &1 >= 0 and &1 < world.cells)) do
        [] -> :ok
        [id | _] -> Config.invalid(:id, id, "a cell id in 0..#{world.cells - 1}")
      end
    else
      Config.invalid(:ids, ids, "a list of cell ids")
    end
  end

  # Any process reads for itself if it can. Between two slices of the world's process nothing overtakes a
  # read, and that process can repair what is broken.
  defp read(%World{reader: nil} = world, request, _), do: call(world.pid, request)

  defp read(%World{module: module, reader: reader} = world, request, fun) do
    with {:error, reason} when reason in [:busy, :corrupt_peer] <- fun.(module, reader),
         do: call(world.pid, request)
  end

  defp fetch(%World{reader: reader} = world, what, arguments),
    do: read(world, {:read, what, arguments}, fn _, _ -> apply(Reads, what, [world, reader | arguments]) end)

  @doc """
  Gives actions of players to the world, in this order. The next tick that begins executes them all, one after
  another; of two that want the same, the first gets it.

  An action is a map, with atoms or strings as keys: `by`, the name of the player who acts; `action_id`, 1..64 bytes
  that are unique for the player; `action`, and its fields (`docs/actions.md`). `%{action: "join", by: name,
  cell: id}` makes a player; it needs no id and has no outcome. A world takes at most 10,000 actions at once.

  Of each is told whether it was accepted and the `tick` that first shows its effect; for `move`, `gather` and `craft`,
  which take time and are played one after another, that is when they end as things stand. Whether it was applied
  then, `outcomes/2` tells. `durability` says how safe it is that it will be: `:memory`, unless the world is one of an
  instance that keeps it (`GamePlatform.Persistence`). What is refused at once has a `code` and a `message`, has no effect
  and no outcome:

    * `:bad_action`: the message names the field, its value and what is expected
    * `:unknown_player`, `:queue_full`, `:no_economy`, and `:busy`: more than 65,535 actions for one tick
    * `:log_full`, `:log_behind`, `:log_down`: what is accepted cannot be kept at the moment

  An action whose `action_id` the player has used already (it is pending, queued, or among the last 128 outcomes)
  is accepted with the tick of the first one and has no second effect.

      iex> alias GamePlatform.Compute
      iex> {:ok, world} = Compute.new_world(frequency: 8, backend: :beam)
      iex> join = %{action: "join", by: "ann", cell: 300}
      iex> craft = %{action: "craft", by: "ann", action_id: "1", recipe: "twist_cord", count: 2}
      iex> {:ok, [%{status: :accepted, tick: 1}, %{status: :accepted, tick: 41}]} = Compute.submit(world, [join, craft])
      iex> {:ok, 41} = Compute.advance(world, 41)
      iex> Compute.outcomes(world, 0)
      {:ok, [%{action_id: "1", code: nil, outcome: :applied, player: "ann", tick: 41}]}
      iex> {:ok, %{inventory: %{"cord" => 14}}} = Compute.player(world, "ann")
      iex> Compute.close(world)
      :ok
  """
  @spec submit(world, [action]) :: {:ok, [reply]} | {:error, reason}
  def submit(%World{} = world, actions), do: Submission.submit(world, actions, &call(world.pid, &1))
  def submit(other, _), do: not_a_world(other)

  @doc """
  What became of the actions that ended after the tick `since`, in the order in which they did. The world remembers
  the last 128 outcomes of each player. `refusal/2` has a sentence for each code.
  """
  @spec outcomes(world, non_neg_integer) :: {:ok, [outcome]} | {:error, reason}
  def outcomes(%World{} = world, since) when is_count(since), do: fetch(world, :outcomes, [since])
  def outcomes(%World{}, since), do: Config.invalid(:since, since, "a tick in 0..#{@max_tick}")
  def outcomes(other, _), do: not_a_world(other)

  @doc """
  A player: where they are, what they have, and what they are about to do. `busy_until` is the tick that shows the end
  of what is `playing`; after that comes the `queue`. `{:error, :unknown_player}` if none of that name has joined.
  """
  @spec player(world, String.t()) :: {:ok, player} | {:error, reason}
  def player(%World{} = world, name) when is_binary(name), do: fetch(world, :player, [name])
  def player(%World{}, name), do: Config.invalid(:name, name, "the name of a player")
  def player(other, _), do: not_a_world(other)

  @doc "All players in the order in which they joined."
  @spec players(world) :: {:ok, [player]} | {:error, reason}
  def players(%World{} = world), do: fetch(world, :players, [])
  def players(other), do: not_a_world(other)

  @doc """
  What to tell a player whose action was refused with that code, and what they can do about it; nil if there is no
  such code. With the `cell` and its `owner` the sentence names them.

      iex> GamePlatform.Compute.refusal(:queue_full)
      "You have as much to do as you can remember: wait until something is done."

      iex> GamePlatform.Compute.refusal(:not_yours, %{cell: 17, owner: "ann"})
      "Cell 17 is ann's: ask ann for a grant, or use a cell of your own."
  """
  @spec refusal(atom, %{optional(:cell) => cell_id, optional(:owner) => String.t() | nil}) :: String.t() | nil
  defdelegate refusal(code, about \\ %{}), to: Refusal, as: :sentence

  @doc """
  All cells at once, as `{kinds, amounts}` in id order: a byte a cell, and a little-endian 16-bit word a
  cell. `new_world(cells: …)` takes them back.
  """
  @spec planes(world) :: {:ok, tick :: non_neg_integer, {binary, binary}} | {:error, reason}
  def planes(%World{} = world) do
    with {:ok, tick, kinds, amounts} <- call(world.pid, :planes), do: {:ok, tick, {kinds, amounts}}
  end

  def planes(other), do: not_a_world(other)

  @doc """
  What has changed since tick `since`, read from the world's memory: no ticker is asked, and none waits. It
  leads from the cells of that tick to the present ones; `apply_diff/2` does it. Rows that have not acted
  since are left out, and a diff of the last few ticks tells single cells.

      iex> alias GamePlatform.Compute
      iex> {:ok, world} = Compute.new_world(seed: 7, frequency: 8)
      iex> {:ok, 0, planes} = Compute.planes(world)
      iex> {:ok, 40} = Compute.advance(world, 40)
      iex> {:ok, diff} = Compute.diff(world, 0)
      iex> Compute.apply_diff(planes, diff) == Compute.planes(world)
      true
      iex> Compute.close(world)
      :ok

  The format is in `docs/ipc.md`. A world can tell since its first tick; `:too_old` is for the ticks
  before one that was restored.
  """
  @spec diff(world, non_neg_integer, keyword) :: {:ok, binary} | {:error, reason}
  def diff(world, since, opts \\ [])

  def diff(%World{} = world, since, opts) when is_count(since) do
    with {:ok, _} <- Config.validate(:diff, opts),
         {:error, {:future, tick}} <- read(world, {:diff, since}, & &1.diff(&2, since)) do
      Config.invalid(:since, since, "a tick in 0..#{tick}")
    end
  end

  def diff(%World{}, since, _), do: Config.invalid(:since, since, "a tick in 0..#{@max_tick}")
  def diff(other, _, _), do: not_a_world(other)

  @doc """
  The whole state of the published tick as bytes that need nothing else: the ruleset, the field, machines, players,
  their queues and remembered outcomes. `restore/2` makes a world of them, on any backend. Actions that were taken in
  and not executed yet are not in it.

  Ticks go on meanwhile, except while what stands on the cells is copied, and throughout for `:beam` or if ticks
  are so fast that they overtake the copying three times. The format is in `docs/persistence.md`.

      iex> alias GamePlatform.Compute
      iex> {:ok, world} = Compute.new_world(seed: 7, frequency: 8, backend: :nif)
      iex> {:ok, 40} = Compute.advance(world, 40)
      iex> {:ok, snapshot} = Compute.snapshot(world)
      iex> {:ok, copy} = Compute.restore(snapshot, backend: :beam)
      iex> Compute.tick(copy)
      {:ok, 40}
      iex> Compute.digest(copy) == Compute.digest(world)
      true
      iex> {Compute.close(world), Compute.close(copy)}
      {:ok, :ok}
  """
  @spec snapshot(world) :: {:ok, binary} | {:error, reason}
  def snapshot(%World{} = world), do: Snapshots.take(world, &call(world.pid, &1))
  def snapshot(other), do: not_a_world(other)

  @doc """
  A world that goes on from a snapshot, bit for bit as the one did that it was taken of. Frequency, seed and ruleset
  are the snapshot's. Bytes that were changed are refused with `{:invalid_snapshot, sentence}`. `diff/3` cannot tell
  what changed before: `{:error, :too_old}`.

  ## Options

  #{Config.docs(:restore)}
  """
  @spec restore(binary, keyword) :: {:ok, world} | {:error, reason}
  def restore(snapshot, opts \\ []) do
    with {:ok, options} <- Config.validate(:restore, opts),
         {:ok, pid} <- Snapshots.restore(snapshot, Map.fetch!(@backends, options.backend), options) do
      call(pid, :world)
    end
  end

  @doc """
  What a snapshot is of: `version`, `frequency`, `seed`, `tick`, `digest`, `ruleset` (its text) and `ruleset_hash`.
  Every check in it is compared; whether the content has that digest shows when it is restored.
  """
  @spec snapshot_info(binary) :: {:ok, map} | {:error, reason}
  defdelegate snapshot_info(snapshot), to: Snapshots, as: :info

  @doc """
  Where two snapshots differ first, in the order of chunks and cells: `{:differs, %{chunk: _, cell: _, what: sentence}}`.
  Both are nil if what differs is the world itself or its tick; or, with all cells equal, a player or an outcome.
  """
  @spec compare(binary, binary) ::
          :equal
          | {:differs, %{chunk: chunk | nil, cell: cell_id | nil, what: String.t()}}
          | {:error, reason}
  defdelegate compare(a, b), to: Snapshots

  @doc """
  Planes changed as a diff says, with the tick that they are of then. The planes must be those of the tick
  that the diff begins at, or of one between that and its end.
  """
  @spec apply_diff({binary, binary}, binary) ::
          {:ok, tick :: non_neg_integer, {binary, binary}} | {:error, reason}
  def apply_diff({kinds, amounts}, diff) when is_binary(kinds) and is_binary(amounts) and is_binary(diff) do
    case Native.field_patch(kinds, amounts, diff) do
      {:ok, tick, kinds, amounts} -> {:ok, tick, {kinds, amounts}}
      {:error, sentence} -> {:error, {:invalid_diff, sentence}}
    end
  end

  def apply_diff({kinds, amounts}, diff) when is_binary(kinds) and is_binary(amounts),
    do: Config.invalid(:diff, diff, "a binary, as diff/3 returns it")

  def apply_diff(planes, _), do: Config.invalid(:planes, planes, "{kinds, amounts}, as planes/1 returns them")

  @doc """
  All cells of the published tick as one message, in the format of `diff/3`. `apply_diff/2` takes it, and so does
  every client that takes diffs.

      iex> alias GamePlatform.Compute
      iex> {:ok, world} = Compute.new_world(seed: 7, frequency: 8)
      iex> {:ok, 0, <<"gpk1", 8::32-little, _::binary>>} = Compute.keyframe(world)
      iex> Compute.close(world)
      :ok

  ## Options

  #{Config.docs(:keyframe)}
  """
  @spec keyframe(world, keyword) :: {:ok, tick :: non_neg_integer, binary} | {:error, reason}
  def keyframe(world, opts \\ [])

  def keyframe(%World{frequency: frequency} = world, opts) do
    with {:ok, %{chunks: chunks}} <- Config.validate(:keyframe, opts),
         :ok <- Chunks.check(frequency, chunks || []),
         {:ok, tick, {kinds, amounts}} <- planes(world) do
      {:ok, tick, Native.field_keyframe(frequency, tick, kinds, amounts, chunks)}
    end
  end

  def keyframe(other, _), do: not_a_world(other)

  @doc """
  The cells of one chunk, as `field/2` gives them. No more of the world is read than these, however large it is.

      iex> alias GamePlatform.Compute
      iex> {:ok, world} = Compute.new_world(seed: 7, frequency: 8)
      iex> {:ok, 0, cells} = Compute.chunk(world, 0)
      iex> length(cells)
      64
      iex> Compute.close(world)
      :ok
  """
  @spec chunk(world, chunk) :: {:ok, tick :: non_neg_integer, [tuple]} | {:error, reason}
  def chunk(%World{} = world, chunk) do
    with {:ok, rows} <- Chunks.rows(world.frequency, chunk), do: field(world, Enum.concat(rows))
  end

  def chunk(other, _), do: not_a_world(other)

  @doc "The keyframe of one chunk, as `keyframe/2` gives it, without reading more of the world."
  @spec chunk_keyframe(world, chunk) :: {:ok, tick :: non_neg_integer, binary} | {:error, reason}
  def chunk_keyframe(%World{frequency: frequency} = world, chunk) do
    with {:ok, rows} <- Chunks.rows(frequency, chunk),
         {:ok, tick, cells} <- field(world, Enum.concat(rows)) do
      {:ok, tick, Chunks.keyframe(frequency, tick, rows, cells)}
    end
  end

  def chunk_keyframe(other, _), do: not_a_world(other)

  @doc """
  Cuts a diff into those of its chunks, as far as they are in `chunks` and something is told of them. A chunk is a
  window of at most 64 × 64 cells of a diamond, or a pole (`docs/rules.md`).
  """
  @spec split_diff(binary, [chunk]) :: {:ok, [{chunk, binary}]} | {:error, reason}
  defdelegate split_diff(diff, chunks), to: Chunks, as: :split

  @doc """
  The chunks that have a cell at most `radius` steps (0..1024) from `cell`, in order.

      iex> GamePlatform.Compute.chunks_around(64, 2080, 3)
      {:ok, [0]}
  """
  @spec chunks_around(pos_integer, cell_id, non_neg_integer) :: {:ok, [chunk]} | {:error, reason}
  defdelegate chunks_around(frequency, cell, radius), to: Chunks, as: :around

  @doc """
  How many chunks a world of that frequency has, each pole one of its own.

      iex> GamePlatform.Compute.chunks(65)
      42
  """
  @spec chunks(pos_integer) :: pos_integer | {:error, reason}
  defdelegate chunks(frequency), to: Chunks, as: :count

  @doc """
  The ids around a cell in order of direction, each a left turn from the one before: six, or five at the
  twelve pentagons. Ids are `0..10·f²+1`.

      iex> GamePlatform.Compute.neighbours(24, 0)
      [1, 576, 5760, 2304, 2305, 24]
  """
  @spec neighbours(pos_integer, cell_id) :: [cell_id] | {:error, reason}
  defdelegate neighbours(frequency, id), to: Chunks

  @doc """
  A picture of the planet as a PNG, in orthographic projection.

  ## Options

  #{Config.docs(:picture)}
  """
  @spec picture(world, keyword) :: {:ok, png :: binary} | {:error, reason}
  def picture(world, opts \\ []) do
    with {:ok, options} <- Config.validate(:picture, opts),
         {:ok, _tick, {kinds, amounts}} <- planes(world) do
      view = {options.size, options.longitude / 1, options.latitude / 1}

      case Native.picture_png(world.frequency, kinds, amounts, view) do
        {:ok, png} -> {:ok, png}
        {:error, sentence} -> {:error, {:no_picture, sentence}}
      end
    end
  end

  @doc """
  The handle of a world that was made with `name:`. For the world of a running instance see
  `GamePlatform.world/1`.
  """
  @spec world(GenServer.name()) :: {:ok, world} | {:error, reason}
  def world(name) do
    with {:ok, name} <- Config.check(:name, name),
         {:ok, pid} <- Worlds.lookup(name),
         do: call(pid, :world)
  end

  @doc """
  One round trip to a compute worker through shared memory, in nanoseconds.

  The worker stays awake for some microseconds after a request, so the second of two in a row is what a busy
  one costs.

  ## Options

  #{Config.docs(:ping)}
  """
  @spec ping(keyword) :: {:ok, nanoseconds :: pos_integer} | {:error, reason}
  def ping(opts \\ [])
  # Checking options takes longer than the round trip.
  def ping([]), do: ping(Worker.default(), :infinity)

  def ping(opts) do
    with {:ok, %{worker: worker, timeout_ms: timeout_ms}} <- Config.validate(:ping, opts),
         do: ping(worker, timeout_ms)
  end

  defp ping(worker, timeout_ms) do
    with :ok <- Native.status(), {:ok, up} <- Worker.up(worker, timeout_ms) do
      with {:error, :corrupt_peer} = error <- Ring.ping(up.ring, timeout_ms) do
        Worker.report_corrupt(worker, up, "ping")
        error
      end
    end
  end

  @doc """
  What computes here: `backend` is the default one, `backends` all of them, `doorbell` how sleeping peers are
  woken, and `workers` the processes that run now. Of each:

    * `name`, `node`, `os_pid`, `state` (`:starting`, `:up`, `:down` or `:backoff`), `generation`, `restarts`,
      `last_exit`
    * `in_flight` of `slots`: calls under way
    * `submitted` calls; `hits`: answered while the caller spun; `parks`: answered by message; `wakes`: the worker had
      to be woken; `busy`: refused
    * `taken`, `sleeps`, `spins_won` (found work while it stayed awake), `beat`, `progress`: what the worker counts
  """
  @spec info() :: %{atom => term}
  def info do
    native = if Native.status() == :ok, do: Native.native_info(), else: %{}

    Map.merge(
      %{backend: :node, backends: Map.keys(@backends), doorbell: :futex, workers: Worker.infos()},
      native
    )
  end

  @doc "Closes a world and gives its memory back. Closing twice is fine."
  @spec close(world) :: :ok | {:error, reason}
  def close(%World{} = world) do
    case call(world.pid, :close) do
      :ok -> :ok
      # Its process is gone, and with it the world.
      {:error, reason} when reason in [:closed, :worker_down] -> :ok
    end
  end

  def close(other), do: not_a_world(other)

  defp not_a_world(other), do: Config.invalid(:world, other, @expected_world)

  # A world's process ends with its world, so an exit is the answer to the call.
  defp call(server, request, timeout \\ :infinity) do
    GenServer.call(server, request, timeout)
  catch
    :exit, {:timeout, {GenServer, :call, _}} -> {:error, :timeout}
    :exit, {{:shutdown, reason}, {GenServer, :call, _}} -> {:error, reason}
    :exit, {reason, {GenServer, :call, _}} when reason in [:noproc, :normal, :shutdown] -> {:error, :closed}
    :exit, {_, {GenServer, :call, _}} -> {:error, :worker_down}
  end
end
