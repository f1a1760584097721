defmodule GamePlatform.Compute.Ruleset do
  @moduledoc false
  # From the option `ruleset:` to a validated ruleset.

  alias GamePlatform.Native

  defstruct [:source, :text, :terms, :hash]

  @type source :: :default | Path.t() | {:text, binary}
  @type t :: %__MODULE__{source: source, text: binary, terms: map, hash: <<_::256>>}

  @max_bytes 1_048_576

  @spec load(source) :: {:ok, t} | {:error, {:invalid_ruleset, map}}
  def load(source) do
    file = file(source)

    with {:ok, text} <- read(source, file) do
      case Native.ruleset_parse(text) do
        {:ok, terms, hash} ->
          {:ok, %__MODULE__{source: source, text: text, terms: terms, hash: hash}}

        {:error, {:invalid_ruleset, line, column, reason}} ->
          refuse(%{file: file, line: line, column: column, reason: reason})
      end
    end
  end

  @doc "The file that a ruleset is read from."
  @spec file(source) :: Path.t()
  def file(:default), do: Application.app_dir(:game_platform, "priv/rulesets/default.toml")
  def file({:text, _}), do: "(text)"
  def file(path), do: path

  defp read({:text, text}, _), do: {:ok, text}

  defp read(_, file) do
    with {:ok, %{type: :regular, size: size}} when size <= @max_bytes <- File.stat(file),
         {:ok, text} <- File.read(file) do
      {:ok, text}
    else
      {:ok, %{type: type}} when type != :regular ->
        refuse(%{file: file, reason: "not a regular file"})

      {:ok, %{size: size}} ->
        refuse(%{file: file, reason: "#{size} bytes, more than #{@max_bytes}"})

      {:error, posix} ->
        refuse(%{file: file, reason: "#{:file.format_error(posix)}"})
    end
  end

  defp refuse(details), do: {:error, {:invalid_ruleset, details}}
end
