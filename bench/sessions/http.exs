defmodule GamePlatform.Bench.Sessions.Http do
  # HTTP/1.1 on a connection that is kept.

  alias GamePlatform.{CLI, JSON}

  @wait_ms 60_000
  @options [:binary, active: false, packet: :raw, nodelay: true]

  def connect(port), do: CLI.ok!(:gen_tcp.connect({127, 0, 0, 1}, port, @options))

  # `{status, body}`, with a body that is JSON.
  def request(socket, method, path, headers \\ [], body \\ "") do
    lines =
      for {name, value} <- [{"host", "localhost"}, {"content-length", byte_size(body)} | headers],
          do: [name, ": ", to_string(value), "\r\n"]

    :ok = :gen_tcp.send(socket, [method, " ", path, " HTTP/1.1\r\n", lines, "\r\n", body])
    :ok = :inet.setopts(socket, packet: :http_bin)
    {:ok, {:http_response, _, status, _}} = :gen_tcp.recv(socket, 0, @wait_ms)
    length = headers(socket, 0)
    :ok = :inet.setopts(socket, packet: :raw)
    {status, if(length > 0, do: socket |> body(length) |> JSON.decode() |> CLI.ok!())}
  end

  defp headers(socket, length) do
    case CLI.ok!(:gen_tcp.recv(socket, 0, @wait_ms)) do
      :http_eoh -> length
      {:http_header, _, :"Content-Length", _, value} -> headers(socket, String.to_integer(value))
      _ -> headers(socket, length)
    end
  end

  defp body(socket, length), do: CLI.ok!(:gen_tcp.recv(socket, length, @wait_ms))

  # A session of its own: what `POST /api/v1/connect` answers.
  def session(socket) do
    {201, session} = request(socket, "POST", "/api/v1/connect", [], "{}")
    session
  end

  def bearer(%{"token" => token}), do: [{"authorization", "Bearer " <> token}]
end
