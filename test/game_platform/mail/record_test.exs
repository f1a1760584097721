defmodule GamePlatform.Mail.RecordTest do
  use ExUnit.Case, async: true

  alias GamePlatform.Mail.Record

  defp message(seq, fields \\ []) do
    %{seq: seq, tick: 7, box: {:player, "ann"}, event: "outcome", id: "1", json: ~s({"a":1})}
    |> Map.merge(Map.new(fields))
  end

  test "what is written is read" do
    messages = [
      message(3),
      message(4, box: {:topic, "world:main"}, id: nil, event: "news", json: "{}"),
      message(9, json: ~s({"text":"ä"}), id: String.duplicate("i", 64), tick: 0x1F_FFFF_FFFF_FFFF)
    ]

    revoked = [{5, "session", 100, 200}, {10, "player:ann", 101, 201}]
    assert [{10, bytes}] = Record.encode(messages, revoked, 77, 1_000)
    assert Record.decode(bytes) == {:ok, %{complete: 77, at: 1_000, messages: messages, revoked: revoked}}
    assert [{10, bytes}] = Record.encode([], revoked, nil, 0)
    assert {:ok, %{complete: nil, at: 0, messages: []}} = Record.decode(bytes)
    assert Record.encode([], [], 1, 1) == []
  end

  test "many messages are few entries, none of them too long" do
    messages = for n <- 1..3_000, do: message(n, json: ~s({"x":"#{String.duplicate("x", rem(n * 37, 500))}"}))

    messages =
      messages ++ for n <- 3_001..3_009, do: message(n, json: ~s({"x":"#{String.duplicate("y", 16_370)}"}))

    entries = Record.encode(messages, [], 5, 6)
    assert length(entries) in 15..30
    assert Enum.all?(entries, fn {_, bytes} -> byte_size(bytes) <= 65_535 end)

    read =
      Enum.flat_map(entries, fn {seq, bytes} ->
        {:ok, %{complete: 5, messages: messages}} = Record.decode(bytes)
        assert List.last(messages).seq == seq
        messages
      end)

    assert read == messages
  end

  test "garbage is refused, and what a later release wrote" do
    [{2, bytes}] = Record.encode([message(1)], [{2, "k", 1, 2}], 3, 4)
    assert Record.decode("") == {:error, :garbage}
    assert Record.decode(<<0, bytes::binary>>) == {:error, :garbage}
    assert Record.decode(<<2, bytes::binary>>) == {:error, :newer}
    for n <- 1..(byte_size(bytes) - 1), do: refute_whole(binary_part(bytes, 0, n), bytes)
    assert Record.decode(bytes <> <<1>>) == {:error, :garbage}
    :rand.seed(:exsss, 5)

    for _ <- 1..2_000 do
      at = :rand.uniform(byte_size(bytes)) - 1
      <<before::binary-size(at), _, rest::binary>> = bytes
      # Anything but a crash.
      assert tuple_size(Record.decode(<<before::binary, :rand.uniform(256) - 1, rest::binary>>)) == 2
      assert tuple_size(Record.decode(:rand.bytes(:rand.uniform(60)))) == 2
    end
  end

  # Cut between two items it is shorter.
  defp refute_whole(part, bytes) do
    with {:ok, entry} <- Record.decode(part), do: assert({:ok, entry} != Record.decode(bytes))
  end
end
