defmodule GamePlatformWeb.API.OpenAPI do
  @moduledoc false
  # The description of every route, in OpenAPI 3.0.3, made from the table of routes.

  alias GamePlatform.JSON
  alias GamePlatformWeb.API.{Errors, Params, Routes, Schemas}

  # Answered before a handler is asked.
  @always [:malformed, :internal, :restarting]
  @of_bearer [:unauthorized, :rate_limited]
  @of_session [:foreign_session, :unknown_session]
  # What the edge refuses by itself.
  @of_edge [:rate_limited, :too_large]

  def answer(_) do
    text =
      with nil <- :persistent_term.get(__MODULE__, nil) do
        text = JSON.encode!(document())
        :persistent_term.put(__MODULE__, text)
        text
      end

    {200, {:json, text}}
  end

  @doc "The description as a term."
  @spec document() :: map
  def document do
    %{
      openapi: "3.0.3",
      info: %{
        title: "GamePlatform",
        version: to_string(Application.spec(:game_platform, :vsn)),
        description:
          "Connect, look, act, and get what becomes of it. The same sessions go on over Phoenix Channels.",
        license: %{name: "MIT OR Apache-2.0"}
      },
      paths: Map.put(paths(), "/healthz", %{get: healthz()}),
      components: %{
        schemas: Schemas.all(),
        securitySchemes: %{
          bearer: %{type: "http", scheme: "bearer", bearerFormat: "JWT"},
          token: %{type: "apiKey", in: "query", name: "token"}
        }
      }
    }
  end

  defp paths do
    Routes.all()
    |> Enum.group_by(& &1.path)
    |> Map.new(fn {path, routes} -> {path, Map.new(routes, &{String.downcase(&1.method), operation(&1)})} end)
  end

  defp operation(route) do
    {_, function} = route.run

    %{
      operationId: function,
      summary: route.summary,
      tags: [route.run |> elem(0) |> Module.split() |> List.last() |> String.downcase()],
      parameters: for({where, name, type} <- route.params, where != :body, do: parameter(where, name, type)),
      responses: responses(route)
    }
    |> Map.merge(body(route))
    |> Map.merge(security(route.auth))
  end

  defp parameter(where, name, type),
    do: %{name: name, in: where, required: where == :path, schema: Params.schema(type)}

  defp security(:none), do: %{}
  defp security(:optional), do: %{security: [%{}, %{bearer: []}, %{token: []}]}
  defp security(:bearer), do: %{security: [%{bearer: []}, %{token: []}]}

  defp body(%{body: :optional, params: params}) do
    fields =
      for {:body, name, type} <- params, into: %{}, do: {name, Map.put(Params.schema(type), :nullable, true)}

    content = %{"application/json" => %{schema: %{type: "object", properties: fields}}}
    %{requestBody: %{required: false, content: content}}
  end

  defp body(%{body: {:required, schema}}),
    do: %{requestBody: %{required: true, content: %{"application/json" => %{schema: Schemas.ref(schema)}}}}

  defp body(_), do: %{}

  @doc "The statuses that a route may be answered with."
  @spec statuses(map) :: [200..503]
  def statuses(route) do
    route
    |> errors()
    |> Enum.map(&Errors.status/1)
    |> Enum.concat(Map.keys(route.answers))
    |> Enum.uniq()
    |> Enum.sort()
  end

  defp errors(%{auth: auth} = route) do
    bearer = if auth == :none, do: [], else: @of_bearer
    session = if Enum.any?(route.params, &match?({:path, _, :session}, &1)), do: @of_session, else: []

    world = if Enum.any?(route.params, &match?({:path, _, :world}, &1)), do: [:unknown_world], else: []
    values = if values?(route), do: [:out_of_range], else: []
    Enum.uniq(route.errors ++ @always ++ @of_edge ++ bearer ++ session ++ world ++ values)
  end

  # What does not fit in the path is not found, but for a number; a list of actions may be empty.
  defp values?(%{body: {:required, _}}), do: true

  defp values?(%{params: params}),
    do: Enum.any?(params, fn {where, _, type} -> where != :path or is_tuple(type) end)

  defp responses(route) do
    by_status = Enum.group_by(errors(route), &Errors.status/1)

    for status <- statuses(route), into: %{} do
      codes = Map.get(by_status, status, [])
      schemas = for schema <- [route.answers[status]], schema != nil, do: schema
      {Integer.to_string(status), response(status, codes, schemas)}
    end
  end

  defp response(status, codes, schemas) do
    errors = if codes == [], do: [], else: ["Error"]

    named =
      Enum.map(schemas, fn schema -> if is_tuple(schema), do: elem(schema, 0), else: schema end) ++ errors

    content = if named == [], do: %{}, else: %{content: content(named, Enum.any?(schemas, &is_tuple/1))}
    about = if codes == [], do: describe(status), else: Enum.map_join(codes, ", ", &"`#{&1}`")
    %{description: about} |> Map.merge(content) |> Map.merge(headers(status))
  end

  defp content(named, binary?) do
    schema =
      case Enum.map(named, &Schemas.ref/1) do
        [schema] -> schema
        schemas -> %{oneOf: schemas}
      end

    json = %{"application/json" => %{schema: schema}}
    octets = %{"application/octet-stream" => %{schema: %{type: "string", format: "binary"}}}
    if binary?, do: Map.merge(json, octets), else: json
  end

  defp describe(200), do: "As asked"
  defp describe(201), do: "A new session"
  defp describe(202), do: "Taken: what becomes of it comes as outcomes"
  defp describe(204), do: "Nothing has come: poll again"
  defp describe(422), do: "The one action was refused: its result says why"

  defp headers(401), do: %{headers: %{"WWW-Authenticate" => %{schema: %{type: "string"}}}}

  defp headers(status) when status in [429, 503] do
    seconds = %{type: "integer", minimum: 1}
    %{headers: %{"Retry-After" => %{description: "Seconds", schema: seconds}}}
  end

  defp headers(_), do: %{}

  # Answered by the edge itself.
  defp healthz do
    %{
      operationId: "healthz",
      summary: "Whether the server takes requests",
      tags: ["worlds"],
      responses: %{"200" => %{description: "It does", content: content(["Health"], false)}}
    }
  end
end
