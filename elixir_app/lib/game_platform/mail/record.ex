defmodule GamePlatform.Mail.Record do
  @moduledoc false
  # Messages as the event log has them. An entry is little-endian: version (u8), the tick up to which outcomes are told
  # (u64, all ones: none is known), the second (u64), then items, each with the number that it was given:
  #
  #   1  seq u64, tick u64, 0 topic or 1 player u8, name, event, id (empty: none) each with its length u8 before,
  #      json with its length u32
  #   2  seq u64, at u64, until u64, key with its length u8

  @version 1
  @none 0xFFFF_FFFF_FFFF_FFFF
  # The log takes 65,535.
  @most_bytes 60_000
  @head 17

  @type message :: %{
          seq: pos_integer,
          tick: non_neg_integer,
          box: {:topic | :player, binary},
          event: binary,
          id: binary | nil,
          json: binary
        }
  @typedoc "`{seq, key, at, until}`"
  @type revoked :: {pos_integer, binary, non_neg_integer, non_neg_integer}

  @doc "Entries of these, which have numbers of their own, in order: each entry has the number of its last one."
  @spec encode([message], [revoked], non_neg_integer | nil, non_neg_integer) :: [{pos_integer, binary}]
  def encode(messages, revoked, complete, at) do
    head = <<@version, complete || @none::64-little, at::64-little>>

    (Enum.map(messages, &{&1.seq, message(&1)}) ++ Enum.map(revoked, &{elem(&1, 0), revocation(&1)}))
    |> Enum.sort()
    |> Enum.chunk_while({0, [], @head}, &gather/2, &{:cont, &1, nil})
    |> Enum.flat_map(fn
      {_, [], _} -> []
      {seq, items, _} -> [{seq, IO.iodata_to_binary([head | Enum.reverse(items)])}]
    end)
  end

  defp gather({seq, item}, {_, items, bytes}) when bytes + byte_size(item) <= @most_bytes,
    do: {:cont, {seq, [item | items], bytes + byte_size(item)}}

  defp gather({seq, item}, entry), do: {:cont, entry, {seq, [item], @head + byte_size(item)}}

  defp message(%{box: {kind, name}} = m) do
    kind = if kind == :topic, do: 0, else: 1
    id = m.id || ""

    <<1, m.seq::64-little, m.tick::64-little, kind, byte_size(name), name::binary, byte_size(m.event),
      m.event::binary, byte_size(id), id::binary, byte_size(m.json)::32-little, m.json::binary>>
  end

  defp revocation({seq, key, at, until}),
    do: <<2, seq::64-little, at::64-little, until::64-little, byte_size(key), key::binary>>

  @doc "What an entry says. `:newer` if a later release wrote it, `:garbage` if nobody did."
  @spec decode(binary) ::
          {:ok,
           %{
             complete: non_neg_integer | nil,
             at: non_neg_integer,
             messages: [message],
             revoked: [revoked]
           }}
          | {:error, :newer | :garbage}
  def decode(<<@version, complete::64-little, at::64-little, items::binary>>) do
    entry = %{complete: if(complete != @none, do: complete), at: at, messages: [], revoked: []}
    items(items, 0, entry)
  end

  def decode(<<version, _::binary>>) when version > @version, do: {:error, :newer}
  def decode(_), do: {:error, :garbage}

  defp items("", _, entry),
    do: {:ok, %{entry | messages: Enum.reverse(entry.messages), revoked: Enum.reverse(entry.revoked)}}

  defp items(
         <<1, seq::64-little, tick::64-little, kind, n, name::binary-size(n), e, event::binary-size(e), i,
           id::binary-size(i), j::32-little, json::binary-size(j), rest::binary>>,
         before,
         entry
       )
       when seq > before and kind in 0..1 and n > 0 and e > 0 and j >= 2 do
    box = {if(kind == 0, do: :topic, else: :player), copy(name)}
    id = if i > 0, do: copy(id)
    message = %{seq: seq, tick: tick, box: box, event: copy(event), id: id, json: copy(json)}
    items(rest, seq, %{entry | messages: [message | entry.messages]})
  end

  defp items(
         <<2, seq::64-little, at::64-little, until::64-little, n, key::binary-size(n), rest::binary>>,
         before,
         entry
       )
       when seq > before and n > 0,
       do: items(rest, seq, %{entry | revoked: [{seq, copy(key), at, until} | entry.revoked]})

  defp items(_, _, _), do: {:error, :garbage}

  # A part of an entry would keep all of it.
  defp copy(bytes), do: :binary.copy(bytes)
end
