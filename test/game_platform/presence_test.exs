defmodule GamePlatform.PresenceTest do
  use GamePlatform.TransportCase, async: true

  alias GamePlatform.{Presence, WSClient}

  test "presence tells who comes and goes, however they go", %{port: port, name: name} do
    ann = joined(port, "room:1", %{user: "ann", device: "a"})
    assert [_, nil, _, "presence_diff", %{"joins" => %{"ann" => _}}] = recv_json(ann)

    assert [_, nil, _, "presence_state", %{"ann" => %{"metas" => [%{"device" => "a", "phx_ref" => _}]}}] =
             recv_json(ann)

    bob = joined(port, "room:1", %{user: "bob"})
    assert [nil, nil, _, "presence_diff", %{"joins" => %{"bob" => _}, "leaves" => leaves}] = recv_json(ann)
    assert leaves == %{}
    assert %{"ann" => _, "bob" => _} = Presence.list(name, "room:1")

    WSClient.close(bob)
    assert [nil, nil, _, "presence_diff", %{"joins" => %{}, "leaves" => %{"bob" => _}}] = recv_json(ann)

    # A process that tracks is killed, and so is the one that watches them.
    killed = spawn(fn -> Process.sleep(:infinity) end)
    {:ok, _} = Presence.track(name, killed, "room:1", "cy", %{})
    assert {:error, :already_tracked} = Presence.track(name, killed, "room:1", "cy", %{})
    assert Map.keys(Presence.list(name, "room:1")) == ["ann", "cy"]
    Process.exit(killed, :kill)
    wait_until(fn -> Map.keys(Presence.list(name, "room:1")) == ["ann"] end)
  end

  test "many who come and go at once are told of together", %{port: port, name: name} do
    client = joined(port, "room:1")
    keys = for n <- 1..300, do: "k#{n}"

    pids =
      for key <- keys do
        pid = spawn(fn -> Process.sleep(:infinity) end)
        {:ok, _} = Presence.track(name, pid, "room:1", key, %{})
        pid
      end

    {joined, frames} = diffs(client, "joins", MapSet.new(), 0, 300)
    assert joined == MapSet.new(keys)
    assert frames < 30

    for pid <- pids, do: Process.exit(pid, :kill)
    {left, frames} = diffs(client, "leaves", MapSet.new(), 0, 300)
    assert left == MapSet.new(keys)
    assert frames < 30

    # The next is told of at once.
    Process.sleep(150)
    # Who has gone again before anybody was told of it is not told of.
    {:ok, _} = Presence.track(name, self(), "room:1", "first", %{})
    {:ok, _} = Presence.track(name, self(), "room:1", "short", %{})
    socket = %GamePlatform.Socket{endpoint: name, channel_pid: self(), topic: "room:1"}
    :ok = Presence.untrack(socket, "short")
    {:ok, ref} = Presence.update(socket, "first", %{n: 2})

    assert [_, _, _, "presence_diff", %{"joins" => %{"first" => %{"metas" => [%{"phx_ref" => before}]}}}] =
             recv_json(client)

    assert [_, _, _, "presence_diff", diff] = recv_json(client)

    assert %{"first" => %{"metas" => [%{"n" => 2, "phx_ref" => ^ref, "phx_ref_prev" => ^before}]}} =
             diff["joins"]

    assert %{"first" => %{"metas" => [%{"phx_ref" => ^before}]}} = diff["leaves"]
    assert map_size(diff["joins"]) == 1 and map_size(diff["leaves"]) == 1
  end

  defp diffs(client, field, seen, frames, until) do
    if MapSet.size(seen) == until do
      {seen, frames}
    else
      [nil, nil, "room:1", "presence_diff", diff] = recv_json(client)
      diffs(client, field, MapSet.union(seen, MapSet.new(Map.keys(diff[field]))), frames + 1, until)
    end
  end

  test "a meta that clients cannot be sent is not tracked", %{name: name} do
    assert_raise ArgumentError, ~r/no JSON form/, fn ->
      Presence.track(name, self(), "room:1", "ann", %{pid: self()})
    end

    assert Presence.list(name, "room:1") == %{}
    socket = %GamePlatform.Socket{endpoint: name, channel_pid: self(), topic: "room:1"}
    {:ok, _} = Presence.track(socket, "ann", %{n: 1})
    assert_raise ArgumentError, fn -> Presence.update(socket, "ann", &Map.put(&1, :at, {1, 2})) end
    assert %{"ann" => %{metas: [%{n: 1}]}} = Presence.list(socket)
  end
end
