defmodule GamePlatformWeb.WorldChannel.GuestTest do
  # Players without a token.
  use ExUnit.Case, async: true

  alias GamePlatform.Bots.Client
  alias GamePlatform.{Multiplayer, Sessions}

  @moduletag :capture_log
  @secret "only this browser knows"

  setup context do
    game = Module.concat(__MODULE__, "Game#{context.line}")

    start_supervised!(
      {GamePlatform,
       name: game, frequency: 16, ups: 100, backend: :nif, edge: [port: 0] ++ (context[:edge] || [])}
    )

    {:ok, port} = GamePlatform.port(game)
    %{game: game, url: "ws://127.0.0.1:#{port}/socket/websocket"}
  end

  defp joined(url, params, join \\ %{}) do
    {:ok, client} = Client.connect(url, params)
    {:ok, world, client} = Client.join(client, join)
    {client, world}
  end

  test "a guest who keeps a secret comes back as the same player", %{game: game, url: url} do
    {_, %{"player" => player, "home" => home}} = joined(url, guest: @secret)
    assert "guest-" <> _ = player
    refute player =~ @secret
    assert {_, %{"player" => ^player, "home" => ^home}} = joined(url, guest: @secret)
    {_, %{"player" => other}} = joined(url, guest: @secret <> "!")
    {_, %{"player" => third}} = joined(url, [])
    {_, %{"player" => fourth}} = joined(url, [])
    assert [player, other, third, fourth] |> Enum.uniq() |> length() == 4
    assert map_size(Multiplayer.connected(game)) == 4
  end

  test "a guest has a name, and is the same as over HTTP", %{game: game, url: url} do
    assert {_, %{"player" => "zoe-" <> _ = player}} = joined(url, guest: @secret, name: "zoe")
    assert {:ok, %{player_id: ^player}} = Sessions.connect(game, guest: @secret, name: "zoe")
    assert {:error, sentence} = Client.connect(url, name: "zo\"e")
    assert sentence =~ "name is letters"
  end

  @tag edge: [guests: false]
  test "where guests are not wanted nobody comes without a token", %{game: game, url: url} do
    assert {:error, sentence} = Client.connect(url, guest: @secret)
    assert sentence =~ "no guests"
    {:ok, %{token: token}} = Sessions.connect(game, player: "ann")
    assert {_, %{"player" => "ann"}} = joined(url, token: token)
  end

  test "a secret that is none is refused", %{url: url} do
    for guest <- ["", "short", String.duplicate("x", 129)] do
      assert {:error, sentence} = Client.connect(url, guest: guest)
      assert sentence =~ "guest is a secret of 16 to 128 bytes", sentence
    end
  end

  test "who only watches is no player", %{game: game, url: url} do
    {client, %{"home" => nil, "position" => nil, "you" => nil, "tick" => _}} = joined(url, [], %{watch: true})
    action = %{action_id: "1", action: "gather", cell: 0}
    assert {:error, %{"code" => "unknown_player"}, _} = Client.ask(client, "action", action)
    assert Multiplayer.connected(game) == %{}
    assert {:ok, []} = Multiplayer.players(game)
  end
end
