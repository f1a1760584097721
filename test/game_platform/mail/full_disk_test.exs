defmodule GamePlatform.Mail.FullDiskTest do
  # Messages whose gp_link has a disk that is full, as the test says.
  use ExUnit.Case, async: true

  import GamePlatform.Eventually

  alias GamePlatform.{Mail, MailRoom, PowerCut}
  alias GamePlatform.Persistence.{Link, Meta}

  @moduletag :capture_log
  @moduletag :tmp_dir

  setup %{tmp_dir: tmp, line: line} do
    [link, game] = for part <- ~w(Link Game), do: Module.concat(__MODULE__, "#{part}#{line}")
    [dir, full] = for name <- ~w(data full), do: Path.join(tmp, name)
    File.mkdir!(dir)
    program = Application.app_dir(:game_platform, "priv/native/gp_link")
    wrapped = PowerCut.wrap(program, Path.join(tmp, "gp_link"), dir, full: full)
    start_supervised!({Link, %{dir: dir, name: link, native: [program: wrapped, backoff: {1, 50}]}})
    {:ok, link: link, game: game, full: full}
  end

  defp room(%{link: link, game: game}),
    do: start_supervised!({MailRoom, {game, %{link: link, world: "main"}}})

  defp world!(%{link: link}) do
    meta = Meta.encode(%{seed: 1, frequency: 4}, "")
    :ok = Link.call(link, {:create_world, "main", meta})
  end

  defp outcome(game, tick),
    do:
      Mail.outcomes(game, tick - 1, tick, [
        %{player: "ann", action_id: "#{tick}", outcome: :applied, code: nil, tick: tick}
      ])

  test "who asks is refused, outcomes wait, and it comes right by itself",
       %{game: game, full: full} = context do
    world!(context)
    room(context)
    assert {:ok, 0} = Mail.begin(game)
    :ok = Mail.opened(game, 0, self())
    assert {:ok, 1} = Mail.post(game, {:topic, "t"}, "e", %{})
    File.touch!(full)
    assert {:error, {:log_behind, sentence}} = Mail.post(game, {:topic, "t"}, "e", %{})
    assert sentence =~ "room"
    outcome(game, 1)
    assert {:error, {:log_behind, _}} = Mail.post(game, {:topic, "t"}, "e", %{})
    assert {:error, {:log_behind, _}} = Mail.revoke(game, "key", System.os_time(:second) + 10)
    assert Mail.answered(game, "ann", "1") == nil
    assert %{status: ^sentence, last: 1} = Mail.info(game)
    File.rm!(full)
    wait_until(fn -> Mail.answered(game, "ann", "1") == 1 end)
    wait_until(fn -> match?({:ok, _}, Mail.post(game, {:topic, "t"}, "e", %{})) end)
    assert {:ok, [_, %{event: "outcome"}, _], 3} = Mail.read(game, [{:topic, "t"}, {:player, "ann"}], 0)
  end

  test "a world is brought back although it is full, and is heard later",
       %{game: game, full: full} = context do
    world!(context)
    {:ok, _} = Link.call(context.link, {:commit, "main", [{:reached, 7}]})
    File.touch!(full)
    room(context)
    # It is not known yet up to where outcomes are told: from here on.
    assert {:ok, nil} = Mail.begin(game)
    :ok = Mail.opened(game, 7, self())
    outcome(game, 8)
    assert %{status: :starting} = Mail.info(game)
    File.rm!(full)
    wait_until(fn -> Mail.answered(game, "ann", "8") == 8 end)
    assert %{complete: 8, status: :ok} = Mail.info(game)
  end
end
