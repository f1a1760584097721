defmodule GamePlatform.Persistence.Fork do
  @moduledoc false
  # Makes a data directory of its own from a tick of a world's history.

  alias GamePlatform.{Compute, Config}
  alias GamePlatform.Persistence.{DataDir, History, Link, Snapshots}

  @doc "`options` as `GamePlatform.Persistence.fork/3` takes them, checked; `opts` for the world that is made meanwhile."
  @spec make(History.t(), map, keyword) :: {:ok, map} | {:error, History.error()}
  def make(history, %{to: to, at: at, as: id}, opts) do
    at = if at == :newest, do: history.last, else: at

    with :ok <- another(history, to),
         # Before anything is made.
         {:ok, _} <- History.base(history, at),
         {:ok, data} <- DataDir.open(to) do
      try do
        with {:ok, link} <- log(data, opts), do: make(history, data, link, at, id, opts)
      after
        DataDir.close(data)
      end
    end
  end

  defp another(%{path: path}, to) do
    if Path.expand(to) == path,
      do: Config.invalid(:to, to, "another directory than the one that the world is in"),
      else: :ok
  end

  defp log(%{path: path, dir: dir}, opts) do
    case Link.open(%{dir: path, mode: :write, native: Keyword.get(opts, :native, [])}) do
      {:error, {reason, sentence}} when is_binary(sentence) ->
        {:error, {:event_log, %{dir: dir, reason: reason, hint: sentence}}}

      answer ->
        answer
    end
  end

  defp make(history, data, link, at, id, opts) do
    with :ok <- free(data, link, id),
         {:ok, world, _} <- History.replay(history, at, opts) do
      try do
        with {:ok, snapshot} <- Compute.snapshot(world),
             {:ok, digest} <- Compute.digest(world),
             # First, because the world is there as soon as the log has it.
             {:ok, ^at} <- Snapshots.write(data.path, id, snapshot),
             :ok <- begin(data, link, id, history.info.meta, at),
             do: {:ok, %{dir: data.dir, world: id, tick: at, digest: digest}}
      after
        Compute.close(world)
      end
    end
  after
    Link.close(link)
  end

  defp free(data, link, id) do
    case {Link.call(link, :worlds), Snapshots.list(data.path, id)} do
      {{:ok, ids}, files} ->
        cond do
          id in ids ->
            exists(data, id, "#{data.dir} has a world #{id} already")

          files != [] ->
            exists(data, id, "#{data.dir} has snapshots of a world #{id} that its log does not know")

          true ->
            :ok
        end

      {error, _} ->
        refused(error, data)
    end
  end

  defp exists(data, id, what) do
    hint = "#{what}: choose another directory, or another id with --as"
    {:error, {:world_exists, %{dir: data.dir, world: id, hint: hint}}}
  end

  # The log of the fork begins at its tick. It says so by an entry that was executed in the tick before and is removed
  # at once: then nobody takes the world that is generated for the fork's beginning.
  defp begin(data, link, id, meta, at) do
    before = if at > 0, do: [{:entries, [{1, <<0>>}]}, {:mark, at - 1, 1}], else: []

    with :ok <- Link.call(link, {:create_world, id, meta}),
         {:ok, _} <- Link.call(link, {:commit, id, before ++ [{:reached, at}]}),
         {:ok, _} <- Link.call(link, {:prune, id, at}) do
      :ok
    else
      error -> refused(error, data)
    end
  end

  defp refused({:error, {reason, sentence}}, data) when is_binary(sentence),
    do: {:error, {:event_log, %{dir: data.dir, reason: reason, hint: sentence}}}

  defp refused({:error, :link_down}, data) do
    hint = "gp_link, which writes #{data.dir}, ended: see the log above, remove that directory, and try again"
    {:error, {:event_log, %{dir: data.dir, reason: :link_down, hint: hint}}}
  end

  defp refused(error, _), do: error
end
