defmodule GamePlatform.Compute.World do
  @moduledoc """
  A handle on a world, as `GamePlatform.Compute.new_world/1` returns it.

  It may be sent to other processes. The fields that may be read: `frequency`, `seed`, `backend`, `name`,
  `cells` (how many) and `kinds` (names, by kind).
  """

  @enforce_keys [:pid, :backend, :module, :frequency, :seed, :cells, :kinds]
  defstruct [:pid, :backend, :module, :reader, :frequency, :seed, :cells, :kinds, :name]

  @type t :: %__MODULE__{
          pid: pid,
          backend: :node | :nif | :beam,
          module: module,
          reader: term,
          frequency: pos_integer,
          seed: non_neg_integer,
          cells: pos_integer,
          kinds: [String.t()],
          name: GenServer.name() | nil
        }

  defimpl Inspect do
    def inspect(world, _opts) do
      name = if world.name, do: " #{Kernel.inspect(world.name)}", else: ""
      "#GamePlatform.World<#{world.backend}#{name} frequency #{world.frequency} seed #{world.seed}>"
    end
  end
end
