defmodule GamePlatform.Mail do
  @moduledoc false
  # What a client must get exactly once and in order: outcomes of actions, and events. Each has a number, its `seq`, which
  # one process of the instance gives, the sequencer (`Mail.Sequencer`). A message goes to a *box*, `{:topic, name}` or
  # `{:player, name}`, and a client reads some boxes, merged by `seq`.
  #
  #   stamped ──> written to the event log ──> in the tables ──> told: attached processes and sockets get it
  #
  # A message is told only once it is durable, in an instance that has a data directory. So a `seq` that anybody has
  # seen is in the log, and whoever comes after the sequencer, or after all of this VM, begins above it. What was not
  # durable is stamped anew. Who was attached when the sequencer died cannot know which of its last messages have gone
  # out to a socket: the client is to join again and to say which it has seen.

  alias GamePlatform.{Compute, Instance, JSON}
  alias GamePlatform.Game.Simulation.WorldServer
  alias GamePlatform.Mail.{Sequencer, Store}
  alias GamePlatform.Socket

  @type game :: atom
  @type seq :: non_neg_integer
  @type tick :: non_neg_integer
  @type box :: Store.box()
  @typedoc "`json` is the text of an object."
  @type message :: Store.message()
  @type target :: {:pid, pid} | {:socket, Socket.t()}
  @type refusal :: {:error, :not_running | {:log_behind, String.t()}}

  @limit 100
  @bytes 262_144
  @payload_bytes 16_384
  @reserved ~w(diff keyframe gap outcome)
  # Longer than a disk that is well takes.
  @post_ms 10_000
  @begin_ms 60_000
  @sync_ms 5_000

  @doc "The tables of an instance, which belong to the calling process."
  @spec new_tables(game) :: :ok
  def new_tables(game), do: Store.new(game)

  @doc "The number of the newest message that is told; 0 if there has been none, or no such instance is running."
  @spec last(game) :: seq
  def last(game) do
    game |> Store.tables() |> Store.last() |> elem(0)
  rescue
    ArgumentError -> 0
  end

  @doc """
  The messages of these boxes after the number `from`, in order. `next` is to be read from the next time: there is
  nothing else up to it. If some of what was there is not kept any more, all that is told of that time is
  `{:gap, {first, last}, messages, next}`; the messages are those after it.

  Options: `:limit` (100) and `:bytes` (262,144), the most of an answer, which has one message at least if there is one.
  """
  @spec read(game, [box], seq, keyword) ::
          {:ok, [message], seq} | {:gap, {seq, seq}, [message], seq} | {:error, :not_running}
  def read(game, boxes, from, opts \\ []) do
    Store.read(
      Store.tables(game),
      boxes,
      from,
      max(opts[:limit] || @limit, 1),
      max(opts[:bytes] || @bytes, 1)
    )
  rescue
    ArgumentError -> {:error, :not_running}
  end

  @doc """
  From now on the target is told of what comes into these boxes, all of it, in order. `:behind` if there is, or was,
  something after the number `from`: that is to be read first; the target is not attached then, whatever it was before.

  The target is `{:pid, pid}`, which gets `{:mail, game, messages}`, or `{:socket, socket}` of a channel that has been
  joined, whose client gets pushes with `seq` as a field of the payload. It is told until the process (the `channel_pid`
  of the socket) ends, or `detach/2`, or the sequencer ends, which may be monitored.
  """
  @spec attach(game, target, [box], seq) :: {:ok, sequencer :: pid} | :behind | {:error, :not_running}
  def attach(game, target, boxes, from), do: call(game, {:attach, target, boxes, from})

  @doc "The process, or the socket of that channel, is told nothing more."
  @spec detach(game, pid) :: :ok | {:error, :not_running}
  def detach(game, pid), do: call(game, {:detach, pid})

  @doc """
  Sends an event to a box, and answers when it is told. It is refused with `log_behind` while the event log takes nothing,
  and if it waits for too long; and with `not_running` if the sequencer ends meanwhile: in these two cases it may yet be sent.
  """
  @spec post(game, box, String.t(), map) ::
          {:ok, seq} | refusal | {:error, {:invalid_payload, sentence :: String.t()}}
  def post(game, box, event, payload) do
    with :ok <- check_box(box),
         :ok <- check_event(event),
         {:ok, json} <- encode(payload),
         do: call(game, {:post, box, event, json}, @post_ms)
  end

  defp check_box({:topic, name}) when is_binary(name) and byte_size(name) in 1..255, do: :ok
  defp check_box({:player, name}) when is_binary(name) and byte_size(name) in 1..64, do: :ok
  defp check_box(_), do: invalid("a box is {:topic, name} or {:player, name}: give one of them")

  defp check_event("phx_" <> _),
    do: invalid("events that begin with phx_ are those of channels: choose another")

  defp check_event("presence_" <> _),
    do: invalid("events that begin with presence_ are taken: choose another")

  defp check_event(event) when event in @reserved, do: invalid("the event #{event} is taken: choose another")

  defp check_event(event) do
    if is_binary(event) and byte_size(event) in 1..64 and String.valid?(event),
      do: :ok,
      else: invalid("the name of an event is text of 1 to 64 bytes")
  end

  defp encode(payload) when is_map(payload) and not is_struct(payload) do
    with false <- is_map_key(payload, :seq) or is_map_key(payload, "seq"),
         {:ok, json} when byte_size(json) <= @payload_bytes <- JSON.encode(payload) do
      {:ok, json}
    else
      true -> invalid("seq is the number of the message: name the field otherwise")
      {:ok, json} -> invalid("the payload has #{byte_size(json)} bytes: at most #{@payload_bytes} are sent")
      {:error, {:invalid_term, sentence}} -> invalid("the payload has no JSON form: #{sentence}")
    end
  end

  defp encode(_), do: invalid("the payload is a map")

  defp invalid(sentence), do: {:error, {:invalid_payload, sentence}}

  @doc "Nobody needs what that box has up to the number: it is removed, and who reads from before it is told of a gap."
  @spec acked(game, box, seq) :: :ok
  def acked(game, box, seq), do: cast(game, {:acked, box, seq})

  @doc """
  The tick of the outcome that a player was told for an action: of the last 1,024 that are not older than messages may be.
  """
  @spec answered(game, String.t(), String.t()) :: tick | nil
  def answered(game, player, id) do
    Store.answered(Store.tables(game), player, id)
  rescue
    ArgumentError -> nil
  end

  @doc "Whether what is told is in an event log."
  @spec durable?(game) :: boolean
  def durable?(game) do
    Store.get(Store.tables(game), :durable, false)
  rescue
    ArgumentError -> false
  end

  @doc """
  Waits until nothing is under way of what the world before gave. Answers the tick up to which outcomes are told, nil if
  that is not known: the world is to be there at that tick at least, and what it then gives is taken after `opened/3`.
  """
  @spec begin(game) :: {:ok, tick | nil} | {:error, :not_running | {reason :: atom, sentence :: String.t()}}
  def begin(game), do: call(game, :begin, @begin_ms)

  @doc """
  The server of the world, which is at that tick: outcomes of later ones are to come. It is not told by anything else, so
  whoever is refused asks again.
  """
  @spec opened(game, tick, pid) :: :ok | refusal
  def opened(game, tick, server), do: call(game, {:opened, tick, server}, @begin_ms)

  @doc """
  Told by the world's server: these are all outcomes of the ticks after `from` up to `to`. If there are others that
  the sequencer lacks it sends `{:retell, tick}`: all those after that tick are to be given again.
  """
  @spec outcomes(game, tick, tick, [map]) :: :ok
  def outcomes(game, from, to, outcomes), do: cast(game, {:outcomes, self(), from, to, outcomes})

  @doc "The world has come to that tick, which events bear from now on."
  @spec ticked(game, tick) :: true
  def ticked(game, tick) do
    Store.set(Store.tables(game), :tick, tick)
  rescue
    ArgumentError -> true
  end

  @doc """
  Revokes a key until that second, as `System.os_time/1` counts them: `revoked/2` knows it, also after a restart.
  """
  @spec revoke(game, binary, non_neg_integer) :: {:ok, seq} | refusal
  def revoke(game, key, until_s) when is_binary(key) and byte_size(key) in 1..255,
    do: call(game, {:revoke, key, until_s}, @post_ms)

  @doc "When a key was revoked and until when it is, in seconds; nil if it is not."
  @spec revoked(game, binary) :: {at_s :: integer, until_s :: integer} | nil
  def revoked(game, key) do
    Store.revoked(Store.tables(game), key, System.os_time(:second))
  rescue
    ArgumentError -> nil
  end

  @doc "Waits until the outcomes of all that the world has executed by now are told, and a restart cannot come before it."
  @spec sync(game) :: :ok | refusal
  def sync(game) do
    with {:ok, world} <- GamePlatform.world(game),
         {:ok, tick} <- Compute.tick(world) do
      if server = Instance.whereis(game, :world_server), do: WorldServer.tell(server)
      call(game, {:sync, tick}, @sync_ms)
    else
      _ -> {:error, :not_running}
    end
  catch
    :exit, _ -> {:error, :not_running}
  end

  @doc """
  How it goes: `last`, `complete` (outcomes are told up to that tick), `messages` and `bytes` that are kept, `boxes`,
  `waiting` (not durable yet), `attached`, `dropped` (messages removed because of a bound), `gaps` (answers that told of one), `log_bytes`, `status` (`:ok`, `:starting`,
  or the reason why the log refuses); nil if there is none.
  """
  @spec info(game) :: map | nil
  def info(game) do
    case call(game, :info) do
      %{} = info -> info
      _ -> nil
    end
  end

  defp call(game, request, timeout \\ 5_000) do
    with pid when is_pid(pid) <- Instance.whereis(game, :mail),
         do: GenServer.call(pid, request, timeout),
         else: (_ -> {:error, :not_running})
  catch
    :exit, {:timeout, _} ->
      {:error, {:log_behind, "what is to be told waits for the event log: see whether its disk is well"}}

    :exit, _ ->
      {:error, :not_running}
  end

  defp cast(game, request) do
    with pid when is_pid(pid) <- Instance.whereis(game, :mail), do: GenServer.cast(pid, request)
    :ok
  end

  @doc false
  def child_spec({name, options}), do: Sequencer.child_spec({name, options})
end
