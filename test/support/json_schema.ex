defmodule GamePlatform.JSONSchema do
  @moduledoc "Whether a term is as a schema of OpenAPI 3.0 says, as far as `GamePlatformWeb.API.Schemas` uses them."

  @doc "What is wrong, as sentences with a path; none if nothing is."
  def faults(term, schema, schemas, at \\ "$")

  def faults(term, %{"$ref" => "#/components/schemas/" <> name}, schemas, at),
    do: faults(term, Map.fetch!(schemas, name), schemas, at)

  def faults(nil, %{"nullable" => true}, _, _), do: []

  def faults(term, %{"oneOf" => choices}, schemas, at) do
    case Enum.count(choices, &(faults(term, &1, schemas, at) == [])) do
      1 -> []
      n -> ["#{at}: #{n} of #{length(choices)} fit"]
    end
  end

  def faults(term, schema, schemas, at) do
    if type?(schema["type"], term),
      do: bounds(term, schema, at) ++ inside(term, schema, schemas, at),
      else: ["#{at}: #{inspect(term, limit: 5)} is no #{schema["type"]}"]
  end

  defp type?("object", term), do: is_map(term)
  defp type?("array", term), do: is_list(term)
  defp type?("string", term), do: is_binary(term)
  defp type?("integer", term), do: is_integer(term)

  defp bounds(term, schema, at) do
    size = if is_binary(term), do: String.length(term), else: is_list(term) && length(term)

    rules = [
      {"minimum", &(term >= &1)},
      {"maximum", &(term <= &1)},
      {"minItems", &(size >= &1)},
      {"maxItems", &(size <= &1)},
      {"minLength", &(size >= &1)},
      {"maxLength", &(size <= &1)},
      {"enum", &(term in &1)},
      {"pattern", &Regex.match?(Regex.compile!(&1, "u"), term)}
    ]

    for {rule, fits?} <- rules,
        bound = schema[rule],
        not fits?.(bound),
        do: "#{at}: #{rule} #{inspect(bound)}"
  end

  defp inside(%{} = term, schema, schemas, at) do
    missing = for name <- schema["required"] || [], not is_map_key(term, name), do: "#{at}.#{name} is missing"
    properties = schema["properties"] || %{}

    missing ++
      Enum.flat_map(term, fn {name, value} ->
        case properties[name] || schema["additionalProperties"] do
          nil -> []
          schema -> faults(value, schema, schemas, "#{at}.#{name}")
        end
      end)
  end

  defp inside(list, %{"items" => items}, schemas, at) when is_list(list) do
    list
    |> Enum.with_index()
    |> Enum.flat_map(fn {term, n} -> faults(term, items, schemas, "#{at}[#{n}]") end)
  end

  defp inside(_, _, _, _), do: []
end
