defmodule GamePlatform.Compute.RefusalTest do
  use ExUnit.Case, async: true

  alias GamePlatform.Compute
  alias GamePlatform.Compute.{Actions, Refusal}

  # Rows of the table whose head begins so.
  defp table(head) do
    [table] =
      Regex.run(~r/^\| #{head} \|.*\n\|[-|]+\n((?:\|.*\n)+)/m, File.read!("docs/actions.md"),
        capture: :all_but_first
      )

    for line <- String.split(table, "\n", trim: true) do
      line
      |> String.split("|")
      |> Enum.slice(1..-2//1)
      |> Enum.map(&(&1 |> String.trim() |> String.trim("`")))
    end
  end

  test "the documentation has every code, with its number and sentence, in order" do
    expected =
      for code <- Refusal.codes(),
          do: ["#{code}", "#{Refusal.number(code) || "–"}", Compute.refusal(code)]

    assert table("code") == expected
  end

  test "the guide for players says what players are told" do
    guide = File.read!("docs/game.md")

    for code <- Refusal.codes(),
        Refusal.number(code),
        do: assert(guide =~ "| `#{code}` | #{Compute.refusal(code)} |")
  end

  test "the documentation has every action, with its number" do
    expected = Actions.names() |> Enum.with_index() |> Enum.map(fn {name, op} -> [name, "#{op}"] end)
    assert Enum.map(table("action"), &Enum.take(&1, 2)) == expected
  end

  test "numbers lead to codes and back" do
    assert Refusal.code(0) == {:ok, nil}
    assert Refusal.code(1) == :error
    assert Refusal.code(24) == :error

    for number <- 2..23 do
      assert {:ok, code} = Refusal.code(number)
      assert Refusal.number(code) == number
    end
  end

  test "each code has one sentence for players that says what to do" do
    for code <- Refusal.codes() do
      assert Compute.refusal(code) =~ ~r/^[A-Z][^.]+: [^.]+\.$/, "#{code}"
    end

    assert Compute.refusal(:no_such_code) == nil
  end

  test "who owns a cell is named where it is known" do
    assert Compute.refusal(:not_yours, %{cell: 17, owner: "ann"}) =~ "Cell 17 is ann's"
    assert Compute.refusal(:not_yours, %{cell: 17, owner: nil}) =~ "Cell 17 is nobody's"
    assert Compute.refusal(:occupied, %{cell: 17, owner: "ann"}) =~ "ann"
    assert Compute.refusal(:too_far, %{cell: 17, owner: "ann"}) == Compute.refusal(:too_far)
  end
end
