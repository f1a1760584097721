defmodule GamePlatformWeb.Admin.Request do
  @moduledoc false
  # Reads one request from a socket with OTP's parser, within limits of size, number and time. The parser is fed
  # by hand: a socket that parses for itself is closed by a line that is too long, and could not answer.

  alias GamePlatformWeb.Admin.Response

  @max_length_digits 12

  # `{:ok, request, rest}`, where rest belongs to the next one, `{:error, response}`, or `:closed`.
  def read(socket, buffer, wait_ms, options) do
    state = %{
      socket: socket,
      buffer: buffer,
      options: options,
      deadline: now_ms() + wait_ms,
      # Bytes of the head that are behind us.
      taken: 0
    }

    with {:ok, state} <- begin(state),
         {:ok, method, target, version, state} <- request_line(state),
         {:ok, headers, state} <- headers(state, []),
         {:ok, path} <- path(target),
         :ok <- host(version, headers),
         {:ok, length} <- content_length(headers, options),
         expects? = Map.has_key?(headers, "expect"),
         {:ok, state} <- if(expects?, do: {:ok, state}, else: skip_body(state, length)) do
      # A client that waits to be told to go on is not, and may or may not send its body.
      close? = close?(version, headers) or (expects? and length > 0)
      {:ok, %{method: method, path: path, head?: method == "HEAD", close?: close?}, state.buffer}
    end
  end

  # Until the first byte nothing has been asked, and silence needs no answer.
  defp begin(%{buffer: "\r\n" <> rest} = state), do: begin(%{state | buffer: rest})

  defp begin(%{buffer: buffer} = state) when buffer in ["", "\r"] do
    case :gen_tcp.recv(state.socket, 0, left_ms(state)) do
      {:ok, bytes} -> begin(%{state | buffer: buffer <> bytes})
      {:error, _} -> :closed
    end
  end

  defp begin(%{buffer: <<22, _::binary>>}), do: bad("this port speaks HTTP, not HTTPS")
  defp begin(state), do: {:ok, %{state | deadline: now_ms() + state.options.head_ms}}

  defp request_line(state) do
    too_long = Response.error(414, "uri_too_long", "the request line is too long")

    case line(state, :http_bin, too_long) do
      {:ok, {:http_request, method, target, {1, minor}}, state} ->
        {:ok, to_string(method), target, minor, state}

      {:ok, {:http_request, _, _, {0, _}}, _} ->
        bad("the request line has no version of HTTP")

      {:ok, {:http_request, _, _, _}, _} ->
        {:error, Response.error(505, "http_version_not_supported", "HTTP/1.1 is spoken here")}

      {:ok, _, _} ->
        bad("the first line is no request of HTTP")

      other ->
        other
    end
  end

  defp headers(%{options: %{max_headers: max}}, headers) when length(headers) > max,
    do: {:error, Response.error(431, "too_many_headers", "there may be #{max} headers")}

  defp headers(state, headers) do
    too_large = Response.error(431, "headers_too_large", "the headers are too large")

    case line(state, :httph_bin, too_large) do
      {:ok, {:http_header, _, name, _, value}, state} when name != "" ->
        headers(state, [{name |> to_string() |> String.downcase(:ascii), value} | headers])

      {:ok, :http_eoh, state} ->
        {:ok, Enum.group_by(headers, &elem(&1, 0), &elem(&1, 1)), state}

      {:ok, _, _} ->
        bad("a header is malformed")

      other ->
        other
    end
  end

  defp line(%{buffer: buffer, taken: taken, options: %{max_head_bytes: max}} = state, type, too_large) do
    case :erlang.decode_packet(type, buffer, []) do
      {:ok, packet, rest} ->
        taken = taken + byte_size(buffer) - byte_size(rest)
        if taken > max, do: {:error, too_large}, else: {:ok, packet, %{state | buffer: rest, taken: taken}}

      {:more, _} when taken + byte_size(buffer) > max ->
        {:error, too_large}

      {:more, _} ->
        with {:ok, state} <- receive_more(state), do: line(state, type, too_large)

      {:error, _} ->
        bad("this is no HTTP")
    end
  end

  defp receive_more(state) do
    case :gen_tcp.recv(state.socket, 0, left_ms(state)) do
      {:ok, bytes} -> {:ok, %{state | buffer: state.buffer <> bytes}}
      {:error, :timeout} -> {:error, Response.error(408, "request_timeout", "the request came too slowly")}
      {:error, _} -> :closed
    end
  end

  defp path({:abs_path, path}), do: without_query(path)
  defp path({:absoluteURI, _, _, _, path}), do: without_query(path)
  defp path(:*), do: {:ok, "*"}
  defp path(_), do: bad("the target of the request is no path")

  defp without_query(path), do: {:ok, path |> :binary.split(["?", "#"]) |> hd()}

  # HTTP/1.0 had no host.
  defp host(minor, headers) do
    case Map.get(headers, "host", []) do
      [_] -> :ok
      [] when minor == 0 -> :ok
      _ -> bad("there must be one header Host")
    end
  end

  # Two answers to where a request ends are an attack.
  defp content_length(%{"transfer-encoding" => _}, _),
    do: {:error, Response.error(411, "length_required", "a body must have Content-Length")}

  defp content_length(%{"content-length" => [text]}, %{max_body_bytes: max}) do
    if text =~ ~r/\A[0-9]+\z/ do
      length = if byte_size(text) > @max_length_digits, do: :infinity, else: String.to_integer(text)

      if length > max,
        do: {:error, Response.error(413, "too_large", "a body may have #{max} bytes")},
        else: {:ok, length}
    else
      bad("Content-Length is no number")
    end
  end

  defp content_length(%{"content-length" => _}, _), do: bad("there is more than one Content-Length")
  defp content_length(_, _), do: {:ok, 0}

  defp skip_body(state, length), do: skip(%{state | deadline: now_ms() + state.options.head_ms}, length)

  defp skip(%{buffer: buffer} = state, length) when byte_size(buffer) >= length,
    do: {:ok, %{state | buffer: binary_part(buffer, length, byte_size(buffer) - length)}}

  defp skip(%{buffer: buffer} = state, length) do
    with {:ok, state} <- receive_more(%{state | buffer: ""}), do: skip(state, length - byte_size(buffer))
  end

  defp close?(minor, headers) do
    tokens =
      headers
      |> Map.get("connection", [])
      |> Enum.flat_map(&String.split(String.downcase(&1, :ascii), [",", " ", "\t"], trim: true))

    if minor == 0, do: "keep-alive" not in tokens, else: "close" in tokens
  end

  defp bad(message), do: {:error, Response.error(400, "malformed", message)}

  defp left_ms(%{deadline: deadline}), do: max(deadline - now_ms(), 0)
  defp now_ms, do: System.monotonic_time(:millisecond)
end
