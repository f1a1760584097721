defmodule GamePlatform.Persistence.Meta do
  @moduledoc false
  # What a world is made of, as its log keeps it: enough to make it again from nothing.

  require Logger

  alias GamePlatform.Compute.Ruleset
  alias GamePlatform.JSON

  @version 1

  @type t :: %{seed: non_neg_integer, frequency: pos_integer, ruleset: String.t()}

  @spec encode(map, String.t()) :: binary
  def encode(%{seed: seed, frequency: frequency}, ruleset) do
    # A seed has 64 bits, more than numbers in JSON are read with elsewhere.
    JSON.encode!(%{version: @version, seed: Integer.to_string(seed), frequency: frequency, ruleset: ruleset})
  end

  @spec decode(binary) :: {:ok, t} | {:error, {:event_log, map}}
  def decode(bytes) do
    with {:ok, %{"version" => @version, "seed" => seed, "frequency" => frequency, "ruleset" => ruleset}} <-
           JSON.decode(bytes),
         {seed, ""} <- Integer.parse(seed) do
      {:ok, %{seed: seed, frequency: frequency, ruleset: ruleset}}
    else
      {:ok, %{"version" => version}} when is_integer(version) and version > @version ->
        bad(:newer_version, "a newer release made this world: use that one")

      _ ->
        bad(:corrupt, "what the log says of the world cannot be read: put events.db back from a backup")
    end
  end

  defp bad(reason, hint), do: {:error, {:event_log, %{reason: reason, hint: hint}}}

  @doc "The id under which the log has the messages of a world."
  @spec mail(String.t()) :: String.t()
  def mail(id), do: id <> "-mail"

  @doc "Of messages, which are told of what happens after the tick `from`."
  @spec encode_mail(non_neg_integer) :: binary
  def encode_mail(from), do: JSON.encode!(%{kind: "mail", version: @version, from: from})

  @spec decode_mail(binary) :: {:ok, from :: non_neg_integer} | {:error, {atom, String.t()}}
  def decode_mail(bytes) do
    case JSON.decode(bytes) do
      {:ok, %{"kind" => "mail", "version" => @version, "from" => from}} when is_integer(from) and from >= 0 ->
        {:ok, from}

      {:ok, %{"kind" => "mail", "version" => version}} when is_integer(version) and version > @version ->
        {:error, {:newer_version, "a newer release wrote the messages of this world: use that one"}}

      _ ->
        {:error,
         {:corrupt, "what the log says of the messages cannot be read: put events.db back from a backup"}}
    end
  end

  @doc "Whether that is of messages, and not of a world."
  @spec mail?(binary) :: boolean
  def mail?(bytes), do: match?({:ok, %{"kind" => "mail"}}, JSON.decode(bytes))

  @doc "Whether the options that were chosen are those of the world; a ruleset that has changed meanwhile is told of."
  @spec agrees(t, map, map) :: :ok | {:error, {:another_world, map}}
  def agrees(meta, options, %{given: given, dir: dir}) do
    Enum.find_value([:seed, :frequency], &differs(&1, meta, options, given, dir)) ||
      ruleset(meta, options, given, dir)
  end

  defp differs(name, meta, options, given, dir) do
    if name in given and meta[name] != options[name],
      do: another(name, "#{dir} has a world with #{name} #{meta[name]}, not #{options[name]}")
  end

  defp ruleset(meta, %{ruleset: source}, given, dir) do
    with {:ok, %{hash: own}} <- Ruleset.load({:text, meta.ruleset}),
         {:ok, %{hash: hash}} <- Ruleset.load(source) do
      cond do
        own == hash ->
          :ok

        :ruleset in given ->
          another(:ruleset, "#{dir} has a world with another ruleset")

        true ->
          Logger.warning(
            "the default ruleset is not the one that the world in #{dir} was made with: the world keeps its own"
          )
      end
    end
  end

  defp another(option, sentence) do
    {:error,
     {:another_world,
      %{
        option: option,
        hint: "#{sentence}: leave that option out, or choose another directory with --data-dir"
      }}}
  end
end
