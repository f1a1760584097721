defmodule GamePlatform.Golden do
  @moduledoc "Digests that must never change."

  @digests "test/fixtures/golden/digests.tsv"
  @factories "test/fixtures/golden/factories.tsv"

  @doc "Of worlds that nobody plays in; the Rust tests read the same file."
  def digests do
    for [seed, frequency, ticks, digest] <- rows(@digests) do
      %{
        seed: String.to_integer(seed),
        frequency: String.to_integer(frequency),
        ticks: String.to_integer(ticks),
        digest: Base.decode16!(digest, case: :lower)
      }
    end
  end

  @doc "Of factories after some ticks, in hexadecimal: `%{{name, ticks} => digest}`."
  def factories do
    for [name, ticks, digest] <- rows(@factories), into: %{}, do: {{name, String.to_integer(ticks)}, digest}
  end

  defp rows(path) do
    for line <- File.stream!(path), not String.starts_with?(line, "#") do
      line |> String.trim() |> String.split("\t")
    end
  end
end
