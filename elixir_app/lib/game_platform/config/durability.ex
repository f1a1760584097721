defmodule GamePlatform.Config.Durability do
  @moduledoc false
  # How durable actions are when they are answered: a map from names of actions, or "default", to classes; as text
  # "logged,move=memory,gather=memory".

  alias GamePlatform.Compute.Actions

  @classes [memory: "memory", logged: "logged", stored: "stored"]

  def parse(text) do
    text
    |> String.split(",")
    |> Enum.map(&String.split(String.trim(&1), "="))
    |> Enum.reduce_while({:ok, %{}}, fn part, {:ok, classes} ->
      {name, text} =
        case part do
          [text] -> {"default", text}
          [name, text] -> {name, text}
          _ -> {nil, nil}
        end

      case List.keyfind(@classes, text, 1) do
        {class, _} when not is_map_key(classes, name) -> {:cont, {:ok, Map.put(classes, name, class)}}
        _ -> {:halt, :error}
      end
    end)
  end

  def fits?(classes) when is_map(classes) and not is_struct(classes) do
    known = ["default" | Actions.names()]

    Enum.all?(classes, fn {name, class} ->
      name in known and is_atom(class) and is_map_key(Map.new(@classes), class)
    end)
  end

  def fits?(_), do: false

  def expected, do: ~s(a map of "default" and names of actions to :memory, :logged or :stored)

  def expected_text,
    do: "memory, logged or stored, and then others as ACTION=CLASS, such as logged,move=memory"
end
