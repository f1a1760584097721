defmodule GamePlatform.Compute.Beam.Factory.Batch do
  @moduledoc false
  # The bytes of a tick's actions, as maps. Names have become numbers outside; here it is only seen that
  # every number is one.

  @none 0xFF

  # {:ok, actions} or {:error, {:invalid_batch, sentence}}.
  def decode(batch, limits) do
    with <<count::16-little, rest::binary>> <- batch,
         {:ok, bodies} <- bodies(rest, count, []) do
      actions = Enum.map(bodies, &action(&1, limits))
      wrong = Enum.find_index(actions, &(&1 == nil))
      if wrong, do: invalid("action #{wrong} is none"), else: {:ok, actions}
    else
      _ -> invalid("not a count and as many actions")
    end
  end

  defp invalid(sentence), do: {:error, {:invalid_batch, sentence}}

  defp bodies(<<>>, 0, bodies), do: {:ok, Enum.reverse(bodies)}

  defp bodies(<<size::16-little, body::binary-size(size), rest::binary>>, count, bodies) when count > 0,
    do: bodies(rest, count - 1, [body | bodies])

  defp bodies(_, _, _), do: :error

  # nil if the bytes are no action of this world.
  defp action(body, limits) do
    with <<size, name::binary-size(size), rest::binary>> <- body,
         <<id_size, id::binary-size(id_size), op, fields::binary>> <- rest,
         true <- text?(name) and id_size in 1..64,
         %{} = action <- fields(op, fields),
         true <- Enum.all?(action, &known?(&1, limits)) do
      Map.merge(action, %{name: name, id: id})
    else
      _ -> nil
    end
  end

  defp fields(0, <<cell::32-little>>), do: %{op: :join, cell: cell}
  defp fields(1, <<cell::32-little>>), do: %{op: :move, cell: cell}
  defp fields(2, <<cell::32-little>>), do: %{op: :gather, cell: cell}
  defp fields(3, <<cell::32-little>>), do: %{op: :claim, cell: cell}
  defp fields(4, <<cell::32-little>>), do: %{op: :release, cell: cell}

  defp fields(5, <<cell::32-little, prototype, direction>>),
    do: %{op: :place, cell: cell, prototype: prototype, direction: direction}

  defp fields(6, <<cell::32-little>>), do: %{op: :remove, cell: cell}
  defp fields(7, <<cell::32-little, direction>>), do: %{op: :rotate, cell: cell, direction: direction}

  defp fields(8, <<cell::32-little, recipe, item>>),
    do: %{op: :set_recipe, cell: cell, recipe: id(recipe), item: id(item)}

  defp fields(9, <<cell::32-little, item, count::16-little>>),
    do: %{op: :take, cell: cell, item: item, count: count}

  defp fields(10, <<cell::32-little, item, count::16-little>>),
    do: %{op: :put, cell: cell, item: item, count: count}

  defp fields(11, <<recipe, count::16-little>>), do: %{op: :craft, recipe: recipe, count: count}

  defp fields(12, <<cell::32-little, 0>>), do: %{op: :grant, cell: cell, grantee: nil}

  defp fields(12, <<cell::32-little, size, name::binary-size(size)>>),
    do: if(text?(name), do: %{op: :grant, cell: cell, grantee: name})

  defp fields(_, _), do: nil

  defp id(@none), do: nil
  defp id(id), do: id

  defp known?({_, nil}, _), do: true
  defp known?({:cell, cell}, limits), do: cell < limits.cells
  defp known?({:direction, direction}, _), do: direction < 6
  defp known?({:prototype, prototype}, limits), do: prototype < limits.prototypes
  defp known?({:recipe, recipe}, limits), do: recipe < limits.recipes
  defp known?({:item, item}, limits), do: item < limits.items
  defp known?({:count, count}, _), do: count in 1..60000
  defp known?(_, _), do: true

  defp text?(name), do: byte_size(name) in 1..64 and String.valid?(name)
end
