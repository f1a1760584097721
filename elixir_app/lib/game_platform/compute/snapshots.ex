defmodule GamePlatform.Compute.Snapshots do
  @moduledoc false
  # Worlds as bytes. The process that wants a snapshot copies and packs it itself; the world's process only lets no
  # tick begin until the copying has begun.

  alias GamePlatform.{Config, Native}
  alias GamePlatform.Compute.{Memory, Ruleset, World, Worlds}

  # How often a copy is begun that lets ticks go on, before one is made that does not.
  @tries 3

  @type reason :: GamePlatform.Compute.reason()

  @doc "A snapshot of the published tick. `call` asks the world's process."
  @spec take(World.t(), (term -> term)) :: {:ok, binary} | {:error, reason}
  def take(world, call) do
    with {:ok, captured, text} <- capture(world, call, @tries, :sound),
         {:ok, _tick, snapshot} <- world.module.encode(captured, text) do
      {:ok, snapshot}
    else
      {:error, sentence} when is_binary(sentence) -> {:error, {:no_snapshot, sentence}}
      error -> error
    end
  end

  defp capture(world, call, tries, memory) do
    case call.(:capture) do
      {:captured, {:ok, captured}, text} -> {:ok, captured, text}
      {:captured, error, _} -> error
      {:held, ref, text} -> capture(world, call, tries, memory, ref, text)
      error -> error
    end
  end

  defp capture(world, call, tries, memory, ref, text) do
    owner = if tries > 0, do: world.pid
    answer = world.module.capture(world.reader, owner, ref)
    send(world.pid, {:captured, ref})

    case answer do
      {:ok, captured} ->
        {:ok, captured, text}

      {:error, :busy} when tries > 0 ->
        capture(world, call, tries - 1, memory)

      # Once more after a repair, if the memory of the world turns out to be broken.
      {:error, :corrupt_peer} when memory == :sound ->
        with :ok <- call.(:repair), do: capture(world, call, tries, :repaired)

      error ->
        error
    end
  end

  @doc "The process of a world that goes on from a snapshot."
  @spec restore(binary, module, map) :: {:ok, pid} | {:error, reason}
  def restore(snapshot, module, options) do
    with {:ok, info} <- info(snapshot),
         {:ok, ruleset} <- ruleset(info),
         :ok <- Memory.check(module.bytes(info.frequency), options.max_bytes) do
      made = %{frequency: info.frequency, seed: info.seed, ruleset: ruleset, cells: nil, snapshot: snapshot}
      Worlds.new(module, Map.merge(options, made), self())
    end
  end

  # The text counts, so it must have the hash that the header says.
  defp ruleset(%{ruleset: text, ruleset_hash: hash}) do
    case Ruleset.load({:text, text}) do
      {:ok, %{hash: ^hash} = ruleset} ->
        {:ok, ruleset}

      {:ok, _} ->
        invalid("the text of the ruleset does not have the hash that the header says")

      {:error, {:invalid_ruleset, %{line: line, reason: reason}}} ->
        invalid("line #{line} of its ruleset: #{reason}")
    end
  end

  @spec info(binary) :: {:ok, map} | {:error, reason}
  def info(snapshot) do
    with :ok <- check(:snapshot, snapshot), :ok <- Native.status() do
      with {:error, sentence} <- Native.snapshot_info(snapshot), do: invalid(sentence)
    end
  end

  @spec compare(binary, binary) :: :equal | {:differs, map} | {:error, reason}
  def compare(a, b) do
    with :ok <- check(:a, a), :ok <- check(:b, b), :ok <- Native.status() do
      with {:error, sentence} <- Native.snapshot_compare(a, b), do: invalid(sentence)
    end
  end

  defp check(_, snapshot) when is_binary(snapshot), do: :ok
  defp check(name, other), do: Config.invalid(name, other, "a binary, as snapshot/1 returns it")

  defp invalid(sentence), do: {:error, {:invalid_snapshot, sentence}}
end
