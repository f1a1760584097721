defmodule GamePlatform.Game.Factory.RulesetWatcher do
  @moduledoc false
  # Says in the log when the file of a ruleset has changed, and whether it is still one. Each new world reads the file
  # itself; the running one keeps what it was made with.

  use GenServer

  require Logger

  alias GamePlatform.Compute.Ruleset

  @poll_ms 1_000

  @doc "The child of an instance, if the configuration asks for it and the ruleset is a file."
  def child_specs({:text, _}), do: []

  def child_specs(source) do
    if Application.get_env(:game_platform, :watch_rulesets, false),
      do: [{__MODULE__, source: source}],
      else: []
  end

  # `source:` as `GamePlatform.Compute.Ruleset.load/1` takes it; `poll_ms:` between two looks.
  def start_link(options), do: GenServer.start_link(__MODULE__, options)

  @impl true
  def init(options) do
    source = Keyword.fetch!(options, :source)
    state = %{source: source, poll_ms: Keyword.get(options, :poll_ms, @poll_ms), seen: stat(source)}
    {:ok, later(state)}
  end

  @impl true
  def handle_info(:look, %{source: source, seen: seen} = state) do
    now = stat(source)
    if now != seen, do: tell(source)
    {:noreply, later(%{state | seen: now})}
  end

  def handle_info(_, state), do: {:noreply, state}

  defp later(state) do
    Process.send_after(self(), :look, state.poll_ms)
    state
  end

  # An editor may write a file in place, or put another one there.
  defp stat(source) do
    with {:ok, stat} <- File.stat(Ruleset.file(source), time: :posix), do: {stat.mtime, stat.size, stat.inode}
  end

  defp tell(source) do
    case Ruleset.load(source) do
      {:ok, ruleset} ->
        Logger.info("ruleset #{Ruleset.file(source)} changed: new worlds use it (hash #{hash(ruleset)})")

      {:error, {:invalid_ruleset, refusal}} ->
        Logger.warning("ruleset #{place(refusal)}: #{refusal.reason}; no new world can use it")
    end
  end

  defp hash(ruleset), do: ruleset.hash |> binary_part(0, 4) |> Base.encode16(case: :lower)

  defp place(%{line: line, column: column} = refusal), do: "#{refusal.file}:#{line}:#{column}"
  defp place(refusal), do: refusal.file
end
