defmodule GamePlatform.Compute.Backend do
  @moduledoc false
  # What a compute backend does. One process owns the state and makes all calls; what `reader/1` returns may
  # be given to `tick/1`, `cells/2`, `diff/2`, `sites/2`, `players/1` and `outcomes/2` by any process. The last three,
  # and `act/3`, are for worlds whose ruleset has an economy.
  #
  # Long work comes in slices of about `slice_us` microseconds, so that the owner can answer and give
  # up in between; a tick that a slice ends in goes on in the next one.

  @type state :: term
  @type ruleset :: GamePlatform.Compute.Ruleset.t()
  @type options :: %{
          frequency: pos_integer,
          seed: non_neg_integer,
          threads: pos_integer,
          ruleset: ruleset,
          worker: atom
        }
  @type cell :: {kind :: 0..7, amount :: 0..65535}
  @type outcome ::
          {player :: pos_integer, tick :: pos_integer, seq :: non_neg_integer, code :: byte, id :: binary}

  @doc "Bytes that a world of this frequency takes."
  @callback bytes(frequency :: pos_integer) :: pos_integer
  @doc "A world at tick 0, without cells."
  @callback new(options) :: {:ok, state} | {:error, term}
  @doc "Generates the first state; true once it is whole."
  @callback generate(state, slice_us :: pos_integer) :: {:ok, boolean, state} | {:error, term}
  @doc "Starts from given planes: kinds as bytes, amounts as little-endian 16-bit words, in id order."
  @callback fill(state, kinds :: binary, amounts :: binary) :: {:ok, state} | {:error, term}
  @doc "Ticks towards `target`; true once it is reached. A target that has passed is reached."
  @callback advance(state, target :: non_neg_integer, slice_us :: pos_integer) ::
              {:ok, tick :: non_neg_integer, boolean, state} | {:error, term} | {:error, term, state}
  @doc "The canonical digest."
  @callback digest(state) :: {:ok, <<_::256>>, state} | {:error, term}
  @doc "The last published tick."
  @callback tick(state) :: {:ok, non_neg_integer} | {:error, term}
  @doc "Cells by id, all at one tick. The ids exist."
  @callback cells(state, [non_neg_integer]) :: {:ok, non_neg_integer, [cell]} | {:error, term}
  @doc "All cells as planes, as `fill/3` takes them."
  @callback planes(state) :: {:ok, tick :: non_neg_integer, binary, binary} | {:error, term}
  @doc "What has changed since a tick, in the form of `native/hexworld/src/diff.rs`."
  @callback diff(state, since :: non_neg_integer) ::
              {:ok, binary} | {:error, {:future, tick :: non_neg_integer} | :too_old | term}
  @doc """
  Gives the actions of a tick, which are taken in when it is executed. For the published tick they replace what was
  given before; the owner does that only until the tick has begun. Those of a tick that is done are ignored.
  """
  @callback act(state, tick :: non_neg_integer, batch :: binary) :: {:ok, state} | {:error, term}
  @doc "Cells with the machines' canonical bytes and the owners (0: nobody), all at one tick. The ids exist."
  @callback sites(state, [non_neg_integer]) ::
              {:ok, tick :: non_neg_integer, [GamePlatform.Compute.Objects.site()]} | {:error, term}
  @doc "The players' canonical bytes by number."
  @callback players(state) :: {:ok, tick :: non_neg_integer, [binary]} | {:error, term}
  @doc "What became of actions: of the results still kept those seen after tick `since`, in order of `seq`."
  @callback outcomes(state, since :: non_neg_integer) :: {:ok, [outcome]} | {:error, term}
  @doc """
  Starts a fresh world from a snapshot of one with the same frequency, seed and ruleset, in place of `generate/2` and
  `fill/3`. Tells the snapshot's tick, which is the published one then.
  """
  @callback load(state, snapshot :: binary) ::
              {:ok, tick :: non_neg_integer, state} | {:error, {:invalid_snapshot, String.t()} | term}
  @doc """
  Copies the published state for `encode/2`. Given what `reader/1` returned, and called by any process while the owner
  lets no tick begin or go on; `{:captured, ref}` is sent to `owner` once it may, or nothing if `owner` is nil. Given
  the state, the owner calls it itself. `{:error, :busy}` if ticks went on all the same and were too fast.
  """
  @callback capture(state_or_reader :: term, owner :: pid | nil, ref :: reference) ::
              {:ok, captured :: term} | {:error, term}
  @doc "The snapshot of what was captured, with the text of the world's ruleset. Any process may call it."
  @callback encode(captured :: term, ruleset_text :: binary) ::
              {:ok, tick :: non_neg_integer, snapshot :: binary} | {:error, term}
  @doc """
  From now on a world whose memory is lost is made again from the snapshot of `tick` that `read` returns, and not from
  before. A backend without it has nothing to make again.
  """
  @callback rebase(state, tick :: non_neg_integer, read :: fun) :: state
  @optional_callbacks rebase: 3
  @doc "Called when a read answered `:corrupt_peer`: makes the world whole again."
  @callback repair(state) :: {:ok, state} | {:error, term}
  @doc "What any process can read published cells and ticks with, or nil if only the owner can."
  @callback reader(state) :: term
  @doc "Gives everything back."
  @callback close(state) :: :ok
end
