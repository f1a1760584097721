defmodule GamePlatform.Config do
  @moduledoc """
  Every option and environment variable of the platform: one schema for validation, defaults and docs.

  An option that does not fit is answered with
  `{:error, {:invalid_option, %{option: name, value: value, expected: sentence}}}`; `describe/1` makes one
  line of it. The value of a secret is never in it: `{:hidden, bytes}` is there instead.

  Options of the group `:edge` must fit together too: who listens on more than the loopback interface needs a
  `:jwt_secret`, because others can reach it.
  """

  alias GamePlatform.Config.{Durability, Network}

  @type error :: {:invalid_option, %{option: atom, value: term, expected: String.t()}}

  @u64 0xFFFF_FFFF_FFFF_FFFF
  # Ticks stay exact in JSON and in JavaScript.
  @max_tick 0x1F_FFFF_FFFF_FFFF
  # RFC 7518, 3.2: as long as the hash that a token is signed with.
  @min_secret_bytes 32

  @schema [
    seed: [
      type: {:integer, 0, @u64},
      default: 1,
      env: "WORLD_SEED",
      doc: "decides the first state and every die"
    ],
    frequency: [
      type: {:integer, 1, 4096},
      default: 64,
      env: "WORLD_FREQUENCY",
      doc: "pieces an icosahedron edge is cut in; the world has 10·f² + 2 cells"
    ],
    backend: [
      type: {:in, [:node, :nif, :beam]},
      default: :node,
      doc:
        "`:node` is the native kernel in a worker process, which may die, `:nif` the same on dirty schedulers, `:beam` the specification in plain Elixir"
    ],
    worker: [
      type: :worker,
      default: GamePlatform.Compute.Worker,
      doc:
        "the worker of a world whose backend is `:node`; the default one is shared, and starts with the first world"
    ],
    threads: [type: {:integer, 1, 256}, default: :cores, doc: "threads that a tick may use"],
    ruleset: [
      type: :ruleset,
      default: :default,
      doc: "`:default`, the path of a TOML file, or `{:text, toml}`"
    ],
    name: [type: :name, default: nil, doc: "a `t:GenServer.name/0` to find the world by"],
    cells: [
      type: :cells,
      default: nil,
      doc:
        "`{kinds, amounts}` to start from instead of generating: a byte a cell and a little-endian 16-bit word a cell"
    ],
    max_bytes: [
      type: :max_bytes,
      default: :free,
      doc:
        "refuse a world that needs more memory than this; `:free` is what the machine and the control group have left"
    ],
    chunks: [
      type: :chunks,
      default: nil,
      doc: "the chunks that it holds, in this order; `nil` is all of the world"
    ],
    size: [type: {:integer, 64, 4096}, default: 1024, doc: "width and height in pixels"],
    longitude: [type: :degrees, default: 20, doc: "degrees east of the place that faces the viewer"],
    latitude: [type: :degrees, default: 20, doc: "degrees north of that place"],
    ups: [type: {:integer, 1, 1000}, default: 20, env: "UPS", doc: "updates (ticks) per second"],
    timeout_ms: [type: :timeout, default: :infinity, doc: "how long to wait"],
    port: [
      type: {:integer, 0, 65535},
      default: 4000,
      env: "PORT",
      doc: "TCP port for clients; 0 takes any that is free"
    ],
    admin_port: [
      type: {:integer, 0, 65535},
      default: 4001,
      env: "ADMIN_PORT",
      doc: "TCP port for health and metrics; 0 takes any that is free"
    ],
    bind: [
      type: :address,
      default: "127.0.0.1",
      env: "BIND",
      doc: "address to listen on; any but a loopback address requires `:jwt_secret`"
    ],
    jwt_secret: [
      type: :secret,
      default: nil,
      env: "JWT_SECRET",
      doc: "key that tokens of clients are signed with; without it no client needs a token"
    ],
    jwt_issuer: [
      type: :text,
      default: nil,
      env: "JWT_ISSUER",
      doc: "the issuer that a token must name; without it any will do"
    ],
    cors_origins: [
      type: :origins,
      default: :same,
      env: "CORS_ORIGINS",
      doc:
        "whose pages may connect, besides those that this server gave out: `:same` is no others, `:any` (as text `*`) all"
    ],
    hz: [
      type: {:integer, 1, 60},
      default: 20,
      env: "WORLD_HZ",
      doc: "how often a second clients are told what has changed"
    ],
    data_dir: [
      type: :path,
      default: nil,
      env: "DATA_DIR",
      doc:
        "the directory that keeps the world: its event log and its snapshots; with nil nothing outlives the instance"
    ],
    snapshot_s: [
      type: {:integer, 1, 86_400},
      default: 60,
      env: "SNAPSHOT_S",
      doc: "seconds from one snapshot of the world to the next"
    ],
    snapshots: [
      type: {:integer, 1, 1_000},
      default: 4,
      env: "SNAPSHOTS",
      doc: "how many snapshots are kept; the log is kept from the oldest of them on"
    ],
    log_max_bytes: [
      type: {:integer, 0, @max_tick},
      default: 1_073_741_824,
      env: "LOG_MAX_BYTES",
      doc:
        "how large the event log may get, in bytes; when it is full, actions are refused with `log_full`. 0 is no limit"
    ],
    durability: [
      type: :durability,
      default: %{},
      env: "DURABILITY",
      doc:
        "how durable an action is when it is answered, by its name, `\"default\"` for the others: `:memory`, `:logged` (on disk, which is the default) or `:stored` (in the SQL store too, which is the same file unless there is another)"
    ],
    mailbox_s: [
      type: {:integer, 60, 604_800},
      default: 3_600,
      env: "MAILBOX_S",
      doc: "seconds that a message waits for a client that is away"
    ],
    session_s: [
      type: {:integer, 30, 86_400},
      default: 300,
      env: "SESSION_S",
      doc: "seconds that a device may not be heard of before its messages are not kept for it any more"
    ],
    token_s: [
      type: {:integer, 60, 2_592_000},
      default: 3_600,
      env: "TOKEN_S",
      doc: "seconds that a token is valid which a client has got here"
    ],
    guests: [
      type: {:in, [true, false]},
      default: true,
      env: "GUESTS",
      doc: "whether who has no token may connect over HTTP, as a guest who is given one"
    ],
    connect_rate: [
      type: {:integer, 1, 100_000},
      default: 20,
      doc: "how often a second one address may connect over HTTP"
    ],
    connect_burst: [
      type: {:integer, 1, 1_000_000},
      default: 100,
      doc: "how often one address may connect at once, after a pause"
    ],
    log_format: [
      type: {:in, [:pretty, :json]},
      default: :pretty,
      env: "LOG_FORMAT",
      doc: "lines for people, or one JSON object a line"
    ]
  ]

  @groups %{
    world: [:seed, :frequency, :backend, :worker, :threads, :ruleset, :name, :cells, :max_bytes],
    server:
      [:seed, :frequency, :backend, :worker, :threads, :ruleset, :max_bytes, :ups] ++
        [:data_dir, :snapshot_s, :snapshots, :log_max_bytes, :durability, :mailbox_s, :session_s],
    restore: [:backend, :worker, :threads, :name, :max_bytes],
    ping: [:worker, :timeout_ms],
    diff: [],
    keyframe: [:chunks],
    picture: [:size, :longitude, :latitude],
    call: [:timeout_ms],
    edge:
      [:port, :bind, :jwt_secret, :jwt_issuer, :cors_origins, :hz] ++
        [:token_s, :guests, :connect_rate, :connect_burst],
    admin: [:admin_port, :bind],
    log: [:log_format]
  }

  @doc "The names of a group's options."
  @spec options(atom) :: [atom]
  def options(group), do: Map.fetch!(@groups, group)

  @doc """
  Checks a keyword list against a group and fills in defaults.

      iex> {:error, error} = GamePlatform.Config.validate(:world, frequency: 0)
      iex> GamePlatform.Config.describe(error)
      "frequency is 0, expected an integer in 1..4096"
  """
  @spec validate(atom, keyword) :: {:ok, map} | {:error, error}
  def validate(group, opts) do
    names = options(group)

    cond do
      not Keyword.keyword?(opts) ->
        invalid(:opts, opts, "a keyword list")

      Keyword.drop(opts, names) != [] ->
        [{unknown, value} | _] = Keyword.drop(opts, names)
        known = if names == [], do: "no options", else: "one of the options #{Enum.join(names, ", ")}"
        invalid(unknown, value, known)

      true ->
        names
        |> collect(fn name ->
          case Keyword.fetch(opts, name) do
            {:ok, value} -> check(name, value)
            :error -> {:ok, default(name)}
          end
        end)
        |> fit_together(group, :bind)
    end
  end

  @doc """
  A group's options from strings, as a command line or the environment gives them: only those present.
  """
  @spec parse(atom, %{optional(atom) => String.t()}) :: {:ok, map} | {:error, error}
  def parse(group, texts) do
    group |> options() |> Enum.filter(&Map.has_key?(texts, &1)) |> collect(&parse_one(&1, texts[&1]))
  end

  @doc """
  A group's options that environment variables set. The error names the variable as its `option`.
  """
  @spec from_env(atom, %{optional(String.t()) => String.t()}) :: {:ok, map} | {:error, error}
  def from_env(group, env \\ System.get_env()) do
    # An empty variable is an unset one.
    names = for {variable, name} <- variables(group), env[variable] not in [nil, ""], do: name

    names
    |> collect(fn name ->
      variable = @schema[name][:env]

      case parse_one(name, env[variable]) do
        {:ok, value} -> {:ok, value}
        {:error, {reason, details}} -> {:error, {reason, %{details | option: variable}}}
      end
    end)
    |> fit_together(group, "BIND")
  end

  @doc "The environment variables that set a group's options."
  @spec variables(atom) :: [{String.t(), atom}]
  def variables(group) do
    for name <- options(group), variable = @schema[name][:env], do: {variable, name}
  end

  @doc "One line that names the option, the value and what is expected."
  @spec describe(error) :: String.t()
  def describe({:invalid_option, %{option: option, value: value, expected: expected}}) do
    "#{option} is #{short(value)}, expected #{expected}"
  end

  @doc "Checks one value against the option of that name."
  @spec check(atom, term) :: {:ok, term} | {:error, error}
  def check(name, value) do
    type = @schema[name][:type]
    if fits?(type, value), do: {:ok, value}, else: invalid(name, value, expected(type))
  end

  @doc "The last tick a world can have, 2^53 - 1."
  @spec max_tick() :: pos_integer
  def max_tick, do: @max_tick

  @doc "Markdown documentation of a group."
  @spec docs(atom) :: String.t()
  def docs(group), do: Enum.map_join(options(group), "\n", &"  * `:#{&1}`: #{about(&1)}")

  @doc "Markdown documentation of options as flags of a command line."
  @spec flags([atom]) :: String.t()
  def flags(names) do
    Enum.map_join(names, "\n", fn name ->
      flag = name |> Atom.to_string() |> String.replace("_", "-")
      "  * `--#{flag} #{placeholder(@schema[name][:type])}`: #{about(name)}"
    end)
  end

  defp about(name) do
    spec = @schema[name]
    "#{spec[:doc]}. #{sentence(expected(spec[:type]))}, default #{shown(spec[:default])}."
  end

  defp placeholder({:in, values}), do: Enum.join(values, "|")
  defp placeholder(:ruleset), do: "FILE"
  defp placeholder(:path), do: "DIR"
  defp placeholder(:durability), do: "CLASS,ACTION=CLASS,…"
  defp placeholder(:address), do: "ADDRESS"
  defp placeholder(:origins), do: "ORIGIN,…"
  defp placeholder(type) when type in [:secret, :text], do: "TEXT"
  defp placeholder(_), do: "N"

  @doc "The standard error for a value that does not fit."
  @spec invalid(atom, term, String.t()) :: {:error, error}
  def invalid(option, value, expected) do
    value = if secret?(option), do: Network.hidden(value), else: value
    {:error, {:invalid_option, %{option: option, value: value, expected: expected}}}
  end

  defp secret?(option), do: is_atom(option) and @schema[option][:type] == :secret

  # Secrets are asked of whom others can reach.
  defp fit_together({:ok, %{bind: bind} = values} = ok, group, option) do
    if :jwt_secret in options(group) and values[:jwt_secret] == nil and not Network.loopback?(bind) do
      invalid(option, bind, "127.0.0.1 or ::1 as long as JWT_SECRET (`:jwt_secret`) is not set: set it, too")
    else
      ok
    end
  end

  defp fit_together(result, _, _), do: result

  defp collect(names, each) do
    Enum.reduce_while(names, {:ok, %{}}, fn name, {:ok, values} ->
      case each.(name) do
        {:ok, value} -> {:cont, {:ok, Map.put(values, name, value)}}
        error -> {:halt, error}
      end
    end)
  end

  defp default(name) do
    case @schema[name][:default] do
      :cores -> min(System.schedulers_online(), 256)
      value -> value
    end
  end

  defp parse_one(name, text) do
    type = @schema[name][:type]

    case parse_as(type, text) do
      {:ok, value} -> if fits?(type, value), do: {:ok, value}, else: invalid(name, text, expected_text(type))
      :error -> invalid(name, text, expected_text(type))
    end
  end

  # What can be typed is not what can be written in Elixir.
  defp expected_text({:in, values}), do: one_of(values, &Atom.to_string/1)
  defp expected_text(:ruleset), do: "a path"
  defp expected_text(:durability), do: Durability.expected_text()
  defp expected_text(:max_bytes), do: "a number of bytes"
  defp expected_text(:origins), do: "* or origins such as https://play.example, with commas between"
  defp expected_text(type), do: expected(type)

  defp parse_as({:integer, _, _}, text), do: whole(text)
  defp parse_as(:max_bytes, text), do: whole(text)
  defp parse_as(type, text) when type in [:ruleset, :address, :secret, :text, :path], do: {:ok, text}
  defp parse_as(:durability, text), do: Durability.parse(text)
  defp parse_as(:origins, text), do: {:ok, Network.origins(text)}

  defp parse_as(:degrees, text) do
    case Float.parse(text) do
      {n, ""} -> {:ok, n}
      _ -> :error
    end
  end

  defp parse_as({:in, values}, text) do
    case Enum.find(values, &(Atom.to_string(&1) == text)) do
      nil -> :error
      value -> {:ok, value}
    end
  end

  defp whole(text) do
    case Integer.parse(String.trim(text)) do
      {n, ""} -> {:ok, n}
      _ -> :error
    end
  end

  defp fits?({:integer, low, high}, n), do: is_integer(n) and n >= low and n <= high
  defp fits?({:in, values}, value), do: value in values
  defp fits?(:worker, name), do: is_atom(name) and name not in [nil, :undefined, true, false]

  defp fits?(:path, path),
    do: is_nil(path) or (is_binary(path) and path != "" and not String.contains?(path, <<0>>))

  defp fits?(:durability, classes), do: Durability.fits?(classes)
  defp fits?(:ruleset, {:text, text}), do: is_binary(text)
  defp fits?(:ruleset, source), do: source == :default or (is_binary(source) and source != "")
  defp fits?(:name, {:global, _}), do: true

  defp fits?(:name, {:via, module, _}),
    do: is_atom(module) and Code.ensure_loaded?(module) and function_exported?(module, :register_name, 2)

  # `nil` is no name; the others cannot be registered.
  defp fits?(:name, name), do: is_atom(name) and name not in [:undefined, true, false]

  defp fits?(:cells, {kinds, amounts}),
    do: is_binary(kinds) and is_binary(amounts) and byte_size(amounts) == 2 * byte_size(kinds)

  defp fits?(:cells, cells), do: is_nil(cells)
  # Which chunks there are depends on the world.
  defp fits?(:chunks, chunks), do: is_nil(chunks) or is_list(chunks)
  defp fits?(:max_bytes, n), do: n == :free or (is_integer(n) and n >= 0)
  defp fits?(:degrees, n), do: is_number(n) and abs(n) <= 360
  defp fits?(:address, text), do: Network.address?(text)
  defp fits?(:secret, text), do: is_nil(text) or (is_binary(text) and byte_size(text) >= @min_secret_bytes)
  defp fits?(:text, text), do: is_nil(text) or (is_binary(text) and byte_size(text) in 1..255)
  defp fits?(:origins, origins), do: origins in [:same, :any] or Network.origins?(origins)
  defp fits?(:timeout, ms), do: ms == :infinity or (is_integer(ms) and ms >= 0 and ms <= 4_294_967_295)

  defp expected({:integer, low, high}), do: "an integer in #{low}..#{high}"

  defp expected({:in, values}), do: one_of(values, &inspect/1)

  defp expected(:worker), do: "the name of a worker"
  defp expected(:ruleset), do: ":default, a path, or {:text, toml}"
  defp expected(:path), do: "a path"
  defp expected(:durability), do: Durability.expected()
  defp expected(:name), do: "an atom, {:global, term} or {:via, module, term}"
  defp expected(:cells), do: "{kinds, amounts}, binaries of one and of two bytes a cell"
  defp expected(:chunks), do: "a list of chunks, or nil"
  defp expected(:max_bytes), do: ":free or a number of bytes"
  defp expected(:degrees), do: "degrees in -360..360"
  defp expected(:address), do: "an IPv4 or IPv6 address"
  defp expected(:secret), do: "at least #{@min_secret_bytes} bytes"
  defp expected(:text), do: "a string of 1..255 bytes"
  defp expected(:origins), do: ":same, :any, or a list of origins such as https://play.example"
  defp expected(:timeout), do: ":infinity or milliseconds in 0..4294967295"

  defp one_of(values, show) do
    {last, first} = List.pop_at(values, -1)
    Enum.map_join(first, ", ", show) <> " or " <> show.(last)
  end

  defp sentence(text), do: String.capitalize(String.first(text)) <> String.slice(text, 1..-1//1)
  defp shown(:cores), do: "one for each core"
  defp shown(value), do: "`#{inspect(value)}`"
  defp short({:hidden, bytes}), do: "hidden (#{bytes} bytes)"
  defp short(value), do: inspect(value, limit: 5, printable_limit: 60)
end
