defmodule GamePlatform.RouletteSoakTest do
  # ROULETTE_CLIENTS clients hop ROULETTE_HOPS times each; SOAK_SEED chooses another run.
  use ExUnit.Case, async: false

  import GamePlatform.SoakReport

  alias GamePlatform.Roulette

  @moduletag :soak
  @moduletag :tmp_dir
  @moduletag timeout: :infinity

  @seed String.to_integer(System.get_env("SOAK_SEED", "1"))
  @clients String.to_integer(System.get_env("ROULETTE_CLIENTS", "60"))
  @hops String.to_integer(System.get_env("ROULETTE_HOPS", "1000"))
  @kills [:edge, :worker, :link, :session, :channel, :mail, :vm]

  setup_all do
    begin()
  end

  test "roulette", %{tmp_dir: dir} do
    note(41, "roulette: failed")
    # An event for each of 16,384 places of the topic's box, with room to spare.
    report = Roulette.run(dir: dir, seed: @seed, clients: @clients, hops: @hops, kills: @kills, beat_ms: 100)
    IO.puts("\n" <> Roulette.sentence(report))
    note(41, Roulette.sentence(report))
  end
end
