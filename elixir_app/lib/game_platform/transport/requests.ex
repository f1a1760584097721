defmodule GamePlatform.Transport.Requests do
  @moduledoc false
  # Told of each request of a plain HTTP client by the edge: has it answered in a process of its own, which ends when
  # the client goes away.

  use GenServer

  require Logger

  alias GamePlatform.{JSON, Transport}
  alias GamePlatform.Transport.Egress

  # The edge has more patience than room: so many may wait for an answer. Given to it with its other limits.
  @most 20_000
  # An answer, in bytes: much more would keep all others waiting.
  @answer_bytes 8 * 1_048_576
  # For one that traps exits, when all goes down.
  @shutdown_ms 500

  # Bodies pass through here, which is not to keep them.
  def start_link(%{name: name} = config) do
    opts = [name: Transport.part(name, "Requests"), spawn_opt: [fullsweep_after: 20]]
    GenServer.start_link(__MODULE__, config, opts)
  end

  # Where the answers are made. There may be a few more than the edge has asked for: an answer that comes too late is
  # still being made.
  def handlers(%{name: name, limits: limits}) do
    most = Map.get(limits, :requests, @most)
    {Task.Supervisor, name: Transport.part(name, "Handlers"), max_children: most + div(most, 10) + 10}
  end

  # What the edge is told of requests.
  def listen(%{requests: nil}), do: %{}

  def listen(%{name: name, requests: {prefixes, _, _}}) do
    %{
      answerer: Process.whereis(Transport.part(name, "Requests")),
      request_paths: prefixes,
      requests: @most
    }
  end

  @impl true
  def init(%{name: name, requests: requests}) do
    {_, module, arg} = requests || {[], nil, nil}
    egress = Transport.egress(name)
    {:ok, %{handlers: Transport.part(name, "Handlers"), call: {egress, module, arg}, clients: %{}, pids: %{}}}
  end

  # `clients`: monitor of a client => pid that answers it. `pids`: monitor of that one => client and its number.
  @impl true
  def handle_info({:gp_request, client, n, info}, %{call: {egress, _, _} = call} = state) do
    request = Map.put(info, :client, client)

    case Task.Supervisor.start_child(state.handlers, __MODULE__, :answer, [n, request, call],
           shutdown: @shutdown_ms
         ) do
      {:ok, pid} ->
        gone = Process.monitor(client)
        ended = Process.monitor(pid)
        clients = Map.put(state.clients, gone, {pid, ended})
        pids = Map.put(state.pids, ended, {client, n, info.request_id})
        {:noreply, %{state | clients: clients, pids: pids}}

      {:error, _} ->
        respond(egress, client, n, busy())
        {:noreply, state}
    end
  end

  def handle_info({:DOWN, monitor, :process, _, reason}, state) do
    case state do
      %{clients: %{^monitor => {pid, ended}}} -> {:noreply, gone(state, monitor, pid, ended)}
      %{pids: %{^monitor => answering}} -> {:noreply, ended(state, monitor, answering, reason)}
      _ -> {:noreply, state}
    end
  end

  def handle_info(_, state), do: {:noreply, state}

  # The second signal is for one that traps exits; to all others the first is no crash to be logged.
  defp gone(state, monitor, pid, ended) do
    if is_map_key(state.pids, ended) do
      Process.demonitor(ended, [:flush])
      Process.exit(pid, {:shutdown, :client_gone})
      Process.exit(pid, :kill)
    end

    %{state | clients: Map.delete(state.clients, monitor), pids: Map.delete(state.pids, ended)}
  end

  # Its client is still there, and will be told to be gone when it has its answer.
  defp ended(%{call: {egress, module, _}} = state, monitor, {client, n, request_id}, reason) do
    case reason do
      :normal ->
        :ok

      # It was ready before it was watched.
      :noproc ->
        :ok

      # All goes down.
      :shutdown ->
        respond(egress, client, n, busy())

      _ ->
        Logger.error("#{inspect(module)} was ended in handle: #{inspect(reason)}", request_id: request_id)
        respond(egress, client, n, failed())
    end

    %{state | pids: Map.delete(state.pids, monitor)}
  end

  @doc false
  def answer(n, request, {egress, module, arg}) do
    Logger.metadata(request_id: request.request_id)
    respond(egress, request.client, n, handle(module, request, arg))
  end

  defp handle(module, request, arg) do
    case module.handle(request, arg) do
      {status, headers, body} when status in 200..599 and is_list(headers) ->
        checked(status, headers, IO.iodata_to_binary(body))

      # Not shown, as it may hold what only the client is to know.
      _ ->
        raise "handle/2 is to answer {status, headers, body} with a status of 200 to 599"
    end
  catch
    kind, reason ->
      stack = without_arguments(__STACKTRACE__)
      Logger.error("#{inspect(module)} failed in handle: " <> Exception.format(kind, reason, stack))
      failed()
  end

  defp checked(status, headers, body) do
    unless Enum.all?(headers, &header?/1), do: raise("headers are pairs of strings without line breaks")

    if byte_size(body) > @answer_bytes,
      do: raise("a body has at most #{@answer_bytes} bytes: answer in parts")

    {status, headers, body}
  end

  defp header?({name, value}) when is_binary(name) and is_binary(value),
    do: name =~ ~r/\A[!#$%&'*+.^_`|~0-9A-Za-z-]+\z/ and not String.contains?(value, ["\r", "\n", "\0"])

  defp header?(_), do: false

  # Where no clause fits, these are the parameters and headers of the client, with its token.
  defp without_arguments(stack) do
    for {module, function, arguments, location} <- stack,
        do: {module, function, if(is_list(arguments), do: length(arguments), else: arguments), location}
  end

  defp respond(egress, client, n, {status, headers, body}),
    do: Egress.respond(egress, Egress.run(client), n, status, headers, body)

  defp failed do
    error(
      500,
      [],
      "internal",
      "the server has failed at this request: what happened is in its log, under the X-Request-Id"
    )
  end

  defp busy do
    again = [{"retry-after", "1"}]
    error(503, again, "unavailable", "the server answers as many requests as it can: try again")
  end

  defp error(status, headers, code, message) do
    body = JSON.encode!(%{error: %{code: code, message: message}})
    {status, [{"content-type", "application/json"} | headers], body}
  end
end
