defmodule GamePlatform.WSClient do
  @moduledoc false
  # A WebSocket client by hand, for looking at the bytes. It belongs to the process that connects.

  import Bitwise

  alias GamePlatform.JSON

  defstruct [:tcp]

  @opcodes %{0 => :continuation, 1 => :text, 2 => :binary, 8 => :close, 9 => :ping, 10 => :pong}
  @codes Map.new(@opcodes, fn {code, name} -> {name, code} end)
  @wait_ms 5_000

  # `{:ok, client}`, or `{:refused, status, body}`.
  def connect(port, path, headers \\ []) do
    {:ok, tcp} = :gen_tcp.connect(~c"127.0.0.1", port, [:binary, active: false, packet: :raw, nodelay: true])

    request = [
      "GET #{path} HTTP/1.1\r\nHost: 127.0.0.1:#{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
      for({name, value} <- headers, do: "#{name}: #{value}\r\n"),
      "\r\n"
    ]

    :ok = :gen_tcp.send(tcp, request)
    {status, headers} = head(tcp)

    case status do
      101 ->
        # RFC 6455, section 1.3.
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" = headers["sec-websocket-accept"]
        {:ok, %__MODULE__{tcp: tcp}}

      status ->
        {:refused, status, body(tcp, headers)}
    end
  end

  defp head(tcp) do
    :ok = :inet.setopts(tcp, packet: :http_bin)
    {:ok, {:http_response, _, status, _}} = :gen_tcp.recv(tcp, 0, @wait_ms)
    headers = headers(tcp, %{})
    :ok = :inet.setopts(tcp, packet: :raw)
    {status, headers}
  end

  defp headers(tcp, found) do
    case :gen_tcp.recv(tcp, 0, @wait_ms) do
      {:ok, {:http_header, _, name, _, value}} ->
        headers(tcp, Map.put(found, String.downcase("#{name}"), value))

      {:ok, :http_eoh} ->
        found
    end
  end

  defp body(tcp, %{"content-length" => length}) do
    case String.to_integer(length) do
      0 -> ""
      length -> tcp |> :gen_tcp.recv(length, @wait_ms) |> elem(1)
    end
  end

  defp body(_, _), do: ""

  # One HTTP request on a connection of its own: `{status, headers, body}`.
  def request(port, method, path, headers \\ [], body \\ "") do
    {:ok, tcp} = :gen_tcp.connect(~c"127.0.0.1", port, [:binary, active: false])
    length = if body == "", do: "", else: "Content-Length: #{byte_size(body)}\r\n"
    more = for {name, value} <- headers, do: "#{name}: #{value}\r\n"

    head =
      "#{method} #{path} HTTP/1.1\r\nHost: 127.0.0.1:#{port}\r\nConnection: close\r\n#{length}#{more}\r\n"

    :ok = :gen_tcp.send(tcp, head <> body)
    {status, headers} = head(tcp)
    body = if method == "HEAD", do: "", else: body(tcp, headers)
    :gen_tcp.close(tcp)
    {status, headers, body}
  end

  def push(client, join_ref, ref, topic, event, payload),
    do: send_text(client, JSON.encode!([join_ref, ref, topic, event, payload]))

  # The binary form of a push, `docs/edge.md`.
  def push_binary(client, join_ref, ref, topic, event, payload) do
    lengths = for part <- [join_ref, ref, topic, event], do: byte_size(part)
    send_frame(client, :binary, IO.iodata_to_binary([0, lengths, join_ref, ref, topic, event, payload]))
  end

  def join(client, topic, params \\ %{}, ref \\ "1") do
    push(client, ref, ref, topic, "phx_join", params)
    recv_json(client)
  end

  def send_text(client, text), do: send_frame(client, :text, text)

  def send_frame(client, opcode, payload, fin \\ 1) do
    mask = :crypto.strong_rand_bytes(4)
    length = byte_size(payload)

    length =
      cond do
        length < 126 -> <<1::1, length::7>>
        length < 65_536 -> <<1::1, 126::7, length::16>>
        true -> <<1::1, 127::7, length::64>>
      end

    code = @codes[opcode]
    :gen_tcp.send(client.tcp, [<<fin::1, 0::3, code::4>>, length, mask, mask(payload, mask)])
  end

  defp mask(payload, mask) do
    key = :binary.copy(mask, div(byte_size(payload), 4) + 1)
    :crypto.exor(payload, binary_part(key, 0, byte_size(payload)))
  end

  # The next frame: `{:text, text}`, `{:binary, bytes}`, `{:close, code, reason}`, `{:ping, _}`, `{:pong, _}`, `:closed`.
  def recv(client, wait_ms \\ @wait_ms) do
    with {:ok, <<first, second>>} <- :gen_tcp.recv(client.tcp, 2, wait_ms),
         # Servers do not mask.
         0 = second >>> 7,
         {:ok, length} <- length(client, second &&& 127),
         {:ok, payload} <- take(client, length) do
      case {@opcodes[first &&& 15], payload} do
        {:close, <<code::16, reason::binary>>} -> {:close, code, reason}
        {opcode, payload} -> {opcode, payload}
      end
    else
      {:error, :timeout} -> :nothing
      {:error, _} -> :closed
    end
  end

  defp length(client, 126), do: number(client, 2)
  defp length(client, 127), do: number(client, 8)
  defp length(_, length), do: {:ok, length}

  defp number(client, bytes) do
    with {:ok, bytes} <- take(client, bytes), do: {:ok, :binary.decode_unsigned(bytes)}
  end

  defp take(_, 0), do: {:ok, ""}
  defp take(client, length), do: :gen_tcp.recv(client.tcp, length, @wait_ms)

  # The next frame, which is JSON text.
  def recv_json(client) do
    case recv(client) do
      {:text, text} -> text |> JSON.decode() |> elem(1)
      other -> other
    end
  end

  def close(client), do: :gen_tcp.close(client.tcp)
end
