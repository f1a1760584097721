defmodule GamePlatform.Persistence.Supervisor do
  @moduledoc false
  # The parts of an instance that keep its world.

  alias GamePlatform.Instance
  alias GamePlatform.Persistence.{Directory, Link, Log, Recovery, Snapshotter}

  # The world of an instance.
  @world "main"
  # What the log has of messages, at most, and never more than a quarter of it.
  @mail_bytes 256 * 1_048_576

  @doc """
  What an instance of these options needs: children that come before the world, what the world's server is to know, and
  children that come after it.
  """
  @spec children(atom, map, GenServer.name()) ::
          {[Supervisor.child_spec()], map | nil, [Supervisor.child_spec()]}
  def children(_, %{data_dir: nil}, _), do: {[], nil, []}

  def children(name, %{data_dir: dir} = options, world_server) do
    [link, log, snapshotter] = for part <- [:link, :log, :snapshotter], do: Instance.via(name, part)
    dir = Path.expand(dir)
    link_options = %{name: link, dir: dir, mode: :write, max_bytes: options.log_max_bytes, native: []}

    children = [
      {Directory, {dir, [link, log]}},
      Link.child_spec(link_options),
      Supervisor.child_spec({Log, {log, %{link: link, world: @world}}}, [])
    ]

    data = %{
      id: Instance.data(name),
      start: {Supervisor, :start_link, [children, [strategy: :rest_for_one, name: Instance.data(name)]]},
      type: :supervisor
    }

    keeper = %{
      module: Recovery,
      log: log,
      link: link,
      dir: dir,
      world: @world,
      durability: options.durability,
      given: options.given,
      mail: name
    }

    snapshots = %{
      world_server: world_server,
      link: link,
      dir: dir,
      world: @world,
      every_s: options.snapshot_s,
      keep: options.snapshots
    }

    {[data], keeper, [{Snapshotter, {snapshotter, snapshots}}]}
  end

  @doc "What messages to clients are kept with: nothing, or the link and the world they belong to, and their share of the log."
  @spec mail(map, GenServer.name()) :: map
  def mail(%{data_dir: nil}, _), do: %{}

  def mail(%{log_max_bytes: most} = options, link) do
    share = if most > 0, do: [log_bytes: min(@mail_bytes, div(most, 4))], else: [log_bytes: @mail_bytes]
    %{link: link, world: @world, limits: Keyword.merge(share, options[:mail] || [])}
  end
end
