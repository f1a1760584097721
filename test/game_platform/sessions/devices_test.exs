defmodule GamePlatform.Sessions.DevicesTest do
  use ExUnit.Case, async: true

  alias GamePlatform.Sessions.{Devices, Names, SessionId}

  doctest Devices
  doctest Names
  doctest SessionId

  test "a device begins where it is told, and only goes on" do
    devices = Devices.heard(%{}, "a", 7, 0, :http)
    assert devices["a"].acked == 7
    assert Devices.heard(devices, "a", 9, 1, :http)["a"].acked == 7
    assert Devices.acked(devices, "a", 6)["a"].acked == 7
    assert Devices.acked(devices, "a", 8)["a"].acked == 8
    assert Devices.acked(devices, "b", 8) == devices
  end

  test "of too many the one goes that was not heard of for longest, and none with a socket" do
    most = Devices.most()
    devices = Enum.reduce(1..most, %{}, &Devices.heard(&2, "socket #{&1}", 0, 0, {self(), make_ref()}))
    devices = Enum.reduce(1..most, devices, &Devices.heard(&2, "#{&1}", 0, &1, :http))
    assert map_size(devices) == 2 * most
    # Known already: nobody has to go.
    assert map_size(Devices.heard(devices, "1", 0, 100, :http)) == 2 * most
    assert map_size(Devices.heard(devices, "socket 1", 0, 100, :http)) == 2 * most

    devices = devices |> Devices.heard("1", 0, 50, :http) |> Devices.heard("new", 0, 100, :http)
    assert map_size(devices) == 2 * most
    refute is_map_key(devices, "2")
    assert is_map_key(devices, "1")
  end

  test "sockets that have ended make room, and none for devices over HTTP" do
    most = Devices.most()
    devices = Enum.reduce(1..(most - 1), %{}, &Devices.heard(&2, "#{&1}", 0, 0, :http))

    devices =
      Enum.reduce(1..20, devices, fn n, devices ->
        pid = spawn(fn -> :ok end)
        devices |> Devices.heard("ws #{n}", 0, n, {pid, make_ref()}) |> Devices.socket_down(pid, n)
      end)

    assert Enum.sort(Map.keys(devices)) == Enum.sort(["ws 20" | Enum.map(1..(most - 1), &"#{&1}")])
    devices = Devices.heard(devices, "new", 0, 30, :http)
    assert Enum.sort(Map.keys(devices)) == Enum.sort(["new" | Enum.map(1..(most - 1), &"#{&1}")])
  end

  test "a socket is heard of as long as one of its channels lives" do
    other = spawn(fn -> :ok end)
    devices = Devices.heard(%{}, "a", 3, 0, {self(), make_ref()})
    assert Devices.any?(devices, 1_000) and Devices.all_have(devices, 1_000) == 3
    refute Devices.http?(devices, -1)
    devices = devices |> Devices.heard("a", 3, 5, {other, make_ref()}) |> Devices.socket_down(other, 8)
    assert Devices.any?(devices, 1_000)
    devices = Devices.socket_down(devices, self(), 10)
    assert Devices.any?(devices, 9) and not Devices.any?(devices, 10)
  end

  test "names of guests" do
    for good <- ["ann", "Zoë", "a b", "x_1.2-3", "日本語", String.duplicate("x", 40), "  ann  "] do
      assert {:ok, id} = Names.guest_id(good, nil)
      assert [_, <<_::binary-size(16)>>] = [String.trim(good), id |> String.split("-") |> List.last()]
      assert byte_size(id) <= 64
      assert {:ok, other} = Names.guest_id(good, nil)
      assert other != id
    end

    for bad <- [
          "",
          "  ",
          "a\nb",
          "a\0",
          "a/b",
          "<b>",
          "\u202Eevil",
          "\u200B",
          String.duplicate("x", 41),
          "\xFF",
          7,
          []
        ] do
      assert {:error, {:invalid_option, %{option: :name}}} = Names.guest_id(bad, nil)
    end

    for bad <- ["short", String.duplicate("x", 129), 7] do
      assert {:error, {:invalid_option, %{option: :guest, value: :hidden}}} = Names.guest_id(nil, bad)
    end

    assert {:ok, "guest-" <> _ = id} = Names.guest_id(nil, "0123456789abcdef")
    assert {:ok, ^id} = Names.guest_id(nil, "0123456789abcdef")
  end

  test "a session id of another form is nobody's" do
    id = SessionId.new("k", "ann")
    assert Regex.match?(Regex.compile!(SessionId.pattern()), id)

    for other <- [
          "",
          nil,
          7,
          id <> "x",
          binary_part(id, 0, 31),
          String.duplicate("?", 32),
          String.duplicate("A", 32)
        ],
        do: assert(SessionId.whose("k", other, "ann") == :unknown)

    # Any bit of it.
    {:ok, bytes} = Base.url_decode64(id)

    for n <- 0..(bit_size(bytes) - 1) do
      <<before::size(n), bit::1, rest::bits>> = bytes
      flipped = Base.url_encode64(<<before::size(n), 1 - bit::1, rest::bits>>)
      refute SessionId.whose("k", flipped, "ann") == :own
    end
  end
end
