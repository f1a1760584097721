defmodule GamePlatform.Console do
  @moduledoc """
  Blocks of a document that show a session at a shell: lines that begin with `$ ` are typed, those that begin with `> `
  go on with them, and the others are what was printed.
  """

  @mark "\x01"

  @doc "The commands of a section's blocks, each with what it printed: `[{command, output}]`."
  def session(file, heading) do
    [_, section] = file |> File.read!() |> String.split("\n#{heading}\n", parts: 2)
    [section | _] = String.split(section, ~r/^#+ /m, parts: 2)

    section
    |> String.split("```console\n")
    |> tl()
    |> Enum.flat_map(fn block -> block |> String.split("```") |> hd() |> commands() end)
  end

  defp commands(block) do
    block
    |> String.split("\n", trim: true)
    |> Enum.chunk_while(nil, &line/2, &{:cont, &1, nil})
    |> Enum.reject(&is_nil/1)
    |> Enum.map(fn {command, lines} -> {command, lines |> Enum.reverse() |> Enum.join("\n")} end)
  end

  defp line("$ " <> command, nil), do: {:cont, {command, []}}
  defp line("$ " <> command, before), do: {:cont, before, {command, []}}
  defp line("> " <> more, {command, []}), do: {:cont, {command <> "\n" <> more, []}}
  defp line(printed, {command, lines}), do: {:cont, {command, [printed | lines]}}

  @doc "Types the commands into one shell; returns what each printed."
  def run(commands) do
    script = Enum.map_join(commands, "\n", &(&1 <> "\nprintf '#{@mark}'"))
    {output, _} = System.cmd("sh", ["-c", script], stderr_to_stdout: true)
    output |> String.split(@mark) |> Enum.drop(-1) |> Enum.map(&String.trim_trailing(&1, "\n"))
  end
end
