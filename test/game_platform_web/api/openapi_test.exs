defmodule GamePlatformWeb.API.OpenAPITest do
  # The description says what the table of routes says, and what requests are answered with.
  use GamePlatform.APICase, async: true

  alias GamePlatform.JSON
  alias GamePlatformWeb.API.{Errors, Routes}

  # As clients read it.
  setup do: %{document: document()}

  defp operations(%{"paths" => paths}) do
    for {path, operations} <- paths,
        {method, operation} <- operations,
        do: {String.upcase(method), path, operation}
  end

  # Every map in a term.
  defp maps(%{} = map), do: [map | map |> Map.values() |> Enum.flat_map(&maps/1)]
  defp maps(list) when is_list(list), do: Enum.flat_map(list, &maps/1)
  defp maps(_), do: []

  test "every route is in it, and nothing else but what the edge answers", %{game: game, document: document} do
    assert {200, %{"content-type" => "application/json"}, ^document} = get(game, "/api/openapi.json")
    assert document["openapi"] == "3.0.3"
    described = for {method, path, _} <- operations(document), path != "/healthz", do: {method, path}
    assert Enum.sort(described) == Enum.sort(for route <- Routes.all(), do: {route.method, route.path})
    assert %{"get" => %{"responses" => %{"200" => _}}} = document["paths"]["/healthz"]

    for %{path: path} <- Routes.all(),
        do: assert(Enum.any?(Routes.prefixes(), &String.starts_with?(path, &1 <> "/")))
  end

  test "its form is that of OpenAPI 3.0.3", %{document: document} do
    assert %{"title" => _, "version" => "0.1.0"} = document["info"]
    schemas = document["components"]["schemas"]
    refs = for %{"$ref" => ref} = map <- maps(document), do: {ref, map_size(map)}
    assert refs != []
    # Beside a reference nothing else counts.
    for {"#/components/schemas/" <> name, 1} <- refs, do: assert(is_map_key(schemas, name))
    assert refs |> Enum.map(&elem(&1, 0)) |> MapSet.new() |> MapSet.size() >= map_size(schemas) - 5

    ids = for {_, _, operation} <- operations(document), do: operation["operationId"]
    assert Enum.uniq(ids) == ids

    for {method, path, operation} <- operations(document) do
      named = for [name] <- Regex.scan(~r/{(\w+)}/, path, capture: :all_but_first), do: name
      parameters = Map.get(operation, "parameters", [])

      assert Enum.sort(for %{"in" => "path", "name" => name, "required" => true} <- parameters, do: name) ==
               Enum.sort(named)

      for parameter <- parameters, do: assert(is_map(parameter["schema"]))
      assert is_binary(operation["summary"]) and operation["responses"] != %{}

      for {status, response} <- operation["responses"] do
        assert status =~ ~r/^[2-5][0-9][0-9]$/ and is_binary(response["description"])
        content = Map.get(response, "content", %{})
        assert content == %{} == (status == "204"), "#{method} #{path} #{status}"
        for {_, %{"schema" => schema}} <- content, do: assert(is_map(schema))
      end

      for security <- Map.get(operation, "security", []),
          {name, []} <- security,
          do: assert(is_map_key(document["components"]["securitySchemes"], name))
    end

    for schema <- maps(schemas),
        type = schema["type"],
        is_binary(type),
        do: assert(type in ~w(object array string integer number boolean))
  end

  test "every code has a status and a sentence that says what to do" do
    for code <- Errors.codes() do
      {status, headers, body} = Errors.answer(Errors.error(code))
      assert status == Errors.status(code)
      assert {:ok, %{"error" => %{"code" => text, "message" => message}}} = JSON.decode(body)
      assert text == Atom.to_string(code)
      assert String.length(message) > 30
      if status in [429, 503], do: assert({"retry-after", "1"} in headers)
    end

    used = for route <- Routes.all(), code <- route.errors, uniq: true, do: code
    assert used -- Errors.codes() == []
  end

  test "a route that takes values says that they may not fit", %{document: %{"paths" => paths}} do
    about = fn path, method -> paths[path][method]["responses"]["400"]["description"] end

    for {path, method} <- [
          {"/api/v1/connect", "post"},
          {"/poll/{session}", "get"},
          {"/mailbox/{session}/messages", "get"},
          {"/mailbox/{session}/actions", "post"},
          {"/api/v1/worlds/{world}/chunks/{chunk}", "get"}
        ],
        do: assert(about.(path, method) =~ "`out_of_range`")

    refute about.("/api/v1/me", "get") =~ "out_of_range"
    refute about.("/api/v1/worlds/{world}/players", "get") =~ "out_of_range"
  end

  test "a method that a path does not take is answered with those that it takes", %{game: game} do
    for %{path: path} <- Routes.all(), method <- ~w(PUT DELETE PATCH OPTIONS TRACE GET POST BREW) do
      takes = for route <- Routes.all(), route.path == path, do: route.method
      takes = if "GET" in takes, do: ["HEAD" | takes], else: takes

      if method not in takes do
        answer = request(game, method, path)
        error = assert_error(answer, 405, "method_not_allowed")
        for method <- takes, do: assert(error["message"] =~ method)

        assert answer |> elem(1) |> Map.fetch!("allow") |> String.split(", ") |> Enum.sort() ==
                 Enum.sort(takes)
      end
    end
  end

  # Requests at random: parts that fit in wrong places, and parts that fit nowhere.
  @rounds 3_000
  @junk ["", "0", "-1", "1e3", "%00", "%", "..", "null", "\xFF", "é", "%2F", "9007199254740993", "main", "x"]
  @bodies [
            "",
            "{}",
            "[]",
            "[{}]",
            "null",
            "7",
            "\"x\"",
            "{",
            "\0",
            "\xFF\xFE",
            "{\"name\":1}",
            "[[[[[]]]]]",
            "[1,{}]"
          ] ++
            [
              "{\"action_id\":\"1\",\"action\":\"claim\",\"cell\":1}",
              "{\"a\":1,\"a\":2}",
              "{\"name\":\"\\u0000\"}"
            ]

  @tag game: [edge: [port: 0, connect_rate: 100_000, connect_burst: 1_000_000]]
  test "whatever is asked, the answer is one that is described", %{game: game} do
    seed = :rand.uniform(1_000_000)
    :rand.seed(:exsss, seed)
    %{"session_id" => own} = connect!(game, %{guest: "a secret of my own"})
    %{"session_id" => foreign, "token" => other} = connect!(game)
    arg = %{game: game, poll_ms: 1}

    statuses =
      Enum.reduce(1..@rounds, MapSet.new(), fn round, seen ->
        # Not the same all the time, which would be too often.
        token =
          if rem(round, 40) == 1,
            do: connect!(game, %{guest: "a secret of my own"})["token"],
            else: Process.get(:token)

        Process.put(:token, token)
        request = request_at_random(own, foreign, Enum.random([token, token, token, other, "bad", nil]))
        # It is compared with the description there.
        {status, headers, body} = answer = handle(request, arg)
        about = inspect({seed, %{request | headers: []}, answer}, limit: 20, printable_limit: 500)
        assert status in 200..499, about
        if status == 401, do: assert(headers["www-authenticate"] == "Bearer", about)
        if status == 429, do: assert(headers["retry-after"], about)
        assert body == nil == (status == 204), about
        MapSet.put(seen, status)
      end)

    for status <- [200, 400, 401, 403, 404],
        do: assert(status in statuses, "#{status}")

    assert Process.info(self(), :message_queue_len) == {:message_queue_len, 0}
  end

  defp request_at_random(own, foreign, token) do
    route = Enum.random(Routes.all())

    path =
      Regex.replace(~r/{(\w+)}/, route.path, fn _, name ->
        fits = %{"session" => own, "world" => "main", "cell" => "7", "chunk" => "1"}[name]
        Enum.random([fits, fits, fits, foreign | @junk])
      end)

    pair = fn ->
      Enum.random(~w(after limit format token x)) <> "=" <> Enum.random(["1", "0", "json", "binary" | @junk])
    end

    %{
      method: if(:rand.uniform(10) == 1, do: Enum.random(~w(GET POST DELETE HEAD PUT)), else: route.method),
      path:
        if(:rand.uniform(20) == 1,
          do: path <> Enum.random(["/", "//x", "\0", String.duplicate("/a", 5_000)]),
          else: path
        ),
      query:
        Enum.map_join(1..:rand.uniform(3), "&", fn _ -> if :rand.uniform(2) == 1, do: pair.(), else: "" end),
      headers: if(token, do: [{"authorization", "Bearer " <> token}], else: []),
      body: Enum.random(@bodies),
      peer: "10.0.0.#{:rand.uniform(200)}:1"
    }
  end
end
