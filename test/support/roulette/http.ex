defmodule GamePlatform.Roulette.Http do
  @moduledoc false
  # HTTP/1.1 for clients whose network fails: every end of a connection, and every wait that is over, is an answer.

  alias GamePlatform.JSON

  @connect_ms 2_000
  @options [:binary, active: false, packet: :raw, nodelay: true]

  @type answer :: {:ok, status :: pos_integer, headers :: map, body :: term} | {:error, term}

  @spec connect(:inet.port_number()) :: {:ok, :gen_tcp.socket()} | {:error, term}
  def connect(port), do: :gen_tcp.connect({127, 0, 0, 1}, port, @options, @connect_ms)

  @doc "One request on an open connection; the body of the answer is decoded if it is JSON."
  @spec request(:gen_tcp.socket(), String.t(), String.t(), keyword) :: answer
  def request(socket, method, path, opts \\ []) do
    with :ok <- ask(socket, method, path, opts), do: answer(socket, opts[:wait_ms] || @connect_ms)
  end

  @doc "Sends a request; `answer/2` waits for what is said to it."
  @spec ask(:gen_tcp.socket(), String.t(), String.t(), keyword) :: :ok | {:error, term}
  def ask(socket, method, path, opts) do
    body = opts[:body] || ""

    lines =
      [{"host", "localhost"}, {"content-length", byte_size(body)} | opts[:headers] || []]
      |> Enum.map(fn {name, value} -> "#{name}: #{value}\r\n" end)

    :gen_tcp.send(socket, ["#{method} #{path} HTTP/1.1\r\n", lines, "\r\n", body])
  end

  @spec answer(:gen_tcp.socket(), non_neg_integer) :: answer
  def answer(socket, wait_ms) do
    until = now_ms() + wait_ms

    with :ok <- :inet.setopts(socket, packet: :http_bin),
         {:ok, {:http_response, _, status, _}} <- recv(socket, 0, until),
         {:ok, headers} <- headers(socket, %{}, until),
         :ok <- :inet.setopts(socket, packet: :raw),
         {:ok, body} <- body(socket, status, headers, until) do
      {:ok, status, headers, body}
    else
      {:ok, other} -> {:error, other}
      error -> error
    end
  end

  defp headers(socket, found, until) do
    case recv(socket, 0, until) do
      {:ok, {:http_header, _, name, _, value}} ->
        headers(socket, Map.put(found, String.downcase("#{name}"), value), until)

      {:ok, :http_eoh} ->
        {:ok, found}

      other ->
        other
    end
  end

  defp body(_, 204, _, _), do: {:ok, nil}

  defp body(socket, _, headers, until) do
    with length when length > 0 <- String.to_integer(headers["content-length"] || "0"),
         {:ok, body} <- recv(socket, length, until) do
      if headers["content-type"] =~ "json", do: JSON.decode(body), else: {:ok, body}
    else
      0 -> {:ok, nil}
      error -> error
    end
  end

  defp recv(socket, length, until), do: :gen_tcp.recv(socket, length, max(until - now_ms(), 0))

  defp now_ms, do: System.monotonic_time(:millisecond)
end
