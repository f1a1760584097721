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

  defimpl Inspect do
    def inspect(world, _opts) do
      name = if world.name, do: " #{Kernel.inspect(world.name)}", else: ""
      "#GamePlatform.World<#{world.backend}#{name} frequency #{world.frequency} seed #{world.seed}>"
    end
  end
end
