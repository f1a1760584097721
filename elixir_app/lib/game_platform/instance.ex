defmodule GamePlatform.Instance do
  @moduledoc false
  # One running platform, under the name that its user gave:
  #
  #     name (rest_for_one)
  #     ├── name.Registry          finds the parts below
  #     ├── name.Devices           Registry: which processes follow which player
  #     └── parts (one_for_one)
  #         ├── RulesetWatcher         tells of changes of its file        in development
  #         ├── name.Data              (rest_for_one) what outlives us     if there is a directory for it
  #         │   ├── Directory      has its lock
  #         │   ├── Link           gp_link, which has the event log
  #         │   └── Log            writes what the world accepts
  #         ├── Mail.Sequencer     numbers and tells what clients must not miss
  #         ├── world (rest_for_one)
  #         │   ├── WorldServer    owns the world and ticks it
  #         │   │   └── WorldProcess   (monitored) the world, whatever the backend
  #         │   ├── Snapshotter    writes snapshots, and one at the end    if there is a directory for them
  #         │   ├── Players        brings players into the world
  #         │   └── Publisher      tells clients what changes           if there are clients
  #         ├── name.Sessions      a process for each player that clients are heard of
  #         ├── name.Transport     sockets of clients                   if asked for
  #         └── Admin              health and metrics                   if asked for
  #
  # Clients stay connected while their world is started again, and a world does not mind what its clients do.

  use Supervisor

  alias GamePlatform.Game.Factory.RulesetWatcher
  alias GamePlatform.Game.Simulation.WorldServer
  alias GamePlatform.{Mail, Sessions, Transport}
  alias GamePlatform.Multiplayer.{Players, Publisher, Rates}
  alias GamePlatform.Persistence.Supervisor, as: Persistence
  alias GamePlatformWeb.{Admin, API, UserSocket}
  alias GamePlatformWeb.Admin.Sources

  @topic "world:main"
  # A keyframe, and some more.
  @queue_bytes 8 * 1_048_576

  # `options`: those of the world, and in `edge` and `admin` a map, or nil for none.
  def start_link({name, options}), do: Supervisor.start_link(__MODULE__, {name, options}, name: name)

  def via(name, part), do: {:via, Registry, {registry(name), part}}

  # The process of a part; nil if there is none, or no such instance, or none any more.
  def whereis(name, part) do
    GenServer.whereis(via(name, part))
  rescue
    ArgumentError -> nil
  end

  def registry(name), do: Module.concat(name, Registry)
  def devices(name), do: Module.concat(name, Devices)
  def rates(name), do: Module.concat(name, Rates)
  def data(name), do: Module.concat(name, Data)
  def transport(name), do: Module.concat(name, Transport)
  def admin_name(name), do: Module.concat(name, Admin)

  @impl true
  def init({name, %{edge: edge, admin: admin} = options}) do
    # How often players act is remembered longer than any part lives.
    Rates.new_table(rates(name))
    # So is what they are told.
    Mail.new_tables(name)
    Sessions.Settings.new_tables(name)
    sessions = {Sessions.Supervisor, {name, Sessions.Settings.options(name, options, edge, @topic)}}
    {data, keeper, snapshotter} = Persistence.children(name, options, via(name, :world_server))
    own = %{devices: devices(name), data: keeper, mail: name}
    world = options |> Map.drop([:edge, :admin]) |> Map.merge(own)
    players = %{world_server: via(name, :world_server), rates: rates(name)}

    world =
      [{WorldServer, {via(name, :world_server), world}}] ++
        snapshotter ++ [{Players, {via(name, :players), players}}] ++ publisher(name, edge)

    parts =
      RulesetWatcher.child_specs(options.ruleset) ++
        data ++
        [{Mail, {via(name, :mail), mail(name, options)}}] ++
        [subtree(:world, world, :rest_for_one), sessions] ++
        transport(name, edge) ++ admin(name, admin, edge)

    Supervisor.init(
      [
        {Registry, keys: :unique, name: registry(name)},
        Supervisor.child_spec({Registry, keys: :duplicate, name: devices(name)}, id: :devices),
        subtree(:parts, parts, :one_for_one)
      ],
      strategy: :rest_for_one
    )
  end

  defp subtree(id, children, strategy) do
    %{id: id, start: {Supervisor, :start_link, [children, [strategy: strategy]]}, type: :supervisor}
  end

  defp mail(name, options) do
    Map.merge(
      %{game: name, mailbox_s: options.mailbox_s, limits: options[:mail] || []},
      Persistence.mail(options, via(name, :link))
    )
  end

  defp publisher(_, nil), do: []

  defp publisher(name, edge) do
    options = %{
      world_server: via(name, :world_server),
      transport: transport(name),
      topic: @topic,
      hz: edge.hz
    }

    [{Publisher, {via(name, :publisher), options}}]
  end

  defp transport(_, nil), do: []

  defp transport(name, edge) do
    # In a function, a secret is not printed with the state of a process that crashes.
    jwt = if secret = edge.jwt_secret, do: %{secret: fn -> secret end, issuer: edge.jwt_issuer}

    own = [
      name: transport(name),
      sockets: [{"/socket", UserSocket, %{game: name, jwt: jwt}}],
      requests: {API.prefixes(), API, %{game: name}},
      port: edge.port,
      bind: edge.bind,
      origins: edge.cors_origins,
      static: Application.app_dir(:game_platform, "priv/static"),
      limits: limits(edge.transport[:limits] || %{})
    ]

    [{Transport, own ++ Keyword.take(edge.transport, [:native])}]
  end

  defp limits(%{} = limits), do: Map.put_new(limits, :queue_bytes, @queue_bytes)
  # The transport says what is wrong with it.
  defp limits(other), do: other

  defp admin(_, nil, _), do: []

  defp admin(name, admin, edge) do
    sources = Sources.options(name, edge && transport(name))
    [{Admin, [name: admin_name(name), port: admin.admin_port, bind: admin.bind] ++ sources}]
  end
end
