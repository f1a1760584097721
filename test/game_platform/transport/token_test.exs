defmodule GamePlatform.Transport.TokenTest do
  use ExUnit.Case, async: true

  alias GamePlatform.Transport.Token

  doctest Token

  @secret "0123456789abcdef0123456789abcdef"
  @now 1_700_000_000

  defp sign!(claims, opts \\ []) do
    {:ok, token} = Token.sign(claims, @secret, opts)
    token
  end

  # A token of any header and any text for claims, well signed.
  defp forge(header, claims, secret \\ @secret) do
    input = encode64(header) <> "." <> encode64(claims)
    input <> "." <> encode64(:crypto.mac(:hmac, :sha256, secret, input))
  end

  defp encode64(bytes), do: Base.url_encode64(bytes, padding: false)
  defp verify(token, opts \\ []), do: Token.verify(token, @secret, [now: @now] ++ opts)

  describe "RFC 7515, A.1" do
    @token "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9" <>
             ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ" <>
             ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    @key "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"

    test "verifies until it expires" do
      key = Base.url_decode64!(@key, padding: false)

      assert Token.verify(@token, key, now: 1_300_819_379, issuer: "joe") ==
               {:ok, %{"iss" => "joe", "exp" => 1_300_819_380, "http://example.com/is_root" => true}}

      assert Token.verify(@token, key) == {:error, :expired}
    end
  end

  test "claims come back as they were signed" do
    claims = %{"sub" => "p:1", "name" => "Zoë", "roles" => ["a", %{"b" => nil}], "exp" => @now + 1}
    assert verify(sign!(claims)) == {:ok, claims}

    assert verify(sign!(%{sub: "p"}, now: @now, ttl_s: 9, issuer: "us"), issuer: "us") ==
             {:ok, %{"sub" => "p", "iss" => "us", "iat" => @now, "exp" => @now + 9}}
  end

  test "no byte can be changed, dropped or added" do
    token = sign!(%{"sub" => "player", "exp" => @now + 1})
    assert {:ok, _} = verify(token)
    alphabet = Enum.concat([?A..?Z, ?a..?z, ?0..?9, ~c"-_.=+/ \n", [0, 255]])

    for at <- 0..(byte_size(token) - 1), byte <- alphabet, byte != :binary.at(token, at) do
      {before, <<_, rest::binary>>} = :erlang.split_binary(token, at)
      assert {:error, reason} = verify(<<before::binary, byte, rest::binary>>)
      assert reason in [:malformed, :bad_signature, :unsupported_algorithm]
    end

    for at <- 0..byte_size(token), byte <- ~c"A.= " do
      {before, rest} = :erlang.split_binary(token, at)
      assert {:error, _} = verify(before <> <<byte>> <> rest)
    end

    for size <- 0..(byte_size(token) - 1), do: assert({:error, _} = verify(binary_part(token, 0, size)))
  end

  test "the algorithm is not the token's choice" do
    claims = ~s({"exp":#{@now + 1}})
    assert {:ok, _} = verify(forge(~s({"alg":"HS256"}), claims))

    for alg <- ~w("none" "None" "HS384" "HS512" "RS256" "ES256" "hs256" "" null 1 ["HS256"] {"HS256":1}) do
      header = ~s({"alg":#{alg},"typ":"JWT"})
      assert verify(forge(header, claims)) == {:error, :unsupported_algorithm}
      assert {:error, _} = verify(encode64(header) <> "." <> encode64(claims) <> ".")
    end

    assert verify(forge("{}", claims)) == {:error, :unsupported_algorithm}

    assert verify(forge(~s({"alg":"HS256","crit":["b64"],"b64":false}), claims)) ==
             {:error, {:unsupported_header, %{header: "crit"}}}

    for header <- [~s({"alg":"none","alg":"HS256"}), "[]", "\"HS256\"", "", "{", "\xff"] do
      assert verify(forge(header, claims)) == {:error, :malformed}
    end

    assert verify(forge(~s({"alg":"HS256"}), claims, "another secret another secret...")) ==
             {:error, :bad_signature}
  end

  test "claims are one object that names nothing twice" do
    header = ~s({"alg":"HS256"})
    exp = ~s("exp":#{@now + 1})

    for claims <- [
          "[]",
          "1",
          "null",
          ~s("text"),
          "",
          "{",
          "\xff",
          "{} {}",
          ~s({#{exp},#{exp}}),
          ~s({#{exp},"ex\\u0070":1}),
          ~s({#{exp},"a":{"b":1,"b":1}}),
          ~s({#{exp},"a":[[{"b":{},"b":1}]]})
        ] do
      assert verify(forge(header, claims)) == {:error, :malformed}
    end

    # Colons and quotes in strings are no names.
    odd = ~S({"exp":1700000001,"a:b":":\":\\","\"":{":":[{":":1},{":":2}]}})

    assert {:ok, %{"a:b" => ":\":\\", "\"" => %{":" => [%{":" => 1}, %{":" => 2}]}}} =
             verify(forge(header, odd))
  end

  test "one signature has one spelling" do
    token = sign!(%{"exp" => @now + 1})
    [header, claims, signature] = String.split(token, ".")
    {:ok, bytes} = Base.url_decode64(signature, padding: false)
    # The last character has bits that say nothing.
    <<head::binary-size(42), last>> = signature

    twins =
      for c <- ?A..?z, twin = head <> <<c>>, Base.url_decode64(twin, padding: false) == {:ok, bytes}, do: c

    assert length(twins) == 4 and last in twins

    for c <- twins,
        c != last,
        do: assert(verify(Enum.join([header, claims, head <> <<c>>], ".")) == {:error, :malformed})

    assert verify(token <> "=") == {:error, :malformed}

    assert verify(Enum.join([header, claims, Base.encode64(bytes, padding: false) <> "\n"], ".")) ==
             {:error, :malformed}

    for bad <- [nil, 1, ~c"a.b.c", "", ".", "..", "a.b", "a.b.c.d", <<255, 254>>] do
      assert verify(bad) == {:error, :malformed}
    end
  end

  test "size" do
    padding = fn n -> String.duplicate("x", n) end
    assert {:ok, token} = Token.sign(%{"exp" => @now + 1, "x" => padding.(2900)}, @secret)
    assert byte_size(token) <= 4096 and match?({:ok, _}, verify(token))
    assert Token.sign(%{"x" => padding.(3100)}, @secret) == {:error, :too_long}

    assert verify(forge(~s({"alg":"HS256"}), ~s({"exp":#{@now + 1},"x":"#{padding.(3100)}"}))) ==
             {:error, :too_long}

    assert verify(padding.(10_000_000)) == {:error, :too_long}
  end

  test "times" do
    for {claims, opts, expected} <- [
          {%{"exp" => @now}, [], :expired},
          {%{"exp" => @now - 5}, [leeway_s: 5], :expired},
          {%{"exp" => @now - 4}, [leeway_s: 5], :ok},
          {%{"exp" => @now + 0.5}, [], :ok},
          {%{"exp" => 0}, [], :expired},
          {%{}, [], {:missing_claim, %{claim: "exp"}}},
          {%{}, [require_exp: false], :ok},
          {%{"exp" => @now}, [require_exp: false], :expired},
          {%{"nbf" => @now + 1}, [require_exp: false], :not_yet_valid},
          {%{"nbf" => @now + 1}, [require_exp: false, leeway_s: 1], :ok},
          {%{"exp" => @now + 9, "nbf" => @now}, [], :ok},
          {%{"exp" => @now + 9, "nbf" => @now + 1}, [], :not_yet_valid},
          {%{"exp" => @now + 999, "iat" => @now + 60}, [], :ok},
          {%{"exp" => @now + 999, "iat" => @now + 61}, [], :not_yet_valid},
          {%{"exp" => @now + 999, "iat" => @now + 61}, [leeway_s: 1], :ok}
        ] do
      case expected do
        :ok -> assert {:ok, _} = verify(sign!(claims), opts)
        reason -> assert verify(sign!(claims), opts) == {:error, reason}
      end
    end

    assert {:ok, _} = Token.verify(sign!(%{}, ttl_s: 60), @secret)
    assert Token.verify(sign!(%{}, ttl_s: 60, now: @now), @secret) == {:error, :expired}
  end

  test "what claims must be" do
    header = ~s({"alg":"HS256"})

    for {name, values} <- [
          {"exp", ~w("1700000001" null true [] {} -1)},
          {"nbf", ~w("0" null -0.5)},
          {"iat", ~w("0" [])},
          {"sub", ["\"\"", "null", "1", "{}", ~s(["p"]), ~s("#{String.duplicate("s", 256)}")]},
          {"iss", ["\"\"", "1", ~s(["us"])]}
        ],
        value <- values do
      rest = if name == "exp", do: "", else: ~s("exp":#{@now + 1},)

      assert {:error, {:invalid_claim, %{claim: ^name, expected: expected}}} =
               verify(forge(header, ~s({#{rest}"#{name}":#{value}})))

      assert is_binary(expected)
    end

    assert {:ok, _} = verify(sign!(%{"exp" => @now + 1, "sub" => String.duplicate("s", 255)}))
  end

  test "the issuer, if one is asked for" do
    claims = %{"exp" => @now + 1}
    assert {:ok, _} = verify(sign!(Map.put(claims, "iss", "them")))
    assert {:ok, _} = verify(sign!(Map.put(claims, "iss", "us")), issuer: "us")
    assert verify(sign!(Map.put(claims, "iss", "them")), issuer: "us") == {:error, :wrong_issuer}
    assert verify(sign!(claims), issuer: "us") == {:error, {:missing_claim, %{claim: "iss"}}}
  end

  test "what cannot be signed" do
    assert {:error, {:invalid_claims, _}} = Token.sign(%{"a" => self()}, @secret)
    assert {:error, {:invalid_claims, _}} = Token.sign(%{:a => 1, "a" => 2}, @secret)
    assert {:error, {:invalid_claims, _}} = Token.sign([sub: "p"], @secret)
    assert {:error, {:invalid_claim, %{claim: "sub"}}} = Token.sign(%{sub: ""}, @secret)
    assert {:error, {:invalid_claim, %{claim: "exp"}}} = Token.sign(%{exp: "soon"}, @secret)
  end

  test "an unfit option is named, and a secret is not shown" do
    for {opts, option} <- [
          {[leeway_s: -1], :leeway_s},
          {[now: "x"], :now},
          {[issuer: ""], :issuer},
          {[require_exp: nil], :require_exp},
          {[ttl_s: 5], :ttl_s},
          {[algorithm: "none"], :algorithm},
          {%{}, :opts}
        ] do
      assert {:error, {:invalid_option, %{option: ^option}}} = Token.verify("a.b.c", @secret, opts)
    end

    assert {:error, {:invalid_option, %{option: :ttl_s}}} = Token.sign(%{}, @secret, ttl_s: 0)

    for secret <- ["", "short and secret", nil, ~c"short and secret", :none] do
      assert {:error, {:invalid_option, %{option: :jwt_secret} = error}} = Token.sign(%{}, secret)
      assert {:error, {:invalid_option, ^error}} = Token.verify(sign!(%{}), secret)
      refute inspect(error) =~ "short and secret"
    end
  end

  test "a request's token" do
    header = &[{"host", "x"}, {"authorization", &1}]

    for {headers, params, expected} <- [
          {header.("Bearer abc"), %{}, {:ok, "abc"}},
          {header.("bearer   abc "), %{"token" => "def"}, {:ok, "abc"}},
          {header.("Basic dXNlcg=="), %{"token" => "def"}, {:ok, "def"}},
          {header.("Bearer"), %{}, {:error, :missing_token}},
          {header.("Bearer "), %{"token" => "def"}, {:error, :missing_token}},
          {[], %{"token" => ""}, {:error, :missing_token}},
          {[], %{"token" => %{"a" => "b"}}, {:error, :malformed}},
          {[], %{"token" => nil}, {:error, :missing_token}},
          {[], "a=b&token=x%2Ey&token=z", {:ok, "x.y"}},
          {[], "token", {:error, :missing_token}}
        ] do
      assert Token.from_request(headers, params) == expected
    end
  end
end
