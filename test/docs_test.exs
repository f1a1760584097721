defmodule GamePlatform.DocsTest do
  # What `docs/ipc.md` says in tables, against the Rust sources and the Elixir side.
  use ExUnit.Case, async: true

  alias GamePlatform.Compute.Ring

  @text File.read!("docs/ipc.md")

  # Rows of cells, without the head and the line under it, of each table whose head begins so.
  defp tables(head, text \\ @text) do
    for [table] <- Regex.scan(~r/^\| #{head} \|.*\n\|[-|]+\n((?:\|.*\n)+)/m, text, capture: :all_but_first) do
      for line <- String.split(table, "\n", trim: true) do
        line |> String.split("|") |> Enum.slice(1..-2//1) |> Enum.map(&String.trim/1)
      end
    end
  end

  # The numbers in a module of constants, by name in lower case.
  defp protocol(module) do
    source = File.read!("native/shm/src/protocol.rs")
    [body] = Regex.run(~r/pub mod #{module} \{(.*?)\n\}/s, source, capture: :all_but_first)

    for [name, number] <- Regex.scan(~r/const ([A-Z_]+): u64 = (\d+);/, body, capture: :all_but_first),
        into: %{},
        do: {String.downcase(name), String.to_integer(number)}
  end

  defp constants(file) do
    for [name, value] <-
          Regex.scan(~r/const ([A-Z_]+): \w+ = ([^;]+);/, File.read!(file), capture: :all_but_first),
        into: %{},
        do: {name, value}
  end

  defp numbered([number, name | _]), do: {String.trim(name, "`"), String.to_integer(number)}

  test "operations and statuses" do
    [operations, statuses] = tables("number")

    assert Map.new(operations, &numbered/1) == protocol("op")
    assert Map.new(Ring.operations(), fn {name, number} -> {"#{name}", number} end) == protocol("op")

    assert Map.new(statuses, &numbered/1) == protocol("status")
    assert Map.new(Ring.statuses(), fn {number, name} -> {"#{name}", number} end) == protocol("status")
  end

  test "constants" do
    [rows] = tables("constant")

    for [name, value, file, _] <- rows do
      [name, file] = Enum.map([name, file], &String.trim(&1, "`"))
      assert written(constants(file)[name]) == value, "#{name} in #{file}"
    end
  end

  defp written("Duration::from_micros(" <> number), do: "#{Integer.parse(number) |> elem(0)} µs"
  defp written("Duration::from_millis(" <> number), do: "#{Integer.parse(number) |> elem(0)} ms"
  defp written("Duration::from_secs(" <> number), do: "#{Integer.parse(number) |> elem(0)} s"
  defp written(number), do: number

  test "offsets" do
    [_ | parts] = String.split(@text, "<!-- layout: ")
    assert length(parts) == 5

    for part <- parts do
      [file, part] = String.split(part, " -->", parts: 2)
      header = constants("native/shm/src/header.rs")
      named = Map.merge(header, constants(file))
      [rows | _] = tables("offset", part)

      for [offset, _, _, "`" <> _ = name] <- rows do
        name = String.trim(name, "`")
        assert offset(named[name], named) == String.to_integer(offset), "#{name} in #{file}"
      end
    end
  end

  # Sums and products of numbers and names.
  defp offset(text, named) do
    text
    |> String.split(" + ")
    |> Enum.map(fn product ->
      product |> String.split(" * ") |> Enum.map(&factor(&1, named)) |> Enum.product()
    end)
    |> Enum.sum()
  end

  defp factor(text, named) do
    case Integer.parse(text) do
      {number, ""} -> number
      :error -> offset(Map.fetch!(named, text), named)
    end
  end

  test "every file it names exists" do
    for [path] <-
          Regex.scan(~r/`((?:native|elixir_app|test|docs)\/[\w\/.]+)`/, @text, capture: :all_but_first) do
      assert File.exists?(path), path
    end
  end
end
