defmodule GamePlatform.Persistence.Link do
  @moduledoc false
  # `gp_link`, which has the event log, under a `GamePlatform.NativeNode`.

  @behaviour GamePlatform.NativeNode

  alias GamePlatform.NativeNode

  # A log that was not closed is recovered when it is opened.
  @start_ms 60_000
  @up_ms 10_000
  @ping_ms 100
  @step_ms 50
  # Who writes to one log.
  @parts [:log, :mail]

  @typedoc """
    * `dir`: the absolute path of the data directory
    * `mode` (`:write`), `max_bytes` (0): as the request `open` takes them
    * `name`, and `native`: as `GamePlatform.NativeNode.start_link/1` takes them
    * `subscriber`: a process that is told what `subscribe/1` says
  """
  @type config :: %{
          required(:dir) => Path.t(),
          optional(:mode) => :write | :read,
          optional(:max_bytes) => non_neg_integer,
          optional(:name) => GenServer.name() | nil,
          optional(:native) => keyword,
          optional(:subscriber) => pid | nil
        }
  @type refusal :: {reason :: atom, sentence :: String.t()}

  def child_spec(config),
    do: %{id: __MODULE__, start: {__MODULE__, :start_link, [config]}, shutdown: 10_000}

  @spec start_link(config) :: GenServer.on_start()
  def start_link(%{dir: dir} = config) do
    defaults = %{mode: :write, max_bytes: 0, name: nil, native: [], subscriber: nil}
    config = defaults |> Map.merge(config) |> Map.put(:dir, Path.expand(dir))

    [
      name: config.name,
      program: Application.app_dir(:game_platform, "priv/native/gp_link"),
      server: :gp_link,
      handler: {__MODULE__, config},
      start_timeout_ms: @start_ms
    ]
    |> Keyword.merge(config.native)
    |> NativeNode.start_link()
  end

  @doc """
  From now on the calling process, in place of another one of its `part`, is told of the link of that name:

    * `{:link, :up, pid}`: `pid` is the process of `gp_link` that takes requests, and has the log open. It is told so in
      any case, if the link is up already, and may be told again: a run may end before it is known to be up, and then no
      other word comes of its end
    * `{:link, :down}`: all of that run is over
    * `{:link, :refused, {reason, sentence}}`: the log cannot be opened, which is tried again

  Returns the process of `gp_link`, if it is known by now, or nil.
  """
  @spec subscribe(GenServer.name(), :log | :mail) :: pid | nil
  def subscribe(name, part \\ :log) when part in @parts do
    # Read once in each beat, so that no run misses it.
    :persistent_term.put({__MODULE__, name, part}, self())

    case NativeNode.info(name) do
      %{state: :up, up: %{pid: pid}} -> pid
      _ -> nil
    end
  catch
    :exit, _ -> nil
  end

  @doc """
  Starts a link for the calling process alone, and waits until the log is open, or tells why it cannot be.
  """
  @spec open(config) ::
          {:ok, server :: pid} | {:error, :link_down | refusal | {:worker_not_started | atom, map}}
  def open(config) do
    with {:ok, server} <- start_link(Map.put(config, :subscriber, self())),
         do: opened(server, System.monotonic_time(:millisecond) + @up_ms)
  end

  defp opened(server, deadline) do
    receive do
      {:link, :up, _} -> {:ok, server}
      {:link, :refused, refusal} -> not_opened(server, {:error, refusal})
    after
      @step_ms ->
        # A program that cannot be started tells nobody.
        case NativeNode.await_up(server, 1) do
          {:error, {_, _}} = error ->
            not_opened(server, error)

          _ ->
            if System.monotonic_time(:millisecond) < deadline,
              do: opened(server, deadline),
              else: not_opened(server, {:error, :link_down})
        end
    end
  end

  defp not_opened(server, error) do
    close(server)
    error
  end

  @doc "Ends the link of `open/1`."
  @spec close(pid) :: :ok
  def close(server) do
    NativeNode.stop(server)
    flush()
  catch
    :exit, _ -> flush()
  end

  # What it told this process and nobody has read.
  defp flush do
    receive do
      {:link, _} -> flush()
      {:link, _, _} -> flush()
    after
      0 -> :ok
    end
  end

  @doc """
  Asks `gp_link`, which is waited for while it is being started. `{:error, :link_down}` if it does not come up, or went
  before it answered: then what was asked for may have been done.
  """
  @spec call(GenServer.server(), term, timeout) :: term | {:error, :link_down | {atom, map}}
  def call(server, request, timeout \\ :infinity) do
    case NativeNode.await_up(server, min(timeout, @up_ms)) do
      {:ok, %{up: %{pid: pid}}} -> GenServer.call(pid, request, timeout)
      {:error, :worker_down} -> {:error, :link_down}
      error -> error
    end
  catch
    :exit, _ -> {:error, :link_down}
  end

  @doc """
  Asks the process of `{:link, :up, pid}` without ever waiting: the answer comes as `{ref, answer}`. `:busy` if the
  channel to it is full, as it is to a program that hangs; `:down` if there is none. What is asked of a run that is over
  is lost.
  """
  @spec request(pid, term) :: {:ok, reference} | :busy | :down
  def request(pid, request) do
    ref = make_ref()

    case :erlang.send(pid, {:"$gen_call", {self(), ref}, request}, [:nosuspend, :noconnect]) do
      :ok -> {:ok, ref}
      :nosuspend -> :busy
      :noconnect -> :down
    end
  end

  @doc "Has the run of that process killed and replaced; a report on an earlier one is ignored."
  @spec replace(GenServer.server(), pid, term) :: :ok
  def replace(server, pid, details) do
    with %{up: %{pid: ^pid}, generation: generation} <- NativeNode.info(server),
         do: NativeNode.report_corrupt(server, generation, details)

    :ok
  catch
    :exit, _ -> :ok
  end

  @doc "What `gp_link` counts, with `os_pid` and `restarts`; nil if it does not tell in time."
  @spec stats(GenServer.server(), timeout) :: map | nil
  def stats(server, timeout \\ 500) do
    with %{state: :up, up: %{pid: pid}} = info <- NativeNode.info(server),
         %{} = stats <- GenServer.call(pid, :stats, timeout) do
      Map.merge(stats, Map.take(info, [:os_pid, :restarts]))
    else
      _ -> nil
    end
  catch
    :exit, _ -> nil
  end

  @impl NativeNode
  def handle_up(%{server: server}, config) do
    pid = GenServer.call(server, :self, @up_ms)
    options = %{mode: config.mode, max_bytes: config.max_bytes}

    case GenServer.call(pid, {:open, config.dir, options}, :infinity) do
      {:ok, %{version: _}} ->
        up = %{pid: pid, beat: :atomics.new(1, []), name: config.name, subscriber: config.subscriber}
        told = tell(up, [], {:link, :up, pid})
        spawn(fn -> beat(up, told) end)
        {:ok, up}

      {:error, {reason, sentence} = refusal} when is_atom(reason) and is_binary(sentence) ->
        tell(config, [], {:link, :refused, refusal})
        {:error, sentence}

      other ->
        {:error, other}
    end
  end

  # Returns whom it has told, those of `told` before.
  defp tell(config, told, message) do
    subscribers = subscribers(config)
    for pid <- subscribers, pid not in told, do: send(pid, message)
    subscribers
  end

  @doc false
  def subscribers(%{name: name, subscriber: subscriber}) do
    given =
      if name, do: for(part <- @parts, do: :persistent_term.get({__MODULE__, name, part}, nil)), else: []

    Enum.filter([subscriber | given], & &1)
  end

  # It has nothing to say by itself, so somebody asks it all the time whether it still answers.
  defp beat(up, told) do
    :pong = GenServer.call(up.pid, :ping, :infinity)
    :atomics.add(up.beat, 1, 1)
    told = tell(up, told, {:link, :up, up.pid})
    Process.sleep(@ping_ms)
    beat(up, told)
  catch
    :exit, _ -> :ok
  end

  @impl NativeNode
  def progress(%{beat: beat}), do: :atomics.get(beat, 1)

  @impl NativeNode
  def handle_down(up, _reason), do: tell(up, [], {:link, :down})
end
