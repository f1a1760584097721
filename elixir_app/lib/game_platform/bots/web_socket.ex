defmodule GamePlatform.Bots.WebSocket do
  @moduledoc false
  # The client's side of a WebSocket (RFC 6455), frame by frame. It belongs to the process that connects, which asks for
  # what comes.

  import Bitwise

  defstruct [:tcp]

  @type t :: %__MODULE__{}
  @type frame ::
          {:text | :binary | :ping | :pong | :continuation, binary} | {:close, 1000..4999, binary}

  @opcodes %{0 => :continuation, 1 => :text, 2 => :binary, 8 => :close, 9 => :ping, 10 => :pong}
  @codes Map.new(@opcodes, fn {code, name} -> {name, code} end)
  @guid "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
  @wait_ms 5_000
  @options [:binary, active: false, packet: :raw, nodelay: true]

  @spec connect(String.t(), :inet.port_number(), String.t(), [{String.t(), String.t()}]) ::
          {:ok, t} | {:refused, status :: pos_integer, body :: String.t()} | {:error, term}
  def connect(host, port, path, headers \\ []) do
    key = Base.encode64(:crypto.strong_rand_bytes(16))

    request = [
      "GET #{path} HTTP/1.1\r\nHost: #{host}:#{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: #{key}\r\n",
      for({name, value} <- headers, do: "#{name}: #{value}\r\n"),
      "\r\n"
    ]

    with {:ok, tcp} <- :gen_tcp.connect(to_charlist(host), port, @options, @wait_ms),
         :ok <- :gen_tcp.send(tcp, request),
         {:ok, status, headers} <- response(tcp) do
      cond do
        status != 101 -> {:refused, status, body(tcp, headers)}
        headers["sec-websocket-accept"] == accept(key) -> {:ok, %__MODULE__{tcp: tcp}}
        true -> {:error, :wrong_accept}
      end
    end
  end

  defp accept(key), do: Base.encode64(:crypto.hash(:sha, key <> @guid))

  @doc "The head of a response: its status and its headers, by names in lower case."
  @spec response(:gen_tcp.socket()) :: {:ok, pos_integer, %{String.t() => String.t()}} | {:error, term}
  def response(tcp) do
    with :ok <- :inet.setopts(tcp, packet: :http_bin),
         {:ok, {:http_response, _, status, _}} <- :gen_tcp.recv(tcp, 0, @wait_ms),
         {:ok, headers} <- headers(tcp, %{}),
         :ok <- :inet.setopts(tcp, packet: :raw) do
      {:ok, status, headers}
    else
      {:ok, _} -> {:error, :no_http}
      error -> error
    end
  end

  defp headers(tcp, found) do
    case :gen_tcp.recv(tcp, 0, @wait_ms) do
      {:ok, {:http_header, _, name, _, value}} ->
        headers(tcp, Map.put(found, String.downcase("#{name}"), value))

      {:ok, :http_eoh} ->
        {:ok, found}

      {:ok, _} ->
        {:error, :no_http}

      error ->
        error
    end
  end

  @doc "The body that the headers announce."
  @spec body(:gen_tcp.socket(), map) :: binary
  def body(tcp, %{"content-length" => length}) do
    with length when length > 0 <- String.to_integer(length),
         {:ok, body} <- :gen_tcp.recv(tcp, length, @wait_ms) do
      body
    else
      _ -> ""
    end
  end

  def body(_, _), do: ""

  @spec send_frame(t, atom, binary, 0 | 1) :: :ok | {:error, term}
  def send_frame(client, opcode, payload, fin \\ 1) do
    mask = :crypto.strong_rand_bytes(4)
    size = byte_size(payload)

    length =
      cond do
        size < 126 -> <<1::1, size::7>>
        size < 65_536 -> <<1::1, 126::7, size::16>>
        true -> <<1::1, 127::7, size::64>>
      end

    code = Map.fetch!(@codes, opcode)
    :gen_tcp.send(client.tcp, [<<fin::1, 0::3, code::4>>, length, mask, mask(payload, mask)])
  end

  defp mask(payload, mask) do
    key = :binary.copy(mask, div(byte_size(payload), 4) + 1)
    :crypto.exor(payload, binary_part(key, 0, byte_size(payload)))
  end

  @doc "The next frame; `:nothing` if none begins in time, `:closed` if there will be none."
  @spec recv(t, timeout) :: frame | :nothing | :closed
  def recv(client, wait_ms \\ @wait_ms) do
    with {:ok, <<first, second>>} <- :gen_tcp.recv(client.tcp, 2, wait_ms),
         # Servers do not mask.
         0 <- second >>> 7,
         {:ok, length} <- length(client, second &&& 127),
         {:ok, payload} <- take(client, length) do
      case {@opcodes[first &&& 15], payload} do
        {:close, <<code::16, reason::binary>>} -> {:close, code, reason}
        {opcode, payload} -> {opcode, payload}
      end
    else
      {:error, :timeout} -> :nothing
      _ -> :closed
    end
  end

  defp length(client, 126), do: number(client, 2)
  defp length(client, 127), do: number(client, 8)
  defp length(_, length), do: {:ok, length}

  defp number(client, bytes) do
    with {:ok, bytes} <- take(client, bytes), do: {:ok, :binary.decode_unsigned(bytes)}
  end

  # The rest of a frame that has begun.
  defp take(_, 0), do: {:ok, ""}

  defp take(client, length) do
    with {:error, :timeout} <- :gen_tcp.recv(client.tcp, length, @wait_ms), do: {:error, :closed}
  end

  @spec close(t) :: :ok
  def close(client), do: :gen_tcp.close(client.tcp)
end
