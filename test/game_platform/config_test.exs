defmodule GamePlatform.ConfigTest do
  use ExUnit.Case, async: true

  alias GamePlatform.Config

  doctest GamePlatform.Config

  test "defaults are valid, and documented with every option" do
    for group <- [:world, :server, :call, :picture, :edge, :admin, :log] do
      assert {:ok, defaults} = Config.validate(group, [])
      assert {:ok, defaults} == Config.validate(group, Map.to_list(defaults))

      for name <- Config.options(group) do
        assert Config.docs(group) =~ "`:#{name}`"
        assert Map.has_key?(defaults, name)
      end
    end
  end

  test "strings become values, and only those that are given" do
    assert Config.parse(:world, %{}) == {:ok, %{}}
    assert Config.parse(:world, %{seed: "18446744073709551615"}) == {:ok, %{seed: 0xFFFF_FFFF_FFFF_FFFF}}

    assert Config.parse(:world, %{backend: "beam", frequency: " 7 "}) ==
             {:ok, %{backend: :beam, frequency: 7}}

    for {name, text} <- [seed: "1.5", seed: "", frequency: "4097", backend: "dirty", backend: "Elixir.Foo"] do
      assert {:error, {:invalid_option, %{option: ^name, value: ^text}}} =
               Config.parse(:world, %{name => text})
    end
  end

  test "a picture's angles may be fractions" do
    assert Config.parse(:picture, %{longitude: "-12.5", latitude: "30"}) ==
             {:ok, %{longitude: -12.5, latitude: 30.0}}

    assert {:error, _} = Config.parse(:picture, %{longitude: "west"})
  end

  test "durability is a class, and others by action" do
    assert Config.parse(:server, %{durability: "memory"}) == {:ok, %{durability: %{"default" => :memory}}}

    assert Config.parse(:server, %{durability: "logged, move=memory,craft=stored"}) ==
             {:ok, %{durability: %{"default" => :logged, "move" => :memory, "craft" => :stored}}}

    for text <- ["", "fast", "move=fast", "jump=memory", "logged,logged", "move=memory,move=logged", "a=b=c"] do
      assert {:error, {:invalid_option, %{option: :durability, value: ^text, expected: expected}}} =
               Config.parse(:server, %{durability: text})

      assert expected =~ "logged,move=memory"
    end

    for value <- [:logged, %{"jump" => :memory}, %{"move" => "memory"}, %{move: :memory}, nil] do
      assert {:error, {:invalid_option, %{option: :durability}}} = Config.validate(:server, durability: value)
    end
  end

  test "a data directory is a path" do
    assert {:ok, %{data_dir: "data", snapshot_s: 60, snapshots: 4}} =
             Config.validate(:server, data_dir: "data")

    for bad <- ["", 7, "a\0b"], do: assert({:error, _} = Config.validate(:server, data_dir: bad))
  end

  test "an environment variable is named in the error" do
    assert Config.from_env(:server, %{"UPS" => "60", "HOME" => "/", "WORLD_SEED" => ""}) == {:ok, %{ups: 60}}
    assert {:error, error} = Config.from_env(:server, %{"WORLD_FREQUENCY" => "many"})
    assert Config.describe(error) == ~s(WORLD_FREQUENCY is "many", expected an integer in 1..4096)
  end

  test "an error is one short line, whatever the value" do
    {:error, error} = Config.validate(:world, seed: String.duplicate("x", 10_000))
    line = Config.describe(error)
    assert String.length(line) < 200
    refute line =~ "\n"
  end

  @secret String.duplicate("s3cr3t", 6)

  test "the network's variables" do
    env = %{
      "PORT" => "0",
      "BIND" => "0.0.0.0",
      "JWT_SECRET" => @secret,
      "JWT_ISSUER" => "https://id.example",
      "CORS_ORIGINS" => "https://a.example, HTTP://localhost:5173",
      "WORLD_HZ" => "60",
      "ADMIN_PORT" => "65535",
      "LOG_FORMAT" => "json"
    }

    assert Config.from_env(:edge, env) ==
             {:ok,
              %{
                port: 0,
                bind: "0.0.0.0",
                jwt_secret: @secret,
                jwt_issuer: "https://id.example",
                cors_origins: ["https://a.example", "http://localhost:5173"],
                hz: 60
              }}

    assert Config.from_env(:admin, env) == {:ok, %{admin_port: 65535, bind: "0.0.0.0"}}
    assert Config.from_env(:log, env) == {:ok, %{log_format: :json}}
    assert Config.from_env(:edge, %{"CORS_ORIGINS" => "*"}) == {:ok, %{cors_origins: :any}}

    for {group, variable, text, expected} <- [
          {:edge, "PORT", "65536", "an integer in 0..65535"},
          {:admin, "ADMIN_PORT", "-1", "an integer in 0..65535"},
          {:edge, "BIND", "localhost", "an IPv4 or IPv6 address"},
          {:edge, "BIND", "127.1", "an IPv4 or IPv6 address"},
          {:edge, "BIND", "\xff", "an IPv4 or IPv6 address"},
          {:edge, "WORLD_HZ", "0", "an integer in 1..60"},
          {:log, "LOG_FORMAT", "xml", "pretty or json"},
          {:edge, "JWT_ISSUER", String.duplicate("i", 256), "a string of 1..255 bytes"}
        ] do
      assert {:error, error} = Config.from_env(group, %{variable => text})
      assert String.starts_with?(Config.describe(error), variable <> " is ")
      assert String.ends_with?(Config.describe(error), "expected " <> expected)
    end

    for origins <- [
          "https://a.example/",
          "a.example",
          "*,https://a.example",
          "https://a.example,",
          "https://"
        ] do
      assert {:error, error} = Config.from_env(:edge, %{"CORS_ORIGINS" => origins})
      assert Config.describe(error) =~ "CORS_ORIGINS is \"#{origins}\", expected * or origins such as"
    end

    for origins <- [[], ["HTTPS://a.example"], [nil], ["https://a.example" | "b"], nil, "*"] do
      assert {:error, {:invalid_option, %{option: :cors_origins}}} =
               Config.validate(:edge, cors_origins: origins)
    end
  end

  test "who can be reached by others needs a secret" do
    for bind <- ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"] do
      assert {:ok, %{bind: ^bind}} = Config.validate(:edge, bind: bind)
      assert Config.from_env(:edge, %{"BIND" => bind}) == {:ok, %{bind: bind}}
    end

    for bind <- ["0.0.0.0", "::", "192.168.1.2", "2001:db8::1", "::ffff:10.0.0.1"] do
      assert {:error, error} = Config.from_env(:edge, %{"BIND" => bind, "JWT_SECRET" => ""})
      line = Config.describe(error)
      assert String.starts_with?(line, ~s(BIND is "#{bind}", expected 127.0.0.1))
      assert line =~ "JWT_SECRET"

      assert {:error, {:invalid_option, %{option: :bind}}} = Config.validate(:edge, bind: bind)
      assert {:ok, _} = Config.validate(:edge, bind: bind, jwt_secret: @secret)
      assert {:ok, _} = Config.from_env(:edge, %{"BIND" => bind, "JWT_SECRET" => @secret})
    end
  end

  test "a secret is never shown" do
    short = "hush-hush"
    assert {:error, error} = Config.from_env(:edge, %{"JWT_SECRET" => short})
    assert Config.describe(error) == "JWT_SECRET is hidden (9 bytes), expected at least 32 bytes"

    for result <- [
          Config.from_env(:edge, %{"JWT_SECRET" => short}),
          Config.validate(:edge, jwt_secret: short),
          Config.validate(:edge, jwt_secret: String.to_charlist(short)),
          # A group that has no such option.
          Config.validate(:server, jwt_secret: @secret)
        ] do
      assert {:error, error} = result
      refute inspect(error) =~ short or inspect(error) =~ @secret
      refute Config.describe(error) =~ short
      assert Config.describe(error) =~ "hidden"
    end
  end
end
