defmodule GamePlatformWeb.API.Schemas do
  @moduledoc false
  # What answers and bodies look like, for the OpenAPI description. Objects may have more fields than these.

  alias GamePlatform.Sessions.SessionId
  alias GamePlatformWeb.API.Errors

  @doc "A reference to a schema of that name."
  @spec ref(String.t()) :: map
  def ref(name), do: %{"$ref" => "#/components/schemas/" <> name}

  @doc "All schemas by name."
  @spec all() :: %{String.t() => map}
  def all do
    %{
      "Error" => object(%{error: error()}, [:error]),
      "Token" => object(token(), Map.keys(token())),
      "Connection" => object(connection(), Map.keys(connection()) -- [:message]),
      "Saved" => object(%{saved_tick: count()}, [:saved_tick]),
      "Player" => object(player(), [:name, :position, :home]),
      "Me" => object(me(), [:name, :session_id, :devices]),
      "Message" => object(message(), Map.keys(message())),
      "Messages" => object(%{messages: list(ref("Message")), next: count()}, [:messages, :next]),
      "Action" =>
        about(
          object(action(), [:action_id, :action]),
          "What each needs: claim, release, remove, move, gather a cell; place cell, prototype and direction; rotate " <>
            "cell and direction; set_recipe cell and recipe; take and put cell, item and count; craft recipe and count; " <>
            "grant cell and player (docs/actions.md)"
        ),
      "Actions" => %{
        oneOf: [ref("Action"), Map.merge(list(ref("Action")), %{minItems: 1, maxItems: 100})]
      },
      "Results" => object(%{results: Map.put(list(ref("Result")), :minItems, 1)}, [:results]),
      "Result" => object(result(), [:status]),
      "ServerInfo" => object(server_info(), Map.keys(server_info())),
      "Worlds" => object(%{worlds: list(object(world(), Map.keys(world())))}, [:worlds]),
      "Cell" => object(%{cell: object(cell(), Map.keys(cell()))}, [:cell]),
      "Chunk" => object(chunk(), Map.keys(chunk())),
      "Players" => object(%{players: list(object(present(), Map.keys(present())))}, [:players]),
      "Health" => object(%{status: %{type: "string", enum: ["ok"]}}, [:status]),
      "OpenAPI" =>
        object(%{openapi: string(), info: object(%{}, []), paths: object(%{}, [])}, [:openapi, :paths])
    }
  end

  defp about(schema, sentence), do: Map.put(schema, :description, sentence)

  defp object(properties, []), do: %{type: "object", properties: properties}

  defp object(properties, required),
    do: %{type: "object", properties: properties, required: Enum.sort(required)}

  defp list(items), do: %{type: "array", items: items}
  defp string, do: %{type: "string"}
  defp count, do: %{type: "integer", minimum: 0}
  defp maybe(schema), do: Map.put(schema, :nullable, true)
  defp one_of(values), do: %{type: "string", enum: values}

  defp error do
    codes = Errors.codes() |> Enum.map(&Atom.to_string/1) |> Enum.sort()

    object(
      %{
        code: %{type: "string", example: hd(codes), description: "Such as " <> Enum.join(codes, ", ")},
        message: %{type: "string", description: "What to do, for people"},
        field: string(),
        limit: %{type: "integer"}
      },
      [:code, :message]
    )
  end

  defp token do
    %{
      token: string(),
      session_id: %{type: "string", pattern: SessionId.pattern()},
      player_id: string(),
      expires_at: %{type: "integer", description: "Seconds since 1970"},
      expires_in: %{type: "integer", description: "Seconds"}
    }
  end

  defp connection do
    Map.merge(token(), %{
      world: string(),
      tick: count(),
      home: maybe(count()),
      seq: count(),
      message: string()
    })
  end

  defp player do
    %{
      name: string(),
      number: maybe(count()),
      position: maybe(count()),
      home: maybe(count()),
      claims: count(),
      inventory: %{type: "object", additionalProperties: count()},
      busy_until: maybe(count()),
      queue: list(object(%{}, [])),
      connected: count()
    }
  end

  defp me do
    device = %{session_id: string(), via: one_of(["http", "socket"]), acked: count(), seen_s: count()}
    Map.merge(player(), %{session_id: maybe(string()), devices: list(object(device, Map.keys(device)))})
  end

  # A keyframe, which comes after a gap, has no `seq`.
  defp message,
    do: %{seq: maybe(count()), tick: maybe(count()), event: string(), payload: object(%{}, [])}

  defp action do
    %{
      action_id: %{type: "string", minLength: 1, maxLength: 64},
      action: one_of(Enum.sort(GamePlatform.Compute.Actions.names() -- ["join"])),
      cell: count(),
      direction: %{type: "integer", minimum: 0, maximum: 5},
      prototype: string(),
      recipe: maybe(string()),
      item: string(),
      count: %{type: "integer", minimum: 1, maximum: 60_000},
      player: maybe(string())
    }
  end

  defp result do
    %{
      action_id: string(),
      status: one_of(["accepted", "refused"]),
      code: string(),
      message: string(),
      durability: one_of(["memory", "logged", "stored"]),
      tick: count()
    }
  end

  defp server_info do
    %{
      name: string(),
      version: string(),
      protocol: object(%{phoenix: list(string())}, [:phoenix]),
      hz: count(),
      ups: count(),
      worlds: list(string()),
      env: string(),
      limits: %{type: "object", additionalProperties: %{type: "integer"}}
    }
  end

  defp world do
    %{
      id: string(),
      tick: count(),
      frequency: count(),
      seed: %{type: "integer", minimum: 0, maximum: 0xFFFF_FFFF_FFFF_FFFF},
      cells: count(),
      ups: maybe(count()),
      players: about(count(), "That are there now"),
      kinds: list(string())
    }
  end

  defp cell do
    %{
      id: count(),
      kind: count(),
      name: string(),
      amount: count(),
      machine: maybe(object(%{}, [])),
      owner: maybe(string()),
      grant: maybe(string())
    }
  end

  defp chunk do
    triple = Map.merge(list(%{type: "integer"}), %{minItems: 3, maxItems: 3})

    %{
      chunk: count(),
      tick: count(),
      kinds: list(string()),
      cells: about(list(triple), "Of each cell its id, its kind (an index of kinds) and its amount")
    }
  end

  defp present do
    %{player: string(), online_at: count(), position: maybe(count()), transport: string()}
  end
end
