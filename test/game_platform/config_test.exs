defmodule GamePlatform.ConfigTest do
  use ExUnit.Case, async: true

  alias GamePlatform.Config

  doctest GamePlatform.Config

  test "defaults are valid, and documented with every option" do
    for group <- [:world, :server, :call, :picture] do
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
end
