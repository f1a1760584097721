defmodule GamePlatform.RouletteTest do
  # One session, whatever carries it and whoever is killed. ROULETTE_SEED, ROULETTE_HOPS and
  # ROULETTE_KILLS (such as mail,edge) choose another run.
  use ExUnit.Case, async: false

  alias GamePlatform.Roulette

  @moduletag :tmp_dir
  @moduletag timeout: 600_000

  @seed String.to_integer(System.get_env("ROULETTE_SEED", "1"))
  @hops String.to_integer(System.get_env("ROULETTE_HOPS", "200"))
  @kills "ROULETTE_KILLS"
         |> System.get_env("edge,worker,link,session,channel,mail")
         |> String.split(",", trim: true)
         |> Enum.map(&String.to_atom/1)

  test "clients hop while programs, processes and the network fail", %{tmp_dir: dir} do
    report = Roulette.run(dir: dir, seed: @seed, clients: 8, hops: @hops, kills: @kills)
    IO.puts("\n" <> Roulette.sentence(report))
    assert Enum.min(Map.values(report.hops)) > 0 and report.resent > 0
  end

  test "clients hop while the whole VM is killed, too", %{tmp_dir: dir} do
    report =
      Roulette.run(dir: dir, seed: @seed + 1, clients: 4, hops: div(@hops, 4), kills: [:vm, :vm | @kills])

    IO.puts("\n" <> Roulette.sentence(report))
  end

  test "who was away for too long is told what is missing, and misses nothing else", %{tmp_dir: dir} do
    # A box holds a thousand and some.
    for {transport, missed} <- Roulette.absent(dir: dir, seed: @seed, notes: 1_200),
        do: assert(missed in 100..1_199, "#{missed} by #{transport}")
  end
end
