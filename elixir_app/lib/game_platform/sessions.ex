defmodule GamePlatform.Sessions do
  @moduledoc """
  Who clients are, on any transport: sessions of players, the tokens that prove them, and messages to them.

      {:ok, %{token: token, session_id: id, player_id: "ann-" <> _}} = GamePlatform.Sessions.connect(MyGame, name: "ann")
      {:ok, %{player: "ann-" <> _, session_id: ^id}} = GamePlatform.Sessions.authorize(MyGame, token)

  A *session* is a player's, whatever the number of devices; each device has a *session id*, which is its own place in
  the player's mailbox. Every device gets every message, once and in order; what all devices that were heard of lately
  have is not kept. A session is a process only while devices are heard of: it is made again by whoever comes with a
  token that is valid, after a restart of anything too, and nothing is lost when it ends.

  Tokens are JSON Web Tokens (`GamePlatform.Transport.Token`) with `sub` (the player), `sid` (the session id), `world`,
  `seq` (where the device begins in the mailbox), `iat`, `exp`, and `iss` if the instance has a `:jwt_issuer`. They are
  signed with its `:jwt_secret`, so that tokens of others who know it are taken, too; without one with a secret that the
  data directory keeps; without that with one for the life of the instance.

  The `game` of all functions is the name of an instance; `{:error, :not_running}` is the answer while it, its world or
  its mail is being started.
  """

  alias GamePlatform.{Compute, Config, Instance, Mail, Multiplayer, Transport}
  alias GamePlatform.Sessions.{Names, Session, SessionId, Settings, Tokens}
  alias GamePlatform.Transport.Token

  @type game :: atom
  @type player :: String.t()
  @type session_id :: String.t()
  @type identity :: %{
          player: player,
          session_id: session_id | nil,
          issued_at: number,
          expires_at: number,
          seq: non_neg_integer | nil
        }
  @type token :: %{
          token: String.t(),
          session_id: session_id,
          player_id: player,
          expires_at: pos_integer,
          expires_in: pos_integer
        }
  @type refusal ::
          {:error, :not_running | :token_needed | :no_session | :revoked | :too_many_sessions | Token.error()}

  @world "main"
  @topic "world:main"
  # Clocks of others may be as much behind.
  @revoked_slack_s 60
  # No token needs to be known for longer than to the year 2106.
  @last_s 0xFFFF_FFFF
  # How long it is remembered when the tokens of a player were revoked: none of ours lasts longer.
  @revoked_s 2_592_000 + @revoked_slack_s

  @doc """
  A new device of a player, who enters the world if its ruleset has an economy.

  Besides the token there are `world`, `tick`, `home` (the cell where the player begins; nil for one who can only watch,
  which `message` says then), and `seq`: what comes after it is to come.

  ## Options

    * `:token`: one that says who the player is, of whoever has the secret
    * `:player`: the name of the player, for callers who know it; it is not checked
    * `:name`: what a guest wants to be called, 1..40 bytes of letters, digits, spaces, `_`, `.` and `-`
    * `:guest`: a secret of 16..128 bytes by which a guest comes back as the same player

  Without `:token` and `:player` it is a guest; `{:error, :token_needed}` if the instance takes none.
  """
  @spec connect(game, keyword) ::
          {:ok, %{atom => term}} | refusal | {:error, Config.error() | {:token, Token.error() | :revoked}}
  def connect(game, opts \\ []) do
    opts = Map.new(opts)

    with {:ok, config} <- Settings.fetch(game),
         {:ok, %{player: player} = identity} <- player(game, config, opts),
         issued_at = Tokens.issued_at(game, player),
         :ok <- good(game, identity),
         # What comes while the player enters is to be told.
         seq = Mail.last(game),
         {:ok, entered} <- enter(game, player),
         {:ok, world} <- GamePlatform.world(game),
         {:ok, tick} <- tick(world),
         id = SessionId.new(config.secret.(), player),
         {:ok, _} <- Session.connect(game, player, id, seq, entered.home, player_is(opts)),
         {:ok, token} <- Tokens.sign(config, player, id, seq, issued_at) do
      {:ok, token |> Map.merge(entered) |> Map.merge(%{world: @world, tick: tick, seq: seq})}
    end
  end

  defp player(_, _, %{player: player}) when is_binary(player), do: named({:ok, player})

  defp player(game, config, %{token: token} = opts) when token != nil do
    with {:ok, %{"sub" => _}} <- Tokens.claims(game, config, token),
         {:ok, identity} <- Tokens.identity(game, config, token) do
      {:ok, identity}
    else
      # As for sockets: it says only that its bearer may come in.
      {:ok, _} -> named(Names.guest_id(opts[:name], opts[:guest]))
      {:error, reason} -> {:error, {:token, reason}}
    end
  end

  defp player(_, %{guests: false}, _), do: {:error, :token_needed}
  defp player(_, _, opts), do: named(Names.guest_id(opts[:name], opts[:guest]))

  # Without a token that could have been revoked.
  defp named({:ok, player}), do: {:ok, %{player: player, issued_at: nil}}
  defp named(error), do: error

  # A guest who shows nothing is given a name that nobody had.
  defp player_is(opts), do: if(opts[:token] || opts[:player] || opts[:guest], do: :known, else: :new)

  # A name that no player can have watches, and whoever comes new to a world that is full.
  defp enter(game, player) do
    case Multiplayer.enter(game, player) do
      {:ok, %{home: home}} -> {:ok, %{home: home}}
      {:error, :not_running} = error -> error
      {:error, {_, message}} when is_binary(message) -> {:ok, %{home: nil, message: message}}
      _ -> {:ok, %{home: nil}}
    end
  end

  defp tick(world) do
    with {:error, _} <- Compute.tick(world), do: {:error, :not_running}
  end

  @doc """
  Who shows a token, and until when it is valid. `session_id` is nil in tokens that others have made, which say only
  who the player is.
  """
  @spec authorize(game, term) :: {:ok, identity} | {:error, :not_running | :revoked | Token.error()}
  def authorize(game, token) do
    with {:ok, config} <- Settings.fetch(game), do: Tokens.identity(game, config, token)
  end

  @doc "Whose a session id is, as seen by a player: one that is revoked is nobody's."
  @spec whose(game, session_id, player) :: :own | :foreign | :unknown
  def whose(game, id, player) do
    with {:ok, config} <- Settings.fetch(game),
         :own <- SessionId.whose(config.secret.(), id, player) do
      if Mail.revoked(game, id), do: :unknown, else: :own
    else
      :foreign -> :foreign
      _ -> :unknown
    end
  end

  @doc "A new token for the device of a token that is valid, which stays valid until it expires."
  @spec refresh(game, term) :: {:ok, token} | refusal
  def refresh(game, token) do
    with {:ok, config} <- Settings.fetch(game),
         {:ok, %{session_id: id} = identity} when id != nil <- authorize(game, token) do
      sign(game, config, identity)
    else
      {:ok, _} -> {:error, :no_session}
      error -> error
    end
  end

  @doc "Whether somebody without a token may play."
  @spec guests?(game) :: boolean
  def guests?(game), do: match?({:ok, %{guests: true}}, Settings.fetch(game))

  @doc false
  # As `refresh/2`, for one whose token was looked at when its socket was opened: it is known to be of that device.
  def renew(_, %{session_id: nil}), do: {:error, :no_session}

  def renew(game, identity) do
    with {:ok, config} <- Settings.fetch(game), do: sign(game, config, identity)
  end

  defp sign(game, config, %{player: player, session_id: id, seq: seq} = identity) do
    issued_at = Tokens.issued_at(game, player)

    with :ok <- good(game, identity),
         do: Tokens.sign(config, player, id, seq || 0, issued_at)
  end

  @doc false
  # A socket that was opened while its token was revoked may not have heard of it. One without a token has none to lose.
  def good(_, %{issued_at: nil}), do: :ok
  def good(game, identity), do: if(Tokens.good?(game, identity), do: :ok, else: {:error, :revoked})

  @doc """
  Ends the device of a token, once all that its player has done is as safe as it will be: its session id is revoked,
  its sockets are closed, what waits for it ends. Tells the tick up to which everything is safe.
  """
  @spec logout(game, term) :: {:ok, %{saved_tick: non_neg_integer}} | refusal | {:error, term}
  def logout(game, token) do
    with {:ok, config} <- Settings.fetch(game),
         {:ok, %{session_id: id} = identity} when id != nil <- authorize(game, token),
         {:ok, world} <- GamePlatform.world(game),
         {:ok, tick} <- tick(world),
         :ok <- Mail.sync(game),
         # Tokens of this device that were refreshed may be valid for as long.
         until = max(ceil(min(identity.expires_at, @last_s)), now_s() + config.token_s) + @revoked_slack_s,
         {:ok, _} <- Mail.revoke(game, id, until) do
      Session.forget(game, identity.player, id)
      close(config, "session:" <> id)
      {:ok, %{saved_tick: tick}}
    else
      {:ok, _} -> {:error, :no_session}
      error -> error
    end
  end

  @doc """
  Ends all devices of a player: no token that has been issued so far is taken any more, sockets are closed, what waits
  ends. The player may connect again.
  """
  @spec revoke(game, player) :: :ok | {:error, term}
  def revoke(game, player) when is_binary(player) do
    with {:ok, config} <- Settings.fetch(game),
         {:ok, _} <- Mail.revoke(game, Tokens.player_key(player), now_s() + @revoked_s) do
      for id <- Session.forget(game, player, :all), do: close(config, "session:" <> id)
      close(config, "player:" <> player)
      :ok
    end
  end

  defp close(%{endpoint: nil}, _), do: :ok

  defp close(%{endpoint: endpoint}, id) do
    Transport.broadcast(endpoint, id, "disconnect", %{})
  rescue
    # Without a transport there are no sockets.
    ArgumentError -> :ok
  catch
    :exit, _ -> :ok
  end

  @doc """
  Sends an event to everybody: to the mailbox of every session, and to the sockets in the topic of the world. Answers
  with its `seq` once it cannot be lost any more.
  """
  @spec publish(game, event :: String.t(), payload :: map) :: {:ok, pos_integer} | {:error, term}
  def publish(game, event, payload) do
    with {:ok, _} <- Settings.fetch(game), do: Mail.post(game, {:topic, @topic}, event, payload)
  end

  @doc "Sends an event to all devices of a player, now or when they come back."
  @spec tell(game, player, event :: String.t(), payload :: map) :: {:ok, pos_integer} | {:error, term}
  def tell(game, player, event, payload) do
    with {:ok, _} <- Settings.fetch(game), do: Mail.post(game, {:player, player}, event, payload)
  end

  @doc """
  A device of the one who showed a token was heard of, and has everything up to `acked` if that is given. Answers with
  what it has; one that is not known any more begins where its token does.
  """
  @spec heard(game, identity, session_id, non_neg_integer | nil) ::
          {:ok, acked :: non_neg_integer} | {:error, :not_running | :too_many_sessions}
  def heard(game, identity, id, acked \\ nil) do
    Session.heard(game, identity.player, id, start(game, identity), acked)
  end

  @doc false
  # As `Session.waits/5`.
  def waits(game, identity, id, ref) do
    Session.waits(game, identity.player, id, start(game, identity), ref)
  end

  @doc false
  def waited(game, identity, id, ref), do: Session.waited(game, identity.player, id, ref)

  @doc """
  The device of a socket, of which the calling process is the channel: it is heard of as long as that lives. Answers as
  `heard/4` does. One without a session id is known by one of its own, such as `"ws:"` and something random.
  """
  @spec join(game, identity, session_id) :: {:ok, acked :: non_neg_integer} | {:error, atom}
  def join(game, identity, id) do
    Session.socket(game, identity.player, id, start(game, identity), self())
  end

  @doc "The device of a socket, of which the calling process is the channel, has everything up to `seq`."
  @spec acked(game, player, session_id, non_neg_integer) ::
          {:ok, acked :: non_neg_integer} | {:error, :not_running | :too_many_sessions}
  def acked(game, player, id, seq), do: Session.acked(game, player, id, seq, self())

  # What was told before the token is not for it. A world that keeps nothing may be younger than the token.
  defp start(game, identity) do
    last = Mail.last(game)
    min(identity.seq || last, last)
  end

  @doc "The boxes that a player's mailbox is made of."
  @spec boxes(player) :: [{:topic | :player, String.t()}]
  def boxes(player), do: [{:topic, @topic}, {:player, player}]

  @doc "Players that have a session, and of how many devices it knows."
  @spec list(game) :: [%{player: player, devices: non_neg_integer, pid: pid}]
  def list(game) do
    for [player, pid, devices] <-
          Registry.select(Instance.registry(game), [
            {{{:session, :"$1"}, :"$2", :"$3"}, [], [[:"$1", :"$2", :"$3"]]}
          ]),
        do: %{player: player, devices: devices, pid: pid}
  rescue
    ArgumentError -> []
  end

  @doc "A player's devices: `session_id`, `via` (\"http\" or \"socket\"), `acked`, and `seen_s`, seconds since then."
  @spec devices(game, player) :: [map]
  def devices(game, player), do: Session.devices(game, player)

  @doc """
  How many sessions and devices there are; requests over HTTP since the instance was started, `answered` by
  `{route, status}` and `refused` by code.
  """
  @spec info(game) :: %{atom => term} | {:error, :not_running}
  def info(game) do
    with {:ok, _} <- Settings.fetch(game) do
      sessions = list(game)
      counted = Settings.counted(game)

      %{
        sessions: length(sessions),
        devices: sessions |> Enum.map(& &1.devices) |> Enum.sum(),
        answered: for({{:answered, route, status}, n} <- counted, into: %{}, do: {{route, status}, n}),
        refused: for({{:refused, code}, n} <- counted, into: %{}, do: {code, n})
      }
    end
  end

  defp now_s, do: System.os_time(:second)
end
