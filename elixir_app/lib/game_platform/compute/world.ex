defmodule GamePlatform.Compute.World do
  @moduledoc """
  A handle on a world, as `GamePlatform.Compute.new_world/1` returns it.

  It may be sent to other processes. The fields that may be read: `frequency`, `seed`, `backend`, `name`,
  `cells` (how many), `kinds` (names, by kind) and `economy` (what the ruleset says of items, machines, recipes,
  harvests and claims, with string keys and ids in the order of the file; nil if it says nothing).
  """

  @enforce_keys [:pid, :backend, :module, :frequency, :seed, :cells, :kinds]
  # `index` is the economy for the room's own use, `names` the table of players' names and numbers.
  defstruct [
    :pid,
    :backend,
    :module,
    :reader,
    :frequency,
    :seed,
    :cells,
    :kinds,
    :name,
    :economy,
    :index,
    :names
  ]

  @type t :: %__MODULE__{
          pid: pid,
          backend: :node | :nif | :beam,
          module: module,
          reader: term,
          frequency: pos_integer,
          seed: non_neg_integer,
          cells: pos_integer,
          kinds: [String.t()],
          name: GenServer.name() | nil,
          economy: map | nil,
          index: GamePlatform.Compute.Economy.t() | nil,
          names: :ets.tid() | nil
        }

  @type cell :: %{
          id: non_neg_integer,
          kind: 0..7,
          name: String.t(),
          amount: 0..65535,
          machine: machine | nil,
          owner: String.t() | nil,
          grant: String.t() | nil
        }
  @typedoc "What stands on a cell; see `GamePlatform.Compute.cell/2`."
  @type machine :: %{
          prototype: String.t(),
          direction: 0..5,
          recipe: String.t() | nil,
          item: String.t() | nil,
          state: :working | :waiting | :full | :no_fuel | :no_drive | :halted | :idle,
          contents: %{String.t() => pos_integer},
          fuel: %{item: String.t() | nil, count: 0..20, burn: 0..65535} | nil,
          progress: non_neg_integer | nil,
          made: non_neg_integer,
          spilt: non_neg_integer,
          lit: non_neg_integer
        }
  @typedoc "With atoms or strings as keys; see `GamePlatform.Compute.submit/2`."
  @type action :: map
  @type reply :: %{
          action_id: String.t() | nil,
          status: :accepted | :refused,
          code: atom | nil,
          message: String.t() | nil,
          tick: non_neg_integer | nil,
          durability: :memory | :logged | :stored | nil
        }
  @type outcome :: %{
          player: String.t(),
          action_id: String.t(),
          outcome: :applied | :refused,
          code: atom | nil,
          tick: pos_integer
        }
  @type player :: %{
          name: String.t(),
          number: pos_integer,
          position: non_neg_integer,
          home: non_neg_integer,
          claims: non_neg_integer,
          inventory: %{String.t() => pos_integer},
          busy_until: pos_integer | nil,
          playing: map | nil,
          queue: [map]
        }

  defimpl Inspect do
    def inspect(world, _opts) do
      name = if world.name, do: " #{Kernel.inspect(world.name)}", else: ""
      "#GamePlatform.World<#{world.backend}#{name} frequency #{world.frequency} seed #{world.seed}>"
    end
  end
end
