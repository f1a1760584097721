defmodule GamePlatform.Sessions.Settings do
  @moduledoc false
  # What the sessions of an instance are made with, what is counted, and who asks how often: in tables that belong to the
  # instance's supervisor, so that it is remembered longer than any part lives.

  alias GamePlatform.{Config, Instance}
  alias GamePlatform.Sessions.{Limits, Secret}

  @type t :: %{
          secret: Secret.t() | nil,
          dir: Path.t() | nil,
          issuer: String.t() | nil,
          token_s: pos_integer,
          session_s: pos_integer,
          guests: boolean,
          connect: Limits.limit(),
          endpoint: atom,
          topic: String.t(),
          ups: pos_integer,
          hz: pos_integer
        }

  @doc "Made by the instance's supervisor."
  @spec new_tables(atom) :: :ok
  def new_tables(game) do
    :ets.new(table(game), [:set, :public, :named_table, read_concurrency: true, write_concurrency: true])
    for kind <- [:connect, :requests], do: Limits.new_table(limits(game, kind))
    :ok
  end

  @doc "From the options of an instance; `edge` is nil if there is none."
  @spec options(atom, map, map | nil, String.t()) :: t
  def options(game, options, edge, topic) do
    given = edge || elem(Config.validate(:edge, []), 1)

    %{
      secret: given.jwt_secret && Secret.hidden(given.jwt_secret),
      dir: options[:data_dir],
      issuer: given.jwt_issuer,
      token_s: given.token_s,
      session_s: options.session_s,
      guests: given.guests,
      connect: {given.connect_rate, given.connect_burst},
      endpoint: edge && Instance.transport(game),
      topic: topic,
      ups: options.ups,
      hz: given.hz
    }
  end

  @spec put(atom, t) :: true
  def put(game, settings), do: :ets.insert(table(game), {:settings, settings})

  @doc "Nil as long as the instance is not running, or its secret is not known yet."
  @spec get(atom) :: t | nil
  def get(game) do
    case :ets.lookup(table(game), :settings) do
      [{_, settings}] -> settings
      [] -> nil
    end
  rescue
    ArgumentError -> nil
  end

  @spec fetch(term) :: {:ok, t} | {:error, :not_running}
  def fetch(game) do
    case is_atom(game) && get(game) do
      %{} = settings -> {:ok, settings}
      _ -> {:error, :not_running}
    end
  end

  @doc "Takes one of what a key is allowed, of `:connect` or `:requests`."
  @spec take(atom, :connect | :requests, term, Limits.limit()) :: :ok | {:error, retry_after_s :: pos_integer}
  def take(game, kind, key, limit), do: Limits.take(limits(game, kind), key, limit)

  @doc "Counts an answer; the keys are few."
  @spec count(atom, term) :: :ok
  def count(game, key) do
    :ets.update_counter(table(game), {:count, key}, 1, {{:count, key}, 0})
    :ok
  rescue
    ArgumentError -> :ok
  end

  @spec counted(atom) :: %{optional(term) => pos_integer}
  def counted(game) do
    for {{:count, key}, n} <- :ets.match_object(table(game), {{:count, :_}, :_}), into: %{}, do: {key, n}
  end

  @doc "What was made at most `ms` ago, or what `make` makes now: for answers that are the same for all who ask."
  @spec kept(atom, term, pos_integer, fun) :: term
  def kept(game, key, ms, make) do
    now = System.monotonic_time(:millisecond)

    case :ets.lookup(table(game), {:kept, key}) do
      [{_, at, value}] when now - at < ms ->
        value

      _ ->
        value = make.()
        :ets.insert(table(game), {{:kept, key}, now, value})
        value
    end
  end

  defp table(game), do: Module.concat(game, "Sessions.Table")
  defp limits(game, :connect), do: Module.concat(game, "Sessions.Connects")
  defp limits(game, :requests), do: Module.concat(game, "Sessions.Requests")
end
