defmodule GamePlatform.Golden do
  @moduledoc "Digests that must never change; the Rust tests read the same file."

  @path "test/fixtures/golden/digests.tsv"

  def digests do
    for line <- File.stream!(@path), not String.starts_with?(line, "#") do
      [seed, frequency, ticks, digest] = line |> String.trim() |> String.split("\t")

      %{
        seed: String.to_integer(seed),
        frequency: String.to_integer(frequency),
        ticks: String.to_integer(ticks),
        digest: Base.decode16!(digest, case: :lower)
      }
    end
  end
end
