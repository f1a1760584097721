defmodule GamePlatformWeb.WorldChannelTest do
  use ExUnit.Case, async: true

  import ExUnit.CaptureLog, only: [with_log: 1]
  import GamePlatform.Eventually
  import GamePlatform.WSClient

  alias GamePlatform.{Compute, JSON, Presence, Transport, WSClient}
  alias GamePlatform.Multiplayer.Publisher
  alias GamePlatform.Transport.Token

  @moduletag :capture_log
  @path "/socket/websocket?vsn=2.0.0"
  @topic "world:main"
  @secret String.duplicate("s", 32)

  # A world that ticks, and its port.
  defp world(context, opts \\ [], edge \\ []) do
    name = Module.concat(__MODULE__, "World#{context.line}")
    opts = Keyword.merge([name: name, frequency: 8, ups: 50, backend: :nif], opts)
    start_supervised!({GamePlatform, opts ++ [edge: [port: 0, hz: 50] ++ edge]})
    {:ok, port} = GamePlatform.port(name)
    %{name: name, port: port}
  end

  defp joined(port, params \\ %{binary: true}) do
    {:ok, client} = connect(port, @path)
    push(client, "1", "1", @topic, "phx_join", params)
    ["1", "1", @topic, "phx_reply", %{"status" => "ok", "response" => response}] = recv_json(client)
    {client, response}
  end

  # The next binary message: `{event, bytes}`; presence is passed over.
  defp field(client) do
    case recv(client) do
      {:binary, <<0, 1, 10, n, "1", @topic, rest::binary>>} -> event(n, rest)
      {:binary, <<2, 10, n, @topic, rest::binary>>} -> event(n, rest)
      {:text, text} -> if(text =~ "presence", do: field(client), else: text)
    end
  end

  defp event(n, bytes) do
    {event, bytes} = String.split_at(bytes, n)
    {event, bytes}
  end

  defp empty(cells), do: {:binary.copy(<<0>>, cells), :binary.copy(<<0, 0>>, cells)}

  # Follows a client until its planes are of `tick` or later.
  defp follow(client, planes, at, until) do
    {"diff", <<_::64, since::64-little, tick::64-little, _::binary>> = diff} = field(client)
    assert since <= at and tick > at
    {:ok, ^tick, planes} = Compute.apply_diff(planes, diff)
    if tick >= until, do: {tick, planes}, else: follow(client, planes, tick, until)
  end

  # What a world of that seed is at that tick.
  defp expected(world, tick) do
    {:ok, other} = Compute.new_world(seed: world.seed, frequency: world.frequency, backend: :nif)
    {:ok, ^tick} = Compute.advance_to(other, tick)
    {:ok, ^tick, planes} = Compute.planes(other)
    Compute.close(other)
    planes
  end

  test "a client that takes the keyframe and every diff has the world", context do
    %{name: name, port: port} = world(context)
    {:ok, world} = GamePlatform.world(name)
    {client, response} = joined(port)

    assert %{"frequency" => 8, "seed" => 1, "keyframe" => nil, "cells" => 642, "ups" => 50, "tick" => tick} =
             response

    assert response["kinds"] == world.kinds
    assert "guest-" <> _ = response["player"]

    {"keyframe", keyframe} = field(client)
    {:ok, ^tick, planes} = Compute.apply_diff(empty(642), keyframe)
    assert planes == expected(world, tick)
    {tick, planes} = follow(client, planes, tick, tick + 30)
    assert planes == expected(world, tick)
  end

  test "without binary messages everything is base64", context do
    %{name: name, port: port} = world(context)
    {:ok, world} = GamePlatform.world(name)
    {client, %{"keyframe" => keyframe, "tick" => tick}} = joined(port, %{})
    {:ok, ^tick, planes} = Compute.apply_diff(empty(642), Base.decode64!(keyframe))

    {tick, planes} =
      Enum.reduce_while(Stream.repeatedly(fn -> recv_json(client) end), {tick, planes}, fn
        [_, _, @topic, "diff", %{"data" => diff}], {tick, planes} ->
          {:ok, next, planes} = Compute.apply_diff(planes, Base.decode64!(diff))
          assert next > tick
          if next > 20, do: {:halt, {next, planes}}, else: {:cont, {next, planes}}

        [_, _, @topic, "presence" <> _, _], acc ->
          {:cont, acc}
      end)

    assert planes == expected(world, tick)
  end

  test "a client is told of the area that it looks at", context do
    %{name: name, port: port} = world(context, frequency: 70)
    {:ok, world} = GamePlatform.world(name)
    {client, %{"area" => "all"}} = joined(port)
    {"keyframe", _} = field(client)

    push(client, "1", "2", @topic, "look", %{cell: 10, radius: 2})
    {:ok, chunks} = Compute.chunks_around(70, 10, 2)

    # Diffs of everything may be on their way; the keyframe begins the area.
    keyframe =
      Stream.repeatedly(fn -> field(client) end)
      |> Enum.find_value(&with({"keyframe", bytes} <- &1, do: bytes, else: (_ -> nil)))

    {:ok, tick, planes} = Compute.apply_diff(empty(world.cells), keyframe)

    assert ["1", "2", _, "phx_reply", %{"response" => %{"area" => ^chunks}}] =
             client |> field() |> JSON.decode() |> elem(1)

    {tick, planes} = follow_parts(client, planes, tick, tick + 20)
    # What is known is right, and nothing else is known.
    known = world |> known(chunks) |> MapSet.new()
    assert MapSet.size(known) > 0
    {kinds, amounts} = planes
    {expected_kinds, expected_amounts} = expected(world, tick)

    for cell <- 0..(world.cells - 1) do
      {kind, amount} = {:binary.at(kinds, cell), binary_part(amounts, 2 * cell, 2)}

      if MapSet.member?(known, cell) do
        assert {kind, amount} ==
                 {:binary.at(expected_kinds, cell), binary_part(expected_amounts, 2 * cell, 2)}
      else
        assert {kind, amount} == {0, <<0, 0>>}
      end
    end

    for {payload, field} <- [
          {%{cell: -1}, "cell"},
          {%{cell: 1, radius: 99_999}, "radius"},
          {%{}, "cell"},
          {%{cell: "x"}, "cell"}
        ] do
      push(client, "1", "3", @topic, "look", payload)
      reply = Stream.repeatedly(fn -> field(client) end) |> Enum.find(&is_binary/1)

      assert {:ok, [_, "3", _, _, %{"status" => "error", "response" => %{"field" => ^field}}]} =
               JSON.decode(reply)
    end
  end

  # Parts of a step come one by one.
  defp follow_parts(client, planes, at, until) do
    {"diff", <<_::64, _::64, tick::64-little, _::binary>> = diff} = field(client)
    # The first of a step beyond the end: what came before is whole.
    if at >= until and tick > at do
      {at, planes}
    else
      {:ok, ^tick, planes} = Compute.apply_diff(planes, diff)
      follow_parts(client, planes, tick, until)
    end
  end

  defp known(world, chunks) do
    {:ok, _, keyframe} = Compute.keyframe(world, chunks: chunks)
    {kinds, amounts} = empty(world.cells)
    # Cells that the keyframe names are changed to what they are; mark them by patching ones.
    {:ok, _, {zero, _}} = Compute.apply_diff({kinds, amounts}, keyframe)
    {:ok, _, {seven, _}} = Compute.apply_diff({:binary.copy(<<7>>, world.cells), amounts}, keyframe)
    for cell <- 0..(world.cells - 1), :binary.at(zero, cell) == :binary.at(seven, cell), do: cell
  end

  test "a keyframe on request, ping, and what is not understood", context do
    %{port: port} = world(context)
    {client, _} = joined(port)
    {"keyframe", _} = field(client)
    push(client, "1", "2", @topic, "resync", %{})
    frames = Stream.repeatedly(fn -> field(client) end)
    assert Enum.find(frames, &is_binary/1) =~ ~s("status":"ok")
    assert {"keyframe", _} = Enum.find(frames, &match?({"keyframe", _}, &1))
    push(client, "1", "3", @topic, "ping", %{})

    assert {:ok, [_, "3", _, _, %{"response" => %{"tick" => tick}}]} =
             frames |> Enum.find(&is_binary/1) |> JSON.decode()

    assert is_integer(tick)
    push(client, "1", "4", @topic, "dance", %{})
    assert Enum.find(frames, &is_binary/1) =~ "dance is none of"

    {:ok, client} = connect(port, @path)

    assert [_, _, _, _, %{"status" => "error", "response" => %{"reason" => reason}}] =
             WSClient.join(client, "world:other")

    assert reason =~ "world:main"
    assert [_, _, _, _, %{"response" => %{"reason" => reason}}] = WSClient.join(client, @topic, [1])
    assert reason =~ "object"
  end

  test "players are present while they are there", context do
    %{name: name, port: port} = world(context)
    {client, %{"player" => player}} = joined(port)
    transport = GamePlatform.Instance.transport(name)
    wait_until(fn -> Map.keys(Presence.list(transport, @topic)) == [player] end)
    WSClient.close(client)
    wait_until(fn -> Presence.list(transport, @topic) == %{} end)
  end

  test "a world that is started again begins with a keyframe, and the client stays", context do
    %{name: name, port: port} = world(context, seed: 5)
    {client, _} = joined(port)
    {"keyframe", keyframe} = field(client)
    {:ok, tick, planes} = Compute.apply_diff(empty(642), keyframe)
    {_, _} = follow(client, planes, tick, tick + 10)
    {:ok, world} = GamePlatform.world(name)

    with_log(fn ->
      Process.exit(world.pid, :kill)
      frames = Stream.repeatedly(fn -> field(client) end)
      {"keyframe", keyframe} = Enum.find(frames, &match?({"keyframe", _}, &1))
      {:ok, tick, planes} = Compute.apply_diff(empty(642), keyframe)
      {tick, planes} = follow(client, planes, tick, tick + 10)
      assert planes == expected(world, tick)
    end)
  end

  test "with a secret only a good token connects", context do
    %{name: name, port: port} = world(context, [], jwt_secret: @secret, jwt_issuer: "us")
    now = System.system_time(:second)
    sign = fn claims -> with({:ok, token} <- Token.sign(claims, @secret), do: token) end
    good = sign.(%{sub: "ann", iss: "us", exp: now + 60})

    {:ok, client} = connect(port, @path <> "&token=" <> good)
    assert [_, _, _, _, %{"response" => %{"player" => "ann"}}] = WSClient.join(client, @topic)
    {:ok, _} = connect(port, @path, [{"Authorization", "Bearer " <> good}])
    # As phoenix.js 1.8 sends its `authToken`.
    protocol = "phoenix, base64url.bearer.phx." <> Base.url_encode64(good, padding: false)
    {:ok, _} = connect(port, @path, [{"Sec-WebSocket-Protocol", protocol}])

    for {token, reason} <- [
          {sign.(%{sub: "ann", iss: "us", exp: now - 60}), "the token is refused: expired"},
          {sign.(%{sub: "ann", iss: "them", exp: now + 60}), "the token is refused: wrong issuer"},
          {sign.(%{sub: "ann", iss: "us"}), "the token is refused: the claim exp is missing"},
          {good <> "x", "the token is refused: bad signature"},
          {"nonsense", "the token is refused: malformed"},
          {"", "a token is needed: "}
        ] do
      assert {:refused, 403, body} = connect(port, @path <> "&token=" <> token)
      assert {:ok, %{"error" => %{"message" => message}}} = JSON.decode(body)
      assert String.starts_with?(message, reason)
    end

    assert {:refused, 403, _} = connect(port, @path)

    # Nothing that a crash prints holds the secret.
    for {_, connection, _, _} <- DynamicSupervisor.which_children(connections(name)),
        do:
          refute(inspect(:sys.get_state(connection), limit: :infinity, printable_limit: :infinity) =~ @secret)

    acceptor = Transport.part(GamePlatform.Instance.transport(name), "Acceptor")
    refute inspect(:sys.get_state(acceptor), limit: :infinity, printable_limit: :infinity) =~ @secret
  end

  defp connections(name), do: Transport.part(GamePlatform.Instance.transport(name), "Connections")

  test "the world ticks on beside a stopped edge, and a client that was slow catches up", context do
    %{name: name, port: port} = world(context)
    {:ok, world} = GamePlatform.world(name)
    {client, _} = joined(port)
    {"keyframe", keyframe} = field(client)
    {:ok, at, planes} = Compute.apply_diff(empty(642), keyframe)
    transport = GamePlatform.Instance.transport(name)
    %{edge: %{os_pid: os_pid}} = Transport.stats(transport)
    System.cmd("kill", ["-STOP", "#{os_pid}"])
    before = GamePlatform.stats(name).tick
    wait_until(fn -> GamePlatform.stats(name).tick >= before + 30 end)
    System.cmd("kill", ["-CONT", "#{os_pid}"])

    {tick, planes} = follow(client, planes, at, before + 40)
    assert planes == expected(world, tick)
  end

  test "a client that asks for keyframe after keyframe harms nobody, and gets one in the end", context do
    %{name: name, port: port} = world(context, frequency: 128)
    transport = GamePlatform.Instance.transport(name)
    {watching, _} = joined(port)
    {"keyframe", keyframe} = field(watching)

    {client, _} = joined(port)
    frames = Stream.repeatedly(fn -> field(client) end)
    push(client, "1", "2", @topic, "look", %{cell: 0, radius: 4})
    for n <- 3..380, do: push(client, "1", "#{n}", @topic, "resync", %{})
    assert Enum.find(frames, &(is_binary(&1) and &1 =~ ~s("380"))) =~ ~s("ok")
    assert {"keyframe", _} = Enum.find(frames, &match?({"keyframe", _}, &1))
    assert {"diff", _} = Enum.find(frames, &match?({"diff", _}, &1))

    {:ok, tick, planes} = Compute.apply_diff(empty(163_842), keyframe)
    follow(watching, planes, tick, tick + 50)
    assert %{edge: %{restarts: 0}, egress: %{dropped: 0}} = Transport.stats(transport)
  end

  test "who looks around faster than it can be told is told of where it looked last", context do
    %{port: port} = world(context, frequency: 70)
    {client, _} = joined(port)
    for n <- 2..60, do: push(client, "1", "#{n}", @topic, "look", %{cell: 100 * n, radius: 2})
    {:ok, chunks} = Compute.chunks_around(70, 6_000, 2)

    replies =
      Stream.repeatedly(fn -> field(client) end)
      |> Stream.filter(&is_binary/1)
      |> Stream.map(fn text -> text |> JSON.decode() |> elem(1) end)
      |> Enum.take(59)

    # Each is answered once.
    assert replies |> Enum.map(&Enum.at(&1, 1)) |> Enum.sort() == Enum.sort(Enum.map(2..60, &"#{&1}"))
    assert [_, "60", _, _, %{"status" => "ok", "response" => %{"area" => ^chunks}}] = List.last(replies)

    passed_over =
      for [_, _, _, _, %{"status" => "error", "response" => %{"reason" => why}}] <- replies, do: why

    assert length(passed_over) > 40 and Enum.uniq(passed_over) == ["a later look has come"]

    for radius <- [257, -1, "x", nil, 1.0e40] do
      push(client, "1", "61", @topic, "look", %{cell: 0, radius: radius})
      assert Stream.repeatedly(fn -> field(client) end) |> Enum.find(&is_binary/1) =~ "an integer in 0..256"
    end
  end

  test "limits that are none are named" do
    Process.flag(:trap_exit, true)

    for limits <- [[rate: 1], %{rate: 0}, 7] do
      assert {:error, {:invalid_option, %{option: :limits}}} =
               GamePlatform.start_link(name: __MODULE__.Odd, frequency: 8, edge: [port: 0, limits: limits])
    end
  end

  test "a world that stands still does not fill memory with keyframes", context do
    %{name: name} = world(context, frequency: 128, ups: 1)
    publisher = GenServer.whereis(GamePlatform.Instance.via(name, :publisher))
    areas = for a <- 0..13, b <- 0..13, a < b, do: [a, b]
    for area <- areas, do: {:ok, _, _} = Publisher.watch(publisher, area, :binary)
    {_, keyframes} = :sys.get_state(publisher).keyframes
    assert map_size(keyframes) <= 16
  end

  test "many who join a large world at once all get it", context do
    %{name: name, port: port} = world(context, frequency: 250, ups: 10)
    transport = GamePlatform.Instance.transport(name)

    1..60
    |> Enum.map(fn n ->
      Task.async(fn ->
        {client, %{"keyframe" => keyframe}} = joined(port, %{binary: rem(n, 10) > 0})
        if keyframe == nil and rem(n, 10) > 0, do: assert({"keyframe", _} = field(client))
        WSClient.close(client)
      end)
    end)
    |> Task.await_many(60_000)

    assert %{edge: %{restarts: 0}} = Transport.stats(transport)
  end
end
