defmodule GamePlatform.HTTPClient do
  @moduledoc "HTTP/1.1 by hand, so that a test decides about each byte."

  @watchdog_ms 20_000

  def connect(port, address \\ {127, 0, 0, 1}) do
    family = if tuple_size(address) == 8, do: [:inet6], else: []
    {:ok, socket} = :gen_tcp.connect(address, port, family ++ [:binary, active: false, packet: :raw])
    socket
  end

  @doc "One request on a connection of its own; `{status, headers, body}` with lowercase names."
  def request(port, method, path, headers \\ [], body \\ "") do
    socket = connect(port)

    lines =
      for {name, value} <- [{"Host", "localhost"}, {"Connection", "close"} | headers],
          do: "#{name}: #{value}\r\n"

    :ok = :gen_tcp.send(socket, ["#{method} #{path} HTTP/1.1\r\n", lines, "\r\n", body])
    answer = receive_response(socket, method == "HEAD")
    :closed = receive_response(socket)
    answer
  end

  @doc "The next answer on a connection, or `:closed`."
  def receive_response(socket, head? \\ false) do
    :ok = :inet.setopts(socket, packet: :http_bin)

    case :gen_tcp.recv(socket, 0, @watchdog_ms) do
      {:ok, {:http_response, {1, 1}, status, _}} ->
        headers = receive_headers(socket, %{})
        :ok = :inet.setopts(socket, packet: :raw)
        length = String.to_integer(headers["content-length"] || "0")

        body =
          if head? or length == 0 do
            ""
          else
            {:ok, body} = :gen_tcp.recv(socket, length, @watchdog_ms)
            body
          end

        {status, headers, body}

      {:error, reason} when reason in [:closed, :enotconn, :econnreset] ->
        :closed
    end
  end

  defp receive_headers(socket, headers) do
    case :gen_tcp.recv(socket, 0, @watchdog_ms) do
      {:ok, {:http_header, _, name, _, value}} ->
        receive_headers(socket, Map.put(headers, name |> to_string() |> String.downcase(), value))

      {:ok, :http_eoh} ->
        headers
    end
  end
end
