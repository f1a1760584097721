defmodule GamePlatform.JSONTest do
  use ExUnit.Case, async: true

  alias GamePlatform.JSON

  doctest GamePlatform.JSON

  test "terms come back as they were" do
    for term <- [
          nil,
          true,
          false,
          0,
          -1,
          0xFFFF_FFFF_FFFF_FFFF,
          -0x8000_0000_0000_0000,
          0.1,
          1.0e300,
          "",
          "é\u0000\"",
          [],
          [[]],
          %{},
          %{"a" => %{"b" => [1, nil]}}
        ] do
      assert {:ok, text} = JSON.encode(term)
      assert JSON.decode(text) == {:ok, term}
    end

    # Beyond what a normal scheduler does.
    for term <- [
          Enum.to_list(1..100_000),
          String.duplicate("é", 20_000),
          %{"a" => List.duplicate("x", 5_000)}
        ] do
      assert {:ok, text} = JSON.encode(term)
      assert JSON.decode(text) == {:ok, term}
    end

    assert JSON.encode(%{a: :b}) == {:ok, ~S({"a":"b"})}
  end

  test "what has no JSON form is refused with its reason" do
    deep = Enum.reduce(1..200, [], fn _, inner -> [inner] end)

    for term <- [
          {1},
          self(),
          <<255>>,
          [1 | 2],
          %{1 => 2},
          %{:a => 1, "a" => 2},
          0x1_0000_0000_0000_0000,
          deep,
          fn -> 1 end
        ] do
      assert {:error, {:invalid_term, reason}} = JSON.encode(term)
      assert is_binary(reason)
      assert_raise ArgumentError, fn -> JSON.encode!(term) end
    end

    # The same depth is the last one both ways.
    nested = fn n -> String.duplicate("[", n) <> String.duplicate("]", n) end
    assert {:ok, term} = JSON.decode(nested.(127))
    assert JSON.encode(term) == {:ok, nested.(127)}
    assert {:error, _} = JSON.decode(nested.(128))
    assert {:error, _} = JSON.encode([term])
    {:error, {:invalid_term, reason}} = JSON.encode(List.to_tuple(Enum.to_list(1..100_000)))
    assert String.length(reason) < 200

    for text <- ["", "{", "[1,]", "nul", "\"\xff\"", "1 2", String.duplicate("[", 100_000)] do
      assert {:error, {:invalid_json, _}} = JSON.decode(text)
    end
  end
end
