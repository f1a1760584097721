defmodule GamePlatform.Persistence.DataDir do
  @moduledoc false
  # The directory that keeps worlds: its version, and its lock, which one VM has at a time.
  #
  #     version       which form the directory has
  #     lock          the VM that uses it
  #     events.db     the event log; also events.db-wal, events.db-shm and link.lock
  #     secret        what tokens of sessions are signed with, unless one is given
  #     worlds/ID     the snapshots of a world
  #
  # Nothing is changed in a directory that another one uses, that a newer release wrote, or that holds anything else.

  alias GamePlatform.Native
  alias GamePlatform.Persistence.Files

  @version 1
  @ours ~w(version lock secret link.lock events.db events.db-wal events.db-shm worlds)
  # What may be in a directory that is used for the first time: what an open that was cut short leaves, and what file
  # systems have.
  @new ~w(lock version.tmp lost+found)
  @choose "or choose another with --data-dir"
  # A process of this VM that has just ended is about to lose its lock.
  @own_lock_ms 1_000
  @own_lock_step_ms 10
  @listed 3

  @enforce_keys [:dir, :path]
  # `dir` as it was given, for sentences; `path` is absolute.
  defstruct [:dir, :path, :lock, version: @version]

  @type t :: %__MODULE__{dir: Path.t(), path: Path.t(), lock: reference | nil, version: pos_integer}
  @type reason ::
          :in_use
          | :newer_version
          | :bad_version
          | :no_version
          | :bad_secret
          | :holds_other_files
          | :not_a_directory
          | :no_such_directory
          | :cannot_create
          | :cannot_read
          | :cannot_write
          | :cannot_lock
  @type error ::
          {:data_dir,
           %{
             required(:dir) => Path.t(),
             required(:reason) => reason,
             required(:hint) => String.t(),
             optional(atom) => term
           }}

  @doc """
  Opens a directory for use, and makes it if there is none. It is locked until `close/1`, or until the process that
  opened it ends; what an earlier use left unfinished is removed.

  The details of an error have what `describe/1` makes a sentence of: `os_pid` (nil if it is not known) with `:in_use`,
  `found` and `known` with `:newer_version`, `found` with `:bad_version` and `:holds_other_files`, `cause` with those
  that begin with `cannot`.
  """
  @spec open(Path.t()) :: {:ok, t} | {:error, error | {:native_not_loaded, map}}
  def open(dir) do
    data = %__MODULE__{dir: dir, path: Path.expand(dir)}

    with :ok <- Native.status(),
         :ok <- make(data),
         # First, so that the lock of a directory that is not ours is not even made.
         {:ok, _} <- look(data),
         {:ok, data} <- lock(data) do
      with {:ok, found} <- look(data),
           :ok <- if(found == :new, do: begin(data), else: :ok),
           :ok <- clean(data) do
        {:ok, data}
      else
        error ->
          close(data)
          error
      end
    end
  end

  @doc "Gives the directory to others. Closing twice is fine."
  @spec close(t) :: :ok
  def close(%__MODULE__{lock: nil}), do: :ok
  def close(%__MODULE__{lock: lock}), do: Native.lock_release(lock)

  @doc "For one who only reads, whether the directory is in use or not: its version is looked at, and nothing changed."
  @spec read(Path.t()) :: {:ok, t} | {:error, error}
  def read(dir) do
    data = %__MODULE__{dir: dir, path: Path.expand(dir)}

    case look(data) do
      {:ok, :new} -> error(data, :no_version)
      {:ok, _} -> {:ok, data}
      error -> error
    end
  end

  @doc """
  An error as one line that says what to do.

      iex> GamePlatform.Persistence.DataDir.describe({:data_dir, %{dir: "./data", reason: :in_use, os_pid: 4711,
      ...>   hint: "stop that one, or choose another with --data-dir"}})
      "data directory ./data is in use by process 4711: stop that one, or choose another with --data-dir"
  """
  @spec describe(error) :: String.t()
  def describe({:data_dir, %{dir: dir, reason: reason, hint: hint} = details}),
    do: "data directory #{dir} #{what(reason, details)}: #{hint}"

  @doc "Where the event log is."
  @spec log(t) :: Path.t()
  def log(%__MODULE__{path: path}), do: Path.join(path, "events.db")

  @doc "The error of one who uses a directory that is open."
  @spec refused(Path.t(), reason, keyword) :: {:error, error}
  def refused(dir, reason, details \\ []), do: error(%__MODULE__{dir: dir, path: dir}, reason, details)

  defp make(%{path: path} = data) do
    cond do
      File.dir?(path) ->
        :ok

      File.exists?(path) ->
        error(data, :not_a_directory)

      true ->
        with :ok <- File.mkdir_p(path),
             :ok <- File.chmod(path, 0o700),
             :ok <- Files.sync_dir(Path.dirname(path)) do
          :ok
        else
          # A file in the place of one of the directories above.
          {:error, reason} when reason in [:enotdir, :eexist] -> error(data, :not_a_directory)
          {:error, posix} -> error(data, :cannot_create, cause: text(posix))
        end
    end
  end

  # The version of the directory, or `:new` if it holds nothing yet.
  defp look(%{path: path} = data) do
    case File.read(Path.join(path, "version")) do
      {:ok, text} -> version(data, String.trim(text))
      {:error, :enoent} -> unversioned(data)
      {:error, :enotdir} -> error(data, :not_a_directory)
      {:error, posix} -> error(data, :cannot_read, cause: text(posix))
    end
  end

  defp version(data, text) do
    case Integer.parse(text) do
      {@version, ""} -> {:ok, @version}
      {newer, ""} when newer > @version -> error(data, :newer_version, found: newer, known: @version)
      _ -> error(data, :bad_version, found: String.slice(text, 0, 20))
    end
  end

  defp unversioned(%{path: path} = data) do
    case File.ls(path) do
      {:ok, names} ->
        # Hidden files are those of tools, such as .gitkeep.
        names = Enum.reject(names, &(&1 in @new or String.starts_with?(&1, ".")))

        case {names, names -- @ours} do
          {[], _} -> {:ok, :new}
          {_, []} -> error(data, :no_version)
          {_, others} -> error(data, :holds_other_files, found: Enum.sort(others))
        end

      {:error, :enoent} ->
        error(data, :no_such_directory)

      {:error, :enotdir} ->
        error(data, :not_a_directory)

      {:error, posix} ->
        error(data, :cannot_read, cause: text(posix))
    end
  end

  defp lock(data), do: lock(data, System.monotonic_time(:millisecond) + @own_lock_ms)

  defp lock(%{path: path} = data, deadline) do
    own = String.to_integer(System.pid())

    case Native.lock_take(Path.join(path, "lock")) do
      {:ok, lock} ->
        {:ok, %{data | lock: lock}}

      {:error, {:held, os_pid}} ->
        if os_pid == own and System.monotonic_time(:millisecond) < deadline do
          Process.sleep(@own_lock_step_ms)
          lock(data, deadline)
        else
          error(data, :in_use, os_pid: os_pid)
        end

      {:error, {:no_lock, sentence}} ->
        error(data, :cannot_lock, cause: sentence)
    end
  end

  defp begin(%{path: path} = data) do
    with {:error, posix} <- Files.write(Path.join(path, "version"), "#{@version}\n"),
         do: error(data, :cannot_write, cause: text(posix))
  end

  defp clean(%{path: path}) do
    for pattern <- ["*", "worlds/*/*"],
        # The directory may be called what a pattern would read otherwise.
        name <- :filelib.wildcard(~c"#{pattern}#{Files.unfinished()}", to_charlist(path)),
        do: File.rm(Path.join(path, name))

    :ok
  end

  defp error(data, reason, details \\ []) do
    {:error,
     {:data_dir, Map.merge(%{dir: data.dir, reason: reason, hint: hint(reason, details)}, Map.new(details))}}
  end

  defp what(:in_use, %{os_pid: os_pid}) when is_integer(os_pid) do
    if "#{os_pid}" == System.pid(),
      do: "is in use by this process (#{os_pid}) already",
      else: "is in use by process #{os_pid}"
  end

  defp what(:in_use, _), do: "is in use"

  defp what(:newer_version, %{found: found, known: known}),
    do: "has version #{found}, and this release reads up to #{known}"

  defp what(:bad_version, %{found: found}), do: "has the version #{inspect(found)}, which is none"
  defp what(:bad_secret, %{found: found}), do: "has a file `secret` of #{found} bytes, which is none"
  defp what(:no_version, _), do: "has no file `version`"

  defp what(:holds_other_files, %{found: found}) do
    more = length(found) - @listed
    "holds other files (#{Enum.join(Enum.take(found, @listed), ", ")}#{if more > 0, do: ", #{more} more"})"
  end

  defp what(:not_a_directory, _), do: "is no directory"
  defp what(:no_such_directory, _), do: "does not exist"
  defp what(:cannot_create, %{cause: cause}), do: "cannot be made (#{cause})"
  defp what(:cannot_read, %{cause: cause}), do: "cannot be read (#{cause})"
  defp what(:cannot_write, %{cause: cause}), do: "cannot be written (#{cause})"
  defp what(:cannot_lock, %{cause: cause}), do: "cannot be locked (#{cause})"

  defp hint(:in_use, _), do: "stop that one, #{@choose}"
  defp hint(:newer_version, _), do: "use the release that wrote it, #{@choose}"
  defp hint(:bad_version, _), do: "restore the file `version` from a backup, #{@choose}"
  defp hint(:no_version, _), do: "if it is a data directory, restore that file from a backup, #{@choose}"
  defp hint(:bad_secret, _), do: "restore it from a backup, or remove it, which ends all sessions"
  defp hint(:holds_other_files, _), do: "give an empty one, or one that does not exist, with --data-dir"
  defp hint(:not_a_directory, _), do: "remove the file of that name, #{@choose}"
  defp hint(:no_such_directory, _), do: "give one that a server has used, with --data-dir"
  defp hint(:cannot_lock, _), do: "see that it is on a local file system and yours, #{@choose}"
  defp hint(_, _), do: "see that it is yours and that the disk has room, #{@choose}"

  defp text(posix), do: "#{:file.format_error(posix)}"
end
