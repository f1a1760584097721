defmodule GamePlatform.Persistence.Snapshots do
  @moduledoc false
  # The snapshot files of a world: `worlds/ID/TICK.gps` in the data directory, the tick with 16 digits.
  #
  # A file counts if every check in it is right and it says of itself what its place says. One that does not is left
  # where it is, for whoever wants to know what happened to it, until there are enough newer ones.

  require Logger

  alias GamePlatform.Compute
  alias GamePlatform.Persistence.Files

  @digits 16

  @type id :: String.t()
  @type tick :: non_neg_integer
  @typedoc "`hint` is a sentence: the file and what is wrong with it, which is `what`."
  @type error :: {:snapshot_file, %{file: Path.t(), what: String.t(), hint: String.t()}}
  @typedoc "What the world is made of, which its snapshots have to agree with; nil if that is not known."
  @type meta ::
          %{
            required(:seed) => term,
            required(:frequency) => term,
            required(:ruleset) => term,
            optional(atom) => term
          }
          | nil

  @doc "The file of a tick."
  @spec path(Path.t(), id, tick) :: Path.t()
  def path(dir, id, tick),
    do: Path.join(world(dir, id), String.pad_leading("#{tick}", @digits, "0") <> ".gps")

  defp world(dir, id), do: Path.join([dir, "worlds", id])

  @doc "Writes a snapshot under its tick. On `:ok` it is on the disk, whole."
  @spec write(Path.t(), id, binary) ::
          {:ok, tick} | {:error, error | {:invalid_snapshot, String.t()} | Compute.reason()}
  def write(dir, id, binary) do
    with {:ok, %{tick: tick}} <- Compute.snapshot_info(binary) do
      file = path(dir, id, tick)

      with :ok <- make(Path.join(dir, "worlds")),
           :ok <- make(world(dir, id)),
           :ok <- Files.write(file, binary) do
        {:ok, tick}
      else
        {:error, posix} -> failed(file, "cannot be written (#{:file.format_error(posix)})")
      end
    end
  end

  defp make(dir) do
    case File.mkdir(dir) do
      :ok -> Files.sync_dir(Path.dirname(dir))
      {:error, :eexist} -> :ok
      error -> error
    end
  end

  @doc "The ticks that there are files of, the newest first."
  @spec list(Path.t(), id) :: [tick]
  def list(dir, id) do
    case File.ls(world(dir, id)) do
      {:ok, names} ->
        ticks = for name <- names, tick = tick(name), do: tick
        Enum.sort(ticks, :desc)

      {:error, :enoent} ->
        []

      {:error, posix} ->
        Logger.error("#{world(dir, id)} cannot be read (#{:file.format_error(posix)})")
        []
    end
  end

  defp tick(<<digits::binary-size(@digits), ".gps">>) do
    if digits =~ ~r/\A\d+\z/, do: String.to_integer(digits)
  end

  defp tick(_), do: nil

  @doc "The bytes of a file, whatever they are."
  @spec read(Path.t(), id, tick) :: {:ok, binary} | {:error, error}
  def read(dir, id, tick) do
    file = path(dir, id, tick)
    with {:error, posix} <- File.read(file), do: failed(file, "cannot be read (#{:file.format_error(posix)})")
  end

  @doc "The bytes of a file that counts, and what `GamePlatform.Compute.snapshot_info/1` says of them."
  @spec good(Path.t(), id, tick, meta) :: {:ok, binary, map} | {:error, error}
  def good(dir, id, tick, meta \\ nil) do
    with {:ok, binary} <- read(dir, id, tick) do
      case Compute.snapshot_info(binary) do
        {:ok, %{tick: ^tick} = info} -> of(info, meta, binary, path(dir, id, tick))
        {:ok, %{tick: other}} -> failed(path(dir, id, tick), "is of tick #{other}")
        {:error, {:invalid_snapshot, sentence}} -> failed(path(dir, id, tick), "is damaged: #{sentence}")
        {:error, reason} -> failed(path(dir, id, tick), "cannot be looked at: #{inspect(reason)}")
      end
    end
  end

  defp of(info, meta, binary, file) do
    case Enum.find([:seed, :frequency, :ruleset], &(meta != nil and info[&1] != meta[&1])) do
      nil -> {:ok, binary, info}
      :ruleset -> failed(file, "is of another world: its ruleset is another one")
      name -> failed(file, "is of another world: its #{name} is #{info[name]}, not #{meta[name]}")
    end
  end

  @doc """
  The newest snapshot that counts, of `at_most` or an earlier tick. Of those that do not, a line is logged; whoever then
  cannot use this one goes on with `at_most` before it.
  """
  @spec newest_good(Path.t(), id, tick | :newest, meta) :: {:ok, tick, binary} | :none
  def newest_good(dir, id, at_most \\ :newest, meta \\ nil) do
    {found, skipped} = search(dir, id, at_most, meta)
    for {file, what} <- skipped, do: Logger.error("snapshot #{file} #{what}: it is not used")
    found
  end

  @doc "As `newest_good/4`, with the files that do not count and why, the newest first."
  @spec search(Path.t(), id, tick | :newest, meta) ::
          {{:ok, tick, binary} | :none, [{Path.t(), String.t()}]}
  # Any atom is greater than any number.
  def search(dir, id, at_most, meta),
    do: search(dir, id, Enum.filter(list(dir, id), &(&1 <= at_most)), meta, [])

  defp search(_, _, [], _, skipped), do: {:none, Enum.reverse(skipped)}

  defp search(dir, id, [tick | older], meta, skipped) do
    case good(dir, id, tick, meta) do
      {:ok, binary, _} ->
        {{:ok, tick, binary}, Enum.reverse(skipped)}

      {:error, {:snapshot_file, %{file: file, what: what}}} ->
        search(dir, id, older, meta, [{file, what} | skipped])
    end
  end

  @doc """
  Has the files after a tick count no more, whatever becomes of them: who went on from that tick without them makes another
  past. They keep their bytes, under names that end with `.aside`.
  """
  @spec set_aside(Path.t(), id, tick) :: :ok | {:error, error}
  def set_aside(dir, id, tick) do
    case for(newer <- list(dir, id), newer > tick, do: path(dir, id, newer)) do
      [] -> :ok
      files -> with :ok <- rename(files), do: synced(world(dir, id))
    end
  end

  defp rename(files) do
    Enum.find_value(files, :ok, fn file ->
      with {:error, posix} <- File.rename(file, file <> ".aside"),
           do: failed(file, "cannot be renamed (#{:file.format_error(posix)})"),
           else: (:ok -> nil)
    end)
  end

  @doc """
  Removes all but the `keep` newest files, of which the one of `newest`, of which it is known that it counts, is the last.
  Returns the oldest tick of those that are left, or nil while there are fewer: then the log is still needed from its
  beginning, in case one is damaged.

  The log is to be kept from that tick on, so its file has to count; one that does not, and files of later ticks, which
  are of another past, are set aside.
  """
  @spec prune(Path.t(), id, pos_integer, tick) :: {:ok, tick | nil} | {:error, error}
  def prune(dir, id, keep, newest) do
    with {:ok, _, meta} <- good(dir, id, newest),
         :ok <- set_aside(dir, id, newest),
         {:ok, kept, old} <- keep(dir, id, list(dir, id), keep, meta),
         :ok <- remove(Enum.map(old, &path(dir, id, &1))),
         :ok <- if(old == [], do: :ok, else: synced(world(dir, id))),
         do: {:ok, if(length(kept) == keep, do: List.last(kept))}
  end

  defp keep(dir, id, ticks, keep, meta) do
    {kept, old} = Enum.split(ticks, keep)

    case good(dir, id, List.last(kept), meta) do
      {:ok, _, _} ->
        {:ok, kept, old}

      {:error, {:snapshot_file, %{file: file, what: what}}} ->
        Logger.error("snapshot #{file} #{what}: it is set aside")
        rename([file])
        keep(dir, id, ticks -- [List.last(kept)], keep, meta)
    end
  end

  defp remove(files) do
    Enum.find_value(files, :ok, fn file ->
      case File.rm(file) do
        {:error, posix} when posix != :enoent ->
          failed(file, "cannot be removed (#{:file.format_error(posix)})")

        _ ->
          nil
      end
    end)
  end

  defp synced(dir) do
    with {:error, posix} <- Files.sync_dir(dir),
         do: failed(dir, "cannot be synced (#{:file.format_error(posix)})")
  end

  defp failed(file, what),
    do: {:error, {:snapshot_file, %{file: file, what: what, hint: "#{file} #{what}"}}}
end
