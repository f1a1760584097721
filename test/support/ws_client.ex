defmodule GamePlatform.WSClient do
  @moduledoc false
  # A WebSocket client by hand, for looking at the bytes. It belongs to the process that connects.

  alias GamePlatform.Bots.WebSocket
  alias GamePlatform.JSON

  # `{:ok, client}`, or `{:refused, status, body}`.
  def connect(port, path, headers \\ []), do: WebSocket.connect("127.0.0.1", port, path, headers)

  # One HTTP request on a connection of its own: `{status, headers, body}`.
  def request(port, method, path, headers \\ [], body \\ "") do
    {:ok, tcp} = :gen_tcp.connect(~c"127.0.0.1", port, [:binary, active: false])
    length = if body == "", do: "", else: "Content-Length: #{byte_size(body)}\r\n"
    more = for {name, value} <- headers, do: "#{name}: #{value}\r\n"

    head =
      "#{method} #{path} HTTP/1.1\r\nHost: 127.0.0.1:#{port}\r\nConnection: close\r\n#{length}#{more}\r\n"

    :ok = :gen_tcp.send(tcp, head <> body)
    {:ok, status, headers} = WebSocket.response(tcp)
    body = if method == "HEAD", do: "", else: WebSocket.body(tcp, headers)
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

  defdelegate send_frame(client, opcode, payload, fin \\ 1), to: WebSocket

  # The next frame: `{:text, text}`, `{:binary, bytes}`, `{:close, code, reason}`, `{:ping, _}`, `{:pong, _}`, `:nothing`,
  # `:closed`.
  defdelegate recv(client, wait_ms \\ 5_000), to: WebSocket
  defdelegate close(client), to: WebSocket

  # The next frame, which is JSON text.
  def recv_json(client) do
    case recv(client) do
      {:text, text} -> text |> JSON.decode() |> elem(1)
      other -> other
    end
  end
end
