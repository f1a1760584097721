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
    * `:closed`, `:timeout`, `:busy` (ticks overtook a read again and again), `:threads` (the system gives no
      more), `:worker_down`
  """

  alias GamePlatform.{Config, Native}
  alias GamePlatform.Compute.{Beam, Memory, Nif, Ruleset, World, WorldProcess}
  alias GamePlatform.Compute.Beam.Topology

  @type world :: World.t()
  @type reason :: atom | {atom, term}
  @type cell_id :: non_neg_integer
  @type cell :: %{
          id: cell_id,
          kind: 0..7,
          name: String.t(),
          amount: 0..65535,
          machine: nil,
          owner: nil
        }

  @backends %{nif: Nif, beam: Beam}
  @max_tick Config.max_tick()
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
         {:ok, pid} <- start(module, %{options | ruleset: ruleset}) do
      call(pid, :world)
    end
  end

  defp start(module, options) do
    case WorldProcess.start(module, options, self()) do
      {:ok, pid} -> {:ok, pid}
      {:error, {:already_started, pid}} -> {:error, {:name_taken, %{name: options.name, pid: pid}}}
      {:error, {:shutdown, reason}} -> {:error, reason}
      {:error, _} -> {:error, :worker_down}
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
         do: call(world.pid, {:advance, goal, timeout_ms})
  end

  @doc "The last published tick."
  @spec tick(world) :: {:ok, non_neg_integer} | {:error, reason}
  def tick(%World{reader: nil} = world), do: call(world.pid, :tick)
  def tick(%World{module: module, reader: reader}), do: module.tick(reader)
  def tick(other), do: not_a_world(other)

  @doc """
  The digest of the whole state: BLAKE3 in the canonical form that `docs/rules.md` describes, equal for
  equal state whatever the backend.
  """
  @spec digest(world) :: {:ok, <<_::256>>} | {:error, reason}
  def digest(%World{} = world), do: call(world.pid, :digest)
  def digest(other), do: not_a_world(other)

  @doc """
  One cell. `kind` is the kind's number and `name` its name in the ruleset; `machine` and `owner` are nil.
  """
  @spec cell(world, cell_id) :: {:ok, cell} | {:error, reason}
  def cell(world, id) do
    with {:ok, [cell]} <- cells(world, [id]), do: {:ok, cell}
  end

  @doc "Several cells in the order asked for, all of the same tick. They are read without waiting for a tick."
  @spec cells(world, [cell_id]) :: {:ok, [cell]} | {:error, reason}
  def cells(%World{} = world, ids) do
    with :ok <- check_ids(world, ids),
         {:ok, _tick, cells} <- read_cells(world, ids) do
      {:ok, Enum.zip_with(ids, cells, &cell_map(world, &1, &2))}
    end
  end

  def cells(other, _), do: not_a_world(other)

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

  defp read_cells(%World{reader: nil} = world, ids), do: call(world.pid, {:cells, ids})

  defp read_cells(%World{module: module, reader: reader} = world, ids) do
    # Between two slices of its owner nothing overtakes the read.
    with {:error, :busy} <- module.cells(reader, ids), do: call(world.pid, {:cells, ids})
  end

  defp cell_map(world, id, {kind, amount}) do
    %{id: id, kind: kind, name: Enum.at(world.kinds, kind), amount: amount, machine: nil, owner: nil}
  end

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
  The ids around a cell in order of direction, each a left turn from the one before: six, or five at the
  twelve pentagons. Ids are `0..10·f²+1`.

      iex> GamePlatform.Compute.neighbours(24, 0)
      [1, 576, 5760, 2304, 2305, 24]
  """
  @spec neighbours(pos_integer, cell_id) :: [cell_id] | {:error, reason}
  def neighbours(frequency, id) do
    with {:ok, frequency} <- Config.check(:frequency, frequency) do
      last = Topology.cells(frequency) - 1

      if is_integer(id) and id >= 0 and id <= last,
        do: Topology.neighbours(frequency, id),
        else: Config.invalid(:id, id, "a cell id in 0..#{last}")
    end
  end

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
    with {:ok, name} <- Config.check(:name, name) do
      pid = if name, do: GenServer.whereis(name)

      cond do
        pid == nil -> {:error, :closed}
        WorldProcess.world?(pid) -> call(pid, :world)
        true -> Config.invalid(:name, name, "the name of a world")
      end
    end
  end

  @doc """
  What computes here: `backend` is the default one, `backends` all of them; `workers` and `doorbell` are
  empty while worlds are computed inside the BEAM.
  """
  @spec info() :: %{atom => term}
  def info do
    native = if Native.status() == :ok, do: Native.native_info(), else: %{}

    Map.merge(
      %{backend: :nif, backends: Map.keys(@backends), doorbell: nil, workers: []},
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
  defp call(server, request) do
    GenServer.call(server, request, :infinity)
  catch
    :exit, {{:shutdown, reason}, {GenServer, :call, _}} -> {:error, reason}
    :exit, {reason, {GenServer, :call, _}} when reason in [:noproc, :normal, :shutdown] -> {:error, :closed}
    :exit, {_, {GenServer, :call, _}} -> {:error, :worker_down}
  end
end
