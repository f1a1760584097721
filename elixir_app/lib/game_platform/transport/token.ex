defmodule GamePlatform.Transport.Token do
  @moduledoc """
  Tokens that say who a client is: JSON Web Tokens signed with HMAC SHA-256 (`HS256`, RFC 7515 and 7519).

      iex> alias GamePlatform.Transport.Token
      iex> secret = String.duplicate("k", 32)
      iex> {:ok, token} = Token.sign(%{sub: "player-1"}, secret, ttl_s: 60, now: 1_000)
      iex> Token.verify(token, secret, now: 1_059)
      {:ok, %{"sub" => "player-1", "iat" => 1_000, "exp" => 1_060}}
      iex> Token.verify(token, secret, now: 1_060)
      {:error, :expired}

  One algorithm is understood, so a token cannot choose a weaker one; base64url is read strictly, so one
  signature has one spelling. Times are seconds since 1970. The claim `aud` is not looked at.

  ## Errors of `verify/3`

    * `:too_long`: more than 4,096 bytes
    * `:malformed`: not three parts in unpadded base64url, of which the first two are JSON objects that name
      nothing twice
    * `:unsupported_algorithm`: `alg` is not `HS256`
    * `{:unsupported_header, %{header: "crit"}}`: the token asks for what is not understood here
    * `:bad_signature`: changed, or signed with another secret
    * `:expired`: `exp` has come
    * `:not_yet_valid`: `nbf` has not, or `iat` is in the future
    * `:wrong_issuer`
    * `{:missing_claim, %{claim: name}}`
    * `{:invalid_claim, %{claim: name, expected: sentence}}`
    * `{:invalid_option, %{option: _, value: _, expected: _}}`: the fault is the caller's. A secret is not shown
  """

  alias GamePlatform.{Config, JSON}

  @type claims :: %{optional(String.t()) => term}
  @type error :: atom | {atom, map}

  # {"alg":"HS256","typ":"JWT"}
  @header "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
  @max_bytes 4096
  @max_text_bytes 255
  # Clocks differ, and a token is often used in the second that it was made in.
  @iat_slack_s 60

  @sign_options [now: nil, ttl_s: nil, issuer: nil]
  @verify_options [now: nil, leeway_s: 0, issuer: nil, require_exp: true]

  @doc """
  Makes a token of claims, a map with string or atom keys.

  ## Options

    * `:ttl_s`: how long it is valid, in seconds: sets `iat` and `exp`. Without it the claims stay as they are
    * `:issuer`: sets `iss`
    * `:now`: seconds since 1970, default the system's time

  Besides the errors of `verify/3` there is `{:invalid_claims, sentence}` for claims that have no JSON form.
  """
  @spec sign(map, binary, keyword) :: {:ok, String.t()} | {:error, error | {:invalid_claims, String.t()}}
  def sign(claims, secret, opts \\ []) do
    with {:ok, opts} <- options(opts, @sign_options),
         :ok <- check_secret(secret),
         {:ok, claims} <- normal(claims),
         claims = Map.merge(claims, set_by(opts)),
         :ok <- check_types(claims),
         {:ok, json} <- encode(claims) do
      input = @header <> "." <> Base.url_encode64(json, padding: false)
      token = input <> "." <> Base.url_encode64(mac(input, secret), padding: false)
      if byte_size(token) > @max_bytes, do: {:error, :too_long}, else: {:ok, token}
    end
  end

  # What a reader of the token will see.
  defp normal(claims) when is_map(claims) do
    with {:ok, json} <- encode(claims), {:ok, claims} <- JSON.decode(json), do: {:ok, claims}
  end

  defp normal(_), do: {:error, {:invalid_claims, "claims are a map"}}

  defp encode(claims) do
    with {:error, {:invalid_term, reason}} <- JSON.encode(claims), do: {:error, {:invalid_claims, reason}}
  end

  defp set_by(opts) do
    times = if opts.ttl_s, do: %{"iat" => now(opts), "exp" => now(opts) + opts.ttl_s}, else: %{}
    if opts.issuer, do: Map.put(times, "iss", opts.issuer), else: times
  end

  @doc """
  Checks a token and gives its claims, with string keys.

  ## Options

    * `:issuer`: what `iss` must be; default `nil`, which lets any pass
    * `:require_exp`: whether a token must expire, default `true`
    * `:leeway_s`: how many seconds `exp`, `nbf` and `iat` may be off, default 0. `iat` may be 60 seconds more,
      because clocks differ
    * `:now`: seconds since 1970, default the system's time
  """
  @spec verify(term, binary, keyword) :: {:ok, claims} | {:error, error}
  def verify(token, secret, opts \\ []) do
    with {:ok, opts} <- options(opts, @verify_options),
         :ok <- check_secret(secret),
         {:ok, header, claims, signature, input} <- split(token),
         :ok <- check_header(header),
         :ok <- check_signature(signature, mac(input, secret)),
         # Only from here on is anything that the token says believed.
         {:ok, claims} <- object(claims),
         :ok <- check_types(claims),
         :ok <- check_times(claims, opts),
         :ok <- check_issuer(claims, opts.issuer) do
      {:ok, claims}
    end
  end

  @doc """
  Finds the token of a request: in the header `authorization: Bearer …`, else in the parameter `token`.

  Headers are pairs of a lowercase name and a value; parameters are a map with string keys, or the raw query.
  A header of another scheme is passed over: it may be a proxy's.

      iex> alias GamePlatform.Transport.Token
      iex> Token.from_request([{"authorization", "Bearer a.b.c"}], %{"token" => "d.e.f"})
      {:ok, "a.b.c"}
      iex> Token.from_request([], "vsn=2.0.0&token=d.e.f")
      {:ok, "d.e.f"}
      iex> Token.from_request([], "")
      {:error, :missing_token}
  """
  @spec from_request([{String.t(), String.t()}], %{optional(String.t()) => term} | String.t()) ::
          {:ok, String.t()} | {:error, :missing_token | :malformed}
  def from_request(headers, params) do
    case Enum.find_value(headers, &bearer/1) || parameter(params) do
      token when token in [nil, ""] -> {:error, :missing_token}
      token when is_binary(token) -> {:ok, token}
      _ -> {:error, :malformed}
    end
  end

  defp bearer({"authorization", value}) when is_binary(value) do
    case String.split(value, [" ", "\t"], parts: 2) do
      [scheme, token] -> if String.downcase(scheme) == "bearer", do: String.trim(token)
      _ -> nil
    end
  end

  defp bearer(_), do: nil

  defp parameter(params) when is_map(params), do: params["token"]

  # A query that cannot be decoded has no token.
  defp parameter(query) when is_binary(query) do
    Enum.find_value(URI.query_decoder(query), fn {name, value} -> name == "token" && value end)
  rescue
    ArgumentError -> nil
  end

  @doc """
  What is wrong with a token, for its bearer. Of a fault of the caller's own options it tells nothing.

      iex> GamePlatform.Transport.Token.describe({:missing_claim, %{claim: "exp"}})
      "the claim exp is missing"
      iex> GamePlatform.Transport.Token.describe(:bad_signature)
      "bad signature"
  """
  @spec describe(error) :: String.t()
  def describe({:missing_claim, %{claim: claim}}), do: "the claim #{claim} is missing"

  def describe({:invalid_claim, %{claim: claim, expected: expected}}),
    do: "the claim #{claim} is not #{expected}"

  def describe({reason, _}), do: describe(reason)
  def describe(reason), do: reason |> Atom.to_string() |> String.replace("_", " ")

  defp split(token) when not is_binary(token), do: {:error, :malformed}
  defp split(token) when byte_size(token) > @max_bytes, do: {:error, :too_long}

  defp split(token) do
    with [header, claims, signature] <- :binary.split(token, ".", [:global]),
         {:ok, header_json} <- decode64(header),
         {:ok, claims_json} <- decode64(claims),
         {:ok, signature} <- decode64(signature) do
      {:ok, header_json, claims_json, signature, header <> "." <> claims}
    else
      _ -> {:error, :malformed}
    end
  end

  # Padding and stray bits at the end are let pass by `Base`; they would give one token many spellings.
  defp decode64(part) do
    with {:ok, bytes} <- Base.url_decode64(part, padding: false),
         true <- Base.url_encode64(bytes, padding: false) == part do
      {:ok, bytes}
    else
      _ -> {:error, :malformed}
    end
  end

  defp object(json) do
    with {:ok, %{} = object} <- JSON.decode(json), true <- members(json, 0) == size(object) do
      {:ok, object}
    else
      _ -> {:error, :malformed}
    end
  end

  # A name given twice leaves fewer in the map than there are colons outside of strings.
  defp members(<<?:, rest::binary>>, n), do: members(rest, n + 1)
  defp members(<<?", rest::binary>>, n), do: rest |> skip_string() |> members(n)
  defp members(<<_, rest::binary>>, n), do: members(rest, n)
  defp members(<<>>, n), do: n

  defp skip_string(<<?\\, _, rest::binary>>), do: skip_string(rest)
  defp skip_string(<<?", rest::binary>>), do: rest
  defp skip_string(<<_, rest::binary>>), do: skip_string(rest)

  defp size(%{} = object),
    do: map_size(object) + (object |> Map.values() |> Enum.map(&size/1) |> Enum.sum())

  defp size(list) when is_list(list), do: list |> Enum.map(&size/1) |> Enum.sum()
  defp size(_), do: 0

  defp check_header(json) do
    case object(json) do
      {:ok, %{"crit" => _}} -> {:error, {:unsupported_header, %{header: "crit"}}}
      {:ok, %{"alg" => "HS256"}} -> :ok
      {:ok, _} -> {:error, :unsupported_algorithm}
      error -> error
    end
  end

  defp mac(input, secret), do: :crypto.mac(:hmac, :sha256, secret, input)

  defp check_signature(given, expected) do
    if byte_size(given) == byte_size(expected) and :crypto.hash_equals(given, expected),
      do: :ok,
      else: {:error, :bad_signature}
  end

  defp check_types(claims) do
    checks = [
      {["exp", "nbf", "iat"], &time?/1, "a number of seconds since 1970"},
      {["sub", "iss"], &text?/1, "a string of 1..#{@max_text_bytes} bytes"}
    ]

    Enum.find_value(checks, :ok, fn {names, fits?, expected} ->
      Enum.find_value(names, fn name ->
        if Map.has_key?(claims, name) and not fits?.(claims[name]),
          do: {:error, {:invalid_claim, %{claim: name, expected: expected}}}
      end)
    end)
  end

  defp time?(value), do: is_number(value) and value >= 0
  defp text?(value), do: is_binary(value) and byte_size(value) in 1..@max_text_bytes

  defp check_times(%{"exp" => exp} = claims, opts) do
    if exp + opts.leeway_s <= now(opts), do: {:error, :expired}, else: check_start(claims, opts)
  end

  defp check_times(_, %{require_exp: true}), do: {:error, {:missing_claim, %{claim: "exp"}}}
  defp check_times(claims, opts), do: check_start(claims, opts)

  defp check_start(claims, opts) do
    latest = now(opts) + opts.leeway_s

    if Map.get(claims, "nbf", 0) > latest or Map.get(claims, "iat", 0) > latest + @iat_slack_s,
      do: {:error, :not_yet_valid},
      else: :ok
  end

  defp check_issuer(_, nil), do: :ok
  defp check_issuer(%{"iss" => issuer}, issuer), do: :ok
  defp check_issuer(%{"iss" => _}, _), do: {:error, :wrong_issuer}
  defp check_issuer(_, _), do: {:error, {:missing_claim, %{claim: "iss"}}}

  # What the option takes, without its default: `nil` signs nothing.
  defp check_secret(nil), do: Config.invalid(:jwt_secret, nil, "a secret")

  defp check_secret(secret) do
    with {:ok, _} <- Config.check(:jwt_secret, secret), do: :ok
  end

  defp options(opts, defaults) do
    if Keyword.keyword?(opts) do
      Enum.reduce_while(opts, {:ok, Map.new(defaults)}, fn {name, value}, {:ok, options} ->
        case check_option(Keyword.has_key?(defaults, name) and name, value) do
          :ok -> {:cont, {:ok, %{options | name => value}}}
          expected -> {:halt, Config.invalid(name, value, expected || one_of(defaults))}
        end
      end)
    else
      Config.invalid(:opts, opts, "a keyword list")
    end
  end

  defp check_option(:issuer, value), do: if(value == nil or text?(value), do: :ok, else: "a string or nil")

  defp check_option(:require_exp, value),
    do: if(is_boolean(value), do: :ok, else: "true or false")

  defp check_option(:leeway_s, value),
    do: if(is_integer(value) and value >= 0, do: :ok, else: "a number of seconds")

  defp check_option(:ttl_s, value),
    do: if(is_nil(value) or (is_integer(value) and value > 0), do: :ok, else: "a number of seconds, or nil")

  defp check_option(:now, value),
    do: if(is_nil(value) or (is_integer(value) and value >= 0), do: :ok, else: "seconds since 1970, or nil")

  defp check_option(false, _), do: nil

  defp one_of(defaults), do: "one of the options #{Enum.join(Keyword.keys(defaults), ", ")}"

  defp now(%{now: nil}), do: System.os_time(:second)
  defp now(%{now: now}), do: now
end
