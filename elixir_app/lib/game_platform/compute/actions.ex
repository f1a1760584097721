defmodule GamePlatform.Compute.Actions do
  @moduledoc false
  # From the maps that clients send to numbered actions and the bytes of a batch (`docs/actions.md`). Everything
  # here comes from outside: every field is looked at, and a wrong one is named with what is expected.

  alias GamePlatform.Compute.World

  @max_actions 10_000
  @max_batch 65_535
  @max_text 64
  @none 0xFF
  # Names that a sentence lists.
  @listed 8
  @shown_bytes 40

  # By name: the number, when its effect is seen, and its fields in the order of the bytes.
  @table %{
    "join" => {0, :join, [:cell]},
    "move" => {1, :body, [:cell]},
    "gather" => {2, :body, [:cell]},
    "claim" => {3, :instant, [:cell]},
    "release" => {4, :instant, [:cell]},
    "place" => {5, :instant, [:cell, :prototype, :direction]},
    "remove" => {6, :instant, [:cell]},
    "rotate" => {7, :instant, [:cell, :direction]},
    "set_recipe" => {8, :instant, [:cell, :recipe]},
    "take" => {9, :instant, [:cell, :item, {:count, 60_000}]},
    "put" => {10, :instant, [:cell, :item, {:count, 60_000}]},
    "craft" => {11, :body, [:craft, {:count, 1_000}]},
    "grant" => {12, :instant, [:cell, :player]}
  }
  @names @table |> Enum.sort_by(fn {_, {op, _, _}} -> op end) |> Enum.map(&elem(&1, 0))

  @typedoc "`arg` is the cell, or the recipe of a craft; `shown` is the id to answer with."
  @type t :: %{
          by: String.t(),
          id: String.t(),
          shown: String.t(),
          op: 0..12,
          type: :join | :body | :instant,
          arg: non_neg_integer,
          count: non_neg_integer,
          bytes: binary
        }
  @type refusal :: {:refused, id :: String.t() | nil, code :: atom, sentence :: String.t()}

  def max_actions, do: @max_actions
  def max_batch, do: @max_batch
  @doc "Names of actions in the order of their numbers."
  def names, do: @names

  @doc "What an action of the body is called, by its number."
  @spec body(non_neg_integer) :: String.t() | nil
  def body(op) do
    with name when is_binary(name) <- Enum.at(@names, op),
         {_, :body, _} <- @table[name],
         do: name,
         else: (_ -> nil)
  end

  @doc "One action, for a world with an economy."
  @spec check(World.t(), term) :: {:ok, t} | refusal
  def check(%World{} = world, action) when is_map(action) do
    with {:ok, {op, type, fields}} <- kind(action),
         {:ok, by} <-
           named(action, :by, "the name of the player who acts, a string of 1..#{@max_text} bytes"),
         {:ok, id} <- id(action, type),
         {:ok, values} <- values(fields, action, world) do
      bytes = IO.iodata_to_binary([text(by), text(id), op | Enum.map(values, &encode/1)])
      {arg, count} = argument(values)
      shown = shown_id(action) || id
      {:ok, %{by: by, id: id, shown: shown, op: op, type: type, arg: arg, count: count, bytes: bytes}}
    else
      {:wrong, sentence} -> {:refused, shown_id(action), :bad_action, sentence}
    end
  end

  def check(_, other), do: {:refused, nil, :bad_action, "the action is #{shown(other)}, expected an object"}

  @doc "The id to answer with, if there is one that can be."
  @spec shown_id(term) :: String.t() | nil
  def shown_id(action) when is_map(action) do
    with {:ok, id} <- fetch(action, :action_id), true <- text?(id), do: id, else: (_ -> nil)
  end

  def shown_id(_), do: nil

  @doc "The bytes of a batch from those of its actions."
  @spec batch([binary]) :: binary
  def batch(actions) do
    IO.iodata_to_binary([
      <<length(actions)::16-little>> | Enum.map(actions, &[<<byte_size(&1)::16-little>>, &1])
    ])
  end

  @doc "An action from its bytes, which `check/2` made."
  @spec read(binary) :: t
  def read(<<n, by::binary-size(n), m, id::binary-size(m), op, rest::binary>> = bytes) do
    {^op, type, _} = @table[Enum.at(@names, op)]
    {arg, count} = read(type, op, rest)
    %{by: by, id: id, shown: id, op: op, type: type, arg: arg, count: count, bytes: bytes}
  end

  @craft elem(@table["craft"], 0)
  defp read(:body, @craft, <<recipe, count::16-little>>), do: {recipe, count}
  defp read(:body, _, <<cell::32-little>>), do: {cell, 0}
  # Of others nobody asks.
  defp read(_, _, _), do: {0, 0}

  defp kind(action) do
    with {:ok, name} <- fetch(action, :action),
         {:ok, known} <- if(is_binary(name), do: Map.fetch(@table, name)) do
      {:ok, known}
    else
      _ -> wrong(action, :action, "one of #{Enum.join(@names, ", ")}")
    end
  end

  # A player joins once, whatever it is called.
  defp id(action, :join) do
    case fetch(action, :action_id) do
      :error -> {:ok, "join"}
      {:ok, nil} -> {:ok, "join"}
      {:ok, _} -> with {:ok, _} <- id(action, nil), do: {:ok, "join"}
    end
  end

  defp id(action, _), do: named(action, :action_id, "a string of 1..#{@max_text} bytes")

  defp named(action, field, expected) do
    with {:ok, text} <- fetch(action, field), true <- text?(text) do
      {:ok, text}
    else
      _ -> wrong(action, field, expected)
    end
  end

  defp text?(text), do: is_binary(text) and byte_size(text) in 1..@max_text and String.valid?(text)

  defp values(fields, action, world) do
    Enum.reduce_while(fields, {:ok, []}, fn field, {:ok, values} ->
      case value(field, action, world) do
        {:ok, value} -> {:cont, {:ok, values ++ [value]}}
        wrong -> {:halt, wrong}
      end
    end)
  end

  defp value(:cell, action, %{cells: cells}) do
    with {:ok, cell} <- whole(action, :cell, 0, cells - 1, "a cell id in 0..#{cells - 1}"),
         do: {:ok, {:cell, cell}}
  end

  defp value(:direction, action, _) do
    with {:ok, direction} <- whole(action, :direction, 0, 5, "a direction in 0..5"),
         do: {:ok, {:byte, direction}}
  end

  defp value({:count, max}, action, _) do
    with {:ok, count} <- whole(action, :count, 1, max, "a whole number in 1..#{max}"),
         do: {:ok, {:count, count}}
  end

  defp value(:prototype, action, %{index: %{prototype_ids: ids} = index}),
    do: lookup(action, :prototype, ids, "a machine: #{list(index.prototypes, & &1["name"])}")

  defp value(:item, action, %{index: %{item_ids: ids} = index}),
    do: lookup(action, :item, ids, "an item: #{list(index.items, & &1)}")

  defp value(:craft, action, %{index: %{recipe_ids: ids} = index}) do
    with {:ok, {:byte, id}} <- lookup(action, :recipe, ids, "a recipe: #{list(index.recipes, & &1["name"])}"),
         do: {:ok, {:recipe, id}}
  end

  # A recipe for a craft, an item for a sorter or a depot; which it is shows at the machine.
  defp value(:recipe, action, %{index: index}) do
    with {:ok, name} <- fetch(action, :recipe),
         {:ok, pair} <- recipe_or_item(index, name) do
      {:ok, pair}
    else
      _ -> wrong(action, :recipe, "a recipe, an item or null, such as #{list(index.recipes, & &1["name"])}")
    end
  end

  defp value(:player, action, _) do
    case fetch(action, :player) do
      {:ok, nil} -> {:ok, {:text, ""}}
      _ -> with {:ok, name} <- named(action, :player, "a player's name or null"), do: {:ok, {:text, name}}
    end
  end

  defp recipe_or_item(_, nil), do: {:ok, {:either, @none, @none}}

  defp recipe_or_item(index, name) do
    case {index.recipe_ids[name], index.item_ids[name]} do
      {nil, nil} -> :error
      {recipe, item} -> {:ok, {:either, recipe || @none, item || @none}}
    end
  end

  defp lookup(action, field, ids, expected) do
    with {:ok, name} <- fetch(action, field), {:ok, id} <- Map.fetch(ids, name) do
      {:ok, {:byte, id}}
    else
      :error -> wrong(action, field, expected)
    end
  end

  defp whole(action, field, low, high, expected) do
    case fetch(action, field) do
      {:ok, n} when is_integer(n) and n >= low and n <= high -> {:ok, n}
      _ -> wrong(action, field, expected)
    end
  end

  defp encode({:cell, cell}), do: <<cell::32-little>>
  defp encode({:count, count}), do: <<count::16-little>>
  defp encode({:either, recipe, item}), do: <<recipe, item>>
  defp encode({:text, name}), do: text(name)
  defp encode({_, byte}), do: byte

  defp argument([{:recipe, id}, {:count, count}]), do: {id, count}
  defp argument([{:cell, cell} | _]), do: {cell, 0}

  defp text(text), do: [byte_size(text), text]

  # JSON gives strings as keys, Elixir atoms.
  defp fetch(action, field) do
    with :error <- Map.fetch(action, field), do: Map.fetch(action, Atom.to_string(field))
  end

  defp wrong(action, field, expected) do
    case fetch(action, field) do
      {:ok, value} -> {:wrong, "#{field} is #{shown(value)}, expected #{expected}"}
      :error -> {:wrong, "#{field} is missing, expected #{expected}"}
    end
  end

  defp list(tuple, name) do
    listed = tuple |> Tuple.to_list() |> Enum.take(@listed) |> Enum.map_join(", ", name)
    if tuple_size(tuple) > @listed, do: listed <> ", …", else: listed
  end

  # Short whatever it is; `inspect/1` would write out a number of a million digits, and run the code of structs.
  defp shown(nil), do: "null"
  defp shown(atom) when is_atom(atom), do: inspect(atom)
  defp shown(n) when is_integer(n) and abs(n) <= 0xFFFF_FFFF_FFFF_FFFF, do: Integer.to_string(n)
  defp shown(n) when is_integer(n), do: "a number of more than 64 bits"
  defp shown(n) when is_float(n), do: Float.to_string(n)
  defp shown(text) when is_binary(text) and byte_size(text) <= @shown_bytes, do: inspect(text)
  defp shown(text) when is_binary(text), do: "a string of #{byte_size(text)} bytes"
  defp shown(list) when is_list(list), do: "a list"
  defp shown(map) when is_map(map), do: "an object"
  defp shown(_), do: "a term"
end
