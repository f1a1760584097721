defmodule GamePlatform.Sessions.Secret do
  @moduledoc false
  # What tokens are signed with: the secret that was given, else one that is kept in the data directory, else one for
  # the life of the instance. It is handed on inside a function, so that no crash report prints it.

  alias GamePlatform.Persistence.{DataDir, Files}

  @name "secret"
  @bytes 32

  @typedoc "A function that gives it, without arguments."
  @type t :: fun

  @doc "The name of the file in a data directory."
  @spec file() :: String.t()
  def file, do: @name

  @spec new() :: t
  def new, do: hidden(:crypto.strong_rand_bytes(@bytes))

  @spec hidden(binary) :: t
  def hidden(secret), do: fn -> secret end

  @doc "The secret of a data directory that is open; it is made if there is none."
  @spec of_directory(Path.t()) :: {:ok, t} | {:error, DataDir.error()}
  def of_directory(dir) do
    path = dir |> Path.expand() |> Path.join(@name)

    case File.read(path) do
      {:ok, <<secret::binary-size(@bytes)>>} ->
        # A copy from a backup may be readable for others.
        _ = File.chmod(path, 0o600)
        {:ok, hidden(secret)}

      {:ok, other} ->
        error(dir, :bad_secret, found: byte_size(other))

      {:error, :enoent} ->
        make(dir, path)

      {:error, posix} ->
        error(dir, :cannot_read, cause: "#{@name}: #{:file.format_error(posix)}")
    end
  end

  # It has its rights before it has its bytes.
  defp make(dir, path) do
    secret = :crypto.strong_rand_bytes(@bytes)
    unfinished = path <> Files.unfinished()

    with :ok <- File.write(unfinished, ""),
         :ok <- File.chmod(unfinished, 0o600),
         :ok <- Files.write(path, secret) do
      {:ok, hidden(secret)}
    else
      {:error, posix} -> error(dir, :cannot_write, cause: "#{@name}: #{:file.format_error(posix)}")
    end
  end

  defp error(dir, reason, details), do: DataDir.refused(dir, reason, details)
end
