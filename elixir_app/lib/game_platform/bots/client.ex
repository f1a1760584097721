defmodule GamePlatform.Bots.Client do
  @moduledoc false
  # A client of Phoenix Channels, version 2, on one topic: asks and waits for the answer, and keeps the outcomes that
  # come meanwhile. It belongs to the process that connects.

  alias GamePlatform.Bots.WebSocket
  alias GamePlatform.JSON

  @topic "world:main"
  @answer_ms 30_000
  @heartbeat_ms 20_000

  # `outcomes`: action_id => what was pushed.
  defstruct [:ws, :sent, :join, ref: 1, outcomes: %{}]

  @type t :: %__MODULE__{}
  @type reply :: {:ok | :error, map, t}

  @doc "Connects, with parameters such as `token:`, to a URL such as `ws://127.0.0.1:4000/socket/websocket`; `{:error, sentence}` if that is not possible."
  @spec connect(String.t(), keyword) :: {:ok, t} | {:error, String.t()}
  def connect(url, params \\ []) do
    with {:ok, host, port, path} <- parse(url) do
      query = URI.encode_query([{:vsn, "2.0.0"} | params])

      case WebSocket.connect(host, port, path <> "?" <> query) do
        {:ok, ws} -> {:ok, %__MODULE__{ws: ws, sent: now_ms()}}
        {:refused, status, body} -> {:error, "#{url} answers #{status}: #{String.slice(body, 0, 200)}"}
        {:error, reason} -> {:error, "#{url} cannot be reached: #{describe(reason)}"}
      end
    end
  end

  @doc "Host, port and path of a URL."
  @spec parse(String.t()) :: {:ok, String.t(), :inet.port_number(), String.t()} | {:error, String.t()}
  def parse(url) do
    case URI.parse(url) do
      %{scheme: "ws", host: host, port: port, path: path, query: nil} when is_binary(host) and host != "" ->
        {:ok, host, port || 80, path || "/socket/websocket"}

      _ ->
        {:error, "#{inspect(url)} is no URL like ws://127.0.0.1:4000/socket/websocket"}
    end
  end

  defp describe(reason) when is_atom(reason), do: "#{:inet.format_error(reason)}"
  defp describe(reason), do: inspect(reason)

  @doc "Joins the world."
  @spec join(t, map) :: reply | {:closed, String.t()}
  def join(client, params \\ %{}) do
    ref = Integer.to_string(client.ref)
    ask(%{client | join: ref}, "phx_join", params)
  end

  @doc "Pushes an event and waits for its answer."
  @spec ask(t, String.t(), map) :: reply | {:closed, String.t()}
  def ask(client, event, payload) do
    ref = Integer.to_string(client.ref)
    client = send_text(client, [client.join, ref, @topic, event, payload])
    await(%{client | ref: client.ref + 1}, ref, now_ms() + @answer_ms)
  end

  defp await(client, ref, until) do
    case next(client, until) do
      {:reply, ^ref, status, response, client} -> {status, response, client}
      {:reply, _, _, _, client} -> await(client, ref, until)
      {:ok, client} -> await(client, ref, until)
      {:nothing, _} -> {:closed, "no answer within #{@answer_ms} ms"}
      {:closed, _} = closed -> closed
    end
  end

  @doc "Takes what comes for so many milliseconds, or until `done?` likes the client."
  @spec listen(t, non_neg_integer, (t -> boolean)) :: {:ok, t} | {:closed, String.t()}
  def listen(client, ms, done? \\ fn _ -> false end), do: listen_until(client, now_ms() + ms, done?)

  defp listen_until(client, until, done?) do
    if done?.(client) do
      {:ok, client}
    else
      case next(client, until) do
        {:reply, _, _, _, client} -> listen_until(client, until, done?)
        {:ok, client} -> listen_until(client, until, done?)
        {:nothing, client} -> {:ok, client}
        {:closed, _} = closed -> closed
      end
    end
  end

  defp next(client, until) do
    client = heartbeat(client)

    case WebSocket.recv(client.ws, min(max(until - now_ms(), 0), @heartbeat_ms)) do
      {:text, text} ->
        {:ok, message} = JSON.decode(text)
        took(message, client)

      {:binary, _} ->
        {:ok, client}

      :nothing ->
        if now_ms() >= until, do: {:nothing, client}, else: {:ok, client}

      {:close, code, reason} ->
        {:closed, "closed with #{code} #{reason}"}

      {:ping, payload} ->
        WebSocket.send_frame(client.ws, :pong, payload)
        {:ok, client}

      :closed ->
        {:closed, "the connection ended"}

      _ ->
        {:ok, client}
    end
  end

  defp took([_, ref, _, "phx_reply", %{"status" => "ok", "response" => response}], client),
    do: {:reply, ref, :ok, response, client}

  defp took([_, ref, _, "phx_reply", %{"response" => response}], client),
    do: {:reply, ref, :error, response, client}

  defp took([_, _, _, "outcome", %{"action_id" => id} = outcome], client),
    do: {:ok, put_in(client.outcomes[id], outcome)}

  defp took([_, _, @topic, event, _], _) when event in ["phx_error", "phx_close"],
    do: {:closed, "the channel ended with #{event}"}

  defp took(_, client), do: {:ok, client}

  @doc "The outcome of an action, which is then forgotten; nil if it has not come."
  @spec take_outcome(t, String.t()) :: {map | nil, t}
  def take_outcome(client, id) do
    {outcome, outcomes} = Map.pop(client.outcomes, id)
    {outcome, %{client | outcomes: outcomes}}
  end

  # Who says nothing for a minute is taken for gone.
  defp heartbeat(client) do
    if now_ms() - client.sent >= @heartbeat_ms,
      do: send_text(client, [nil, "heartbeat", "phoenix", "heartbeat", %{}]),
      else: client
  end

  # A connection that has ended is noticed by who waits for the answer.
  defp send_text(client, message) do
    WebSocket.send_frame(client.ws, :text, JSON.encode!(message))
    %{client | sent: now_ms()}
  end

  @spec close(t) :: :ok
  def close(client), do: WebSocket.close(client.ws)

  defp now_ms, do: System.monotonic_time(:millisecond)
end
