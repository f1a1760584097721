defmodule GamePlatformWeb.API.Params do
  @moduledoc false
  # What comes with a request, read as the table of routes says. Text is strict: a number has one spelling.

  alias GamePlatform.JSON
  alias GamePlatform.Sessions.SessionId
  alias GamePlatformWeb.API.Errors

  @body_bytes 262_144
  @name_bytes 40
  @guest_bytes 16..128

  @doc "How large a body may be."
  @spec body_bytes() :: pos_integer
  def body_bytes, do: @body_bytes

  @doc "The raw query as a map; the last of a name counts."
  @spec query(String.t() | nil) :: {:ok, %{String.t() => String.t()}} | Errors.error()
  def query(text) when text in [nil, ""], do: {:ok, %{}}

  def query(text) do
    with true <- encoded?(text),
         query = URI.decode_query(text),
         true <- Enum.all?(query, fn {name, value} -> String.valid?(name) and String.valid?(value) end) do
      {:ok, query}
    else
      false -> bad_query()
    end
  end

  @doc "Whether each % begins a byte: not all versions of `URI` mind."
  @spec encoded?(binary) :: boolean
  def encoded?(text), do: not (text =~ ~r/%(?![0-9A-Fa-f]{2})/)

  defp bad_query,
    do: Errors.error(:malformed, field: "query", message: "The query is not URL-encoded UTF-8: encode it.")

  @doc "The values of a route's parameters; those that were not sent are left out."
  @spec read([tuple], map, map, map) :: {:ok, map} | Errors.error()
  def read(params, path, query, body) do
    Enum.reduce_while(params, {:ok, %{}}, fn {where, name, type}, {:ok, values} ->
      given =
        case where do
          :path -> Map.fetch(path, name)
          :query -> Map.fetch(query, Atom.to_string(name))
          # In JSON, null is as good as nothing.
          :body -> with {:ok, nil} <- Map.fetch(body, Atom.to_string(name)), do: :error
        end

      with {:ok, text} <- given, {:ok, value} <- value(type, name, text) do
        {:cont, {:ok, Map.put(values, name, value)}}
      else
        :error -> {:cont, {:ok, values}}
        error -> {:halt, error}
      end
    end)
  end

  defp value({:integer, low, high}, name, text) do
    with true <- is_binary(text) and byte_size(text) <= 16 and text =~ ~r/\A(0|[1-9][0-9]*)\z/,
         n = String.to_integer(text),
         true <- n >= low and n <= high do
      {:ok, n}
    else
      _ -> out_of_range(name, low, high)
    end
  end

  defp value({:in, values}, name, text) do
    if text in values,
      do: {:ok, text},
      else: Errors.error(:out_of_range, field: name, message: "#{name} is one of #{Enum.join(values, ", ")}")
  end

  # Whether it is there is asked later.
  defp value(type, _, text) when type in [:session, :world] and is_binary(text), do: {:ok, text}

  defp value(:world, name, _),
    do: Errors.error(:out_of_range, field: name, message: "world is a string, such as main")

  defp value(type, _, text) when type in [:name, :guest] and is_binary(text), do: {:ok, text}

  defp value(type, name, _),
    do: Errors.error(:out_of_range, field: name, message: "#{name} is a string, #{about(type)}")

  defp about(:name), do: "of 1..#{@name_bytes} bytes: letters, digits, spaces, _ . and -"
  defp about(:guest), do: "a secret of 16..128 bytes that you have chosen"

  @doc "The error of a number that does not fit."
  @spec out_of_range(atom | String.t(), integer, integer) :: Errors.error()
  def out_of_range(name, low, high),
    do:
      Errors.error(:out_of_range,
        field: name,
        limit: high,
        message: "#{name} is an integer in #{low}..#{high}"
      )

  @doc "The terms of a JSON body; nil for an empty one. Any content type will do."
  @spec json(binary) :: {:ok, term} | Errors.error()
  def json(""), do: {:ok, nil}

  def json(body) when byte_size(body) > @body_bytes,
    do:
      Errors.error(:too_large,
        limit: @body_bytes,
        message: "A body has at most #{@body_bytes} bytes: send less at a time."
      )

  def json(body) do
    with true <- String.valid?(body) || "it is not UTF-8", {:ok, term} <- JSON.decode(body) do
      {:ok, term}
    else
      {:error, {:invalid_json, reason}} -> bad_body(reason)
      reason -> bad_body(reason)
    end
  end

  defp bad_body(reason) do
    Errors.error(:malformed, field: "body", message: "The body is not JSON: #{reason}")
  end

  @doc "The JSON schema of a type."
  @spec schema(term) :: map
  def schema({:integer, low, high}), do: %{type: "integer", minimum: low, maximum: high}
  def schema({:in, values}), do: %{type: "string", enum: values}
  def schema(:session), do: %{type: "string", pattern: SessionId.pattern()}
  def schema(:world), do: %{type: "string", enum: ["main"]}

  def schema(:name),
    do: %{type: "string", minLength: 1, maxLength: @name_bytes, pattern: "^[\\w .-]+$", example: "ann"}

  def schema(:guest),
    do: %{type: "string", minLength: @guest_bytes.first, maxLength: @guest_bytes.last, format: "password"}
end
