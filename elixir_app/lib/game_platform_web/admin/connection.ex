defmodule GamePlatformWeb.Admin.Connection do
  @moduledoc false
  # The process of one connection: requests in, answers out, until either side has enough.

  alias GamePlatformWeb.Admin.{Request, Response, Routes}

  # Closing a socket with unread bytes in it resets the connection, and the peer may lose the answer.
  @linger_ms 500
  @linger_bytes 262_144
  @handover_ms 5_000

  def start(options) do
    receive do
      {:serve, socket} -> serve(socket, "", options, options.head_ms)
    after
      @handover_ms -> :ok
    end
  end

  # Called by the acceptor, which must not wait.
  def refuse(socket) do
    answer = Response.error(503, "too_many_connections", "all connections are in use; try again in a second")
    _ = :gen_tcp.send(socket, Response.encode(answer, close: true))
    _ = :gen_tcp.shutdown(socket, :write)
    :gen_tcp.close(socket)
  end

  defp serve(socket, buffer, options, wait_ms) do
    case Request.read(socket, buffer, wait_ms, options) do
      {:ok, request, buffer} ->
        answer = Routes.answer(request, options)
        sent = :gen_tcp.send(socket, Response.encode(answer, head: request.head?, close: request.close?))

        cond do
          sent != :ok -> :gen_tcp.close(socket)
          request.close? -> linger(socket)
          true -> serve(socket, buffer, options, options.idle_ms)
        end

      {:error, answer} ->
        _ = :gen_tcp.send(socket, Response.encode(answer, close: true))
        linger(socket)

      :closed ->
        :gen_tcp.close(socket)
    end
  end

  defp linger(socket) do
    _ = :gen_tcp.shutdown(socket, :write)
    drain(socket, System.monotonic_time(:millisecond) + @linger_ms, @linger_bytes)
    :gen_tcp.close(socket)
  end

  defp drain(socket, deadline, left) do
    with ms when ms > 0 and left > 0 <- deadline - System.monotonic_time(:millisecond),
         {:ok, bytes} <- :gen_tcp.recv(socket, 0, ms) do
      drain(socket, deadline, left - byte_size(bytes))
    end
  end
end
