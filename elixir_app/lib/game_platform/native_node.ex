defmodule GamePlatform.NativeNode do
  @moduledoc """
  Starts a native program, watches it, and replaces it when it ends or hangs.

  The program is a hidden Erlang node: once it is up, `GenServer.call({server, node}, request)`, `send/2` and
  `Process.monitor/1` work on its processes. It connects through a Unix socket in a private directory, with a
  cookie of its own that it reads from standard input; the first program makes a VM that is no node one, so a
  later `Node.start/3` answers `already_started`.

  ## Contract of the program

  It is started with `--connect NODE --name NAME --socket PATH --cookie-stdin` and then `:args` (in which
  `{dir}` stands for its private directory). It reads the cookie from the first line of standard input, connects,
  registers `:server`, which answers the call `:ping` with `:pong`, and prints the line `ready`. It ends at once
  on the line `stop` or when standard input ends, and then removes the directory of the socket. Its other
  output is logged. The Rust crate `dist` has all of this.

  ## Fencing

  Whatever ends a run, be it an exit status, the loss of the connection, a report of corrupt data or a hang,
  the program is killed and its exit status awaited, so that it is dead for certain, before
  `c:handle_down/2` is called and a successor starts. The first restart comes at once, then the delay doubles from
  the first to the last of `:backoff`, until a run has been up for `:healthy_ms`.
  """

  alias GamePlatform.NativeNode.{Options, Server}

  @typedoc "What the handler made of the program when it came up."
  @type up :: term

  @type run :: %{
          node: node,
          server: {atom, node},
          os_pid: non_neg_integer,
          dir: Path.t(),
          generation: pos_integer,
          owner: pid
        }

  @type status :: %{
          state: :starting | :up | :down | :backoff,
          os_pid: non_neg_integer | nil,
          node: node | nil,
          generation: non_neg_integer,
          restarts: non_neg_integer,
          backoff_ms: non_neg_integer,
          last_exit: term,
          up: up | nil
        }

  @doc """
  The program serves. Runs in a process of its own, which ends with it, and which is killed if the program ends
  or the start takes too long: what is to last is for `owner`, the process that watches.
  """
  @callback handle_up(run, arg :: term) :: {:ok, up} | {:error, term}

  @doc """
  A term that changes while work is done, or `:idle`. Asked every `:check_ms` in the process that watches, so it
  reads memory and calls nobody.
  """
  @callback progress(up) :: term

  @doc """
  A message to the process that watches, while the program is up: `{:corrupt, details}` has it killed and
  replaced. Must be quick.
  """
  @callback handle_info(message :: term, up) :: :ok | {:corrupt, details :: term}

  @optional_callbacks handle_info: 2

  @doc "The program that `c:handle_up/2` was told of is dead. Must be quick: the successor waits."
  @callback handle_down(up, reason :: term) :: any

  @doc """
  Starts a program and keeps it running.

  Required: `:program` (absolute path), `:handler` (`{module, argument}`), `:server` (the name that the program
  registers). Optional:

    * `:name`, `:args`
    * `:check_ms` (250) and `:hang_checks` (8): so many checks in a row without progress are a hang. Checks are
      counted, not time, so a VM that was stopped does not accuse its program
    * `:backoff` (`{100, 5_000}`) and `:healthy_ms` (5,000)
    * `:start_timeout_ms` (10,000) from start to up, `:stop_timeout_ms` (1,000) until a polite stop becomes a kill
  """
  @spec start_link(keyword) :: GenServer.on_start() | {:error, GamePlatform.Config.error()}
  def start_link(opts) do
    with {:ok, options} <- Options.validate(opts) do
      name = if options.name, do: [name: options.name], else: []
      GenServer.start_link(Server, options, name)
    end
  end

  @doc false
  def child_spec(opts) do
    %{id: opts[:name] || __MODULE__, start: {__MODULE__, :start_link, [opts]}, shutdown: 30_000}
  end

  @doc """
  Waits until the program is up.

  `{:error, :worker_down}` if it is not in time; `{:error, {reason, details}}`, with a `hint` that says what to
  do, at once if it cannot be started at all. It is tried again in any case. With `after_generation`, a program
  of that generation or an earlier one will not do: it is known to be gone.
  """
  @spec await_up(GenServer.server(), timeout, after_generation :: non_neg_integer) ::
          {:ok, %{generation: pos_integer, os_pid: non_neg_integer, node: node, up: up}}
          | {:error, :worker_down | {atom, map}}
  def await_up(server, timeout \\ 10_000, after_generation \\ 0) do
    GenServer.call(server, {:await_up, timeout, after_generation}, :infinity)
  catch
    :exit, _ -> {:error, :worker_down}
  end

  @doc false
  # Whether a name leads to a process of this module, or to none, which may be about to be started again.
  def may_be?(nil), do: true
  def may_be?(pid), do: :proc_lib.translate_initial_call(pid) in [{Server, :init, 1}, {:proc_lib, :init_p, 5}]

  @doc "How it is. `backoff_ms` is the delay after which it would be started again if it ended now."
  @spec info(GenServer.server()) :: status
  def info(server), do: GenServer.call(server, :info)

  @doc """
  Says that the program of `generation` has written what it must not. It is killed and replaced; a report on
  an earlier one is ignored.
  """
  @spec report_corrupt(GenServer.server(), pos_integer, term) :: :ok
  def report_corrupt(server, generation, details),
    do: GenServer.cast(server, {:report_corrupt, generation, details})

  @doc "Ends the program and this process; returns when both are gone."
  @spec stop(GenServer.server()) :: :ok
  def stop(server), do: GenServer.stop(server)
end
