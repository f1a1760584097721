defmodule GamePlatform.Transport.EdgeTest do
  use GamePlatform.TransportCase, async: true

  alias GamePlatform.{Channel, Presence, Transport}
  alias GamePlatform.Test.RoomSocket

  test "the edge is killed: clients come back on the same port, and nobody is left behind", %{
    port: port,
    name: name
  } do
    client = joined(port, "room:1", %{user: "ann"})
    %{edge: %{os_pid: os_pid}} = Transport.stats(name)

    with_log(fn ->
      System.cmd("kill", ["-9", "#{os_pid}"])
      drain(client)
    end)

    wait_until(fn -> Transport.stats(name).connections == 0 end)
    wait_until(fn -> Presence.list(name, "room:1") == %{} end)
    await_next(name, os_pid)
    assert {:ok, ^port} = Transport.port(name)
    client = joined(port, "room:1")
    push(client, "1", "2", "room:1", "echo", %{a: 1})
    assert [_, _, _, "phx_reply", %{"response" => %{"a" => 1}}] = recv_json(client)
  end

  test "what is left of a client is not sent to one of the next edge", %{port: port, name: name} do
    a = joined(port, "room:1")
    [{_, channel, _, _}] = DynamicSupervisor.which_children(Transport.part(name, "Channels"))
    socket = :sys.get_state(channel)
    %{edge: %{os_pid: os_pid}} = Transport.stats(name)

    with_log(fn ->
      System.cmd("kill", ["-9", "#{os_pid}"])
      drain(a)
    end)

    wait_until(fn -> Transport.stats(name).connections == 0 end)
    await_next(name, os_pid)
    assert {:ok, ^port} = Transport.port(name)
    b = joined(port, "room:2")
    # Numbers of sockets begin anew with each edge.
    [{_, channel, _, _}] = DynamicSupervisor.which_children(Transport.part(name, "Channels"))
    assert :sys.get_state(channel).private.n == socket.private.n

    Channel.push(socket, "secret", %{})
    Channel.reply({socket, "9"}, :ok)
    # Whom it leaves out has gone, so nobody is left out.
    Transport.broadcast_from(socket, "room:2", "news", %{})
    assert_text(b, ~s([null,null,"room:2","news",{}]))
  end

  test "any free port is another one if that of before is taken", %{port: port, name: name} do
    stop_supervised!(name)
    {:ok, taken} = :gen_tcp.listen(port, ip: {127, 0, 0, 1})
    start_supervised!({Transport, name: name, port: 0, sockets: [{"/socket", RoomSocket}]})
    assert {:ok, next} = Transport.port(name)
    assert next != port
    :gen_tcp.close(taken)
  end

  test "a port that is taken is said", %{port: port} do
    {_, log} =
      with_log(fn ->
        start_supervised!({Transport, name: __MODULE__.Taken, port: port, sockets: [{"/socket", RoomSocket}]})
        assert {:error, {:cannot_listen, sentence}} = Transport.port(__MODULE__.Taken)
        assert sentence =~ "#{port}"
        stop_supervised!(__MODULE__.Taken)
      end)

    assert log =~ "gp_edge ended: port #{port} at 127.0.0.1 is taken"
  end

  defp await_next(name, os_pid) do
    wait_until(fn ->
      match?(%{edge: %{os_pid: next}} when next != os_pid, Transport.stats(name)) and
        match?({:ok, _}, Transport.port(name))
    end)
  end

  defp drain(client), do: with({_, _} <- recv(client), do: drain(client))
end
