defmodule GamePlatform.Persistence.Files do
  @moduledoc false
  # Files that are there whole, or not at all, whenever the power fails.

  @unfinished ".tmp"

  @doc "How the names of files end that are being written."
  def unfinished, do: @unfinished

  @doc """
  Writes a file in place of the one of that name, if there is one. On `:ok` it is on the disk under its name: its bytes
  were there before it got the name, and the name is.

      iex> path = Path.join(System.tmp_dir!(), "gp_doc_#{System.unique_integer([:positive])}")
      iex> GamePlatform.Persistence.Files.write(path, "all of it")
      :ok
      iex> {File.read(path), File.exists?(path <> ".tmp"), File.rm(path)}
      {{:ok, "all of it"}, false, :ok}

      iex> GamePlatform.Persistence.Files.write("/no/such/directory/file", "")
      {:error, :enoent}
  """
  @spec write(Path.t(), iodata) :: :ok | {:error, File.posix()}
  def write(path, data) do
    unfinished = path <> @unfinished

    with :ok <- write_and_sync(unfinished, data), :ok <- File.rename(unfinished, path) do
      sync_dir(Path.dirname(path))
    else
      error ->
        File.rm(unfinished)
        error
    end
  end

  defp write_and_sync(path, data) do
    with {:ok, file} <- :file.open(path, [:write, :raw, :binary]) do
      with_file(file, fn -> with :ok <- :file.write(file, data), do: :file.sync(file) end)
    end
  end

  @doc "Has the names of a directory on the disk: of files that were made, renamed or removed in it."
  @spec sync_dir(Path.t()) :: :ok | {:error, File.posix()}
  def sync_dir(path) do
    with {:ok, dir} <- :file.open(path, [:read, :raw, :directory]) do
      with_file(dir, fn -> :file.sync(dir) end)
    end
  end

  # A file that cannot be closed may not have been written.
  defp with_file(file, fun) do
    with :ok <- fun.() do
      :file.close(file)
    else
      error ->
        :file.close(file)
        error
    end
  end
end
