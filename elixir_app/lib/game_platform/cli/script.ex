defmodule GamePlatform.CLI.Script do
  @moduledoc false
  # A file of actions, an object a line, and a world that is advanced through it. What is wrong in the file ends
  # the task with one line that names the place; what the rules refuse is printed.

  alias GamePlatform.{CLI, Compute, JSON}

  @at_once 10_000

  # The lines that are not empty, each as %{line:, tick:, action:}.
  def read!(path, ticks) do
    case File.read(path) do
      {:ok, text} -> text |> String.split("\n") |> Enum.with_index(1) |> lines!(path, ticks)
      {:error, posix} -> Mix.raise("#{path}: #{:file.format_error(posix)}")
    end
  end

  defp lines!(lines, path, ticks) do
    {lines, _} =
      for {text, line} <- lines, String.trim(text) != "", reduce: {[], 0} do
        {lines, last} ->
          {tick, action} = line!(text, "#{path}:#{line}", last, ticks - 1)
          action = Map.put_new(action, "action_id", "line #{line}")
          {[%{line: line, tick: tick, action: action} | lines], tick}
      end

    Enum.reverse(lines)
  end

  defp line!(text, place, last, end_tick) do
    case JSON.decode(text) do
      {:ok, %{} = action} ->
        case Map.pop(action, "tick", last) do
          {tick, action} when is_integer(tick) and tick >= last and tick <= end_tick ->
            {tick, action}

          {tick, _} ->
            Mix.raise(
              "#{place}: tick is #{inspect(tick, limit: 5, printable_limit: 40)}, expected a whole number that is " <>
                "not below #{last}, which the line before has, and below #{end_tick + 1}, which --ticks has"
            )
        end

      {:ok, _} ->
        Mix.raise(
          "#{place}: expected an object, such as {\"by\": \"ann\", \"action\": \"claim\", \"cell\": 7}"
        )

      {:error, {:invalid_json, reason}} ->
        Mix.raise("#{place}: #{reason}")
    end
  end

  # Advances the world to `ticks`, with the lines at their ticks.
  def run!(world, path, lines, ticks) do
    start = %{
      world: world,
      path: path,
      lines: Map.new(Enum.reverse(lines), &{key(&1.action), &1}),
      seen: 0,
      applied: 0,
      refused: 0
    }

    done =
      for batch <- Enum.chunk_by(lines, & &1.tick), reduce: start do
        done -> done |> advance(hd(batch).tick) |> submit(batch) |> advance(hd(batch).tick + 1)
      end

    done = advance(done, ticks)
    unfinished = length(lines) - done.applied - done.refused

    IO.puts(
      "#{length(lines)} actions: #{done.applied} applied, #{done.refused} refused, #{unfinished} unfinished"
    )
  end

  defp key(action), do: {action["by"], action["action_id"]}

  # The world remembers so many outcomes of each player, so they are asked for after every batch.
  defp advance(%{world: world} = done, tick) do
    world |> Compute.advance_to(tick) |> CLI.ok!()
    outcomes = world |> Compute.outcomes(done.seen) |> CLI.ok!()
    Enum.reduce(outcomes, %{done | seen: tick}, &tell/2)
  end

  defp tell(%{outcome: :applied}, done), do: %{done | applied: done.applied + 1}

  defp tell(%{outcome: :refused} = outcome, done) do
    line = done.lines[{outcome.player, outcome.action_id}]

    print(
      done,
      line,
      " in tick #{outcome.tick}",
      outcome.code,
      Compute.refusal(outcome.code, about(done, line))
    )
  end

  defp about(%{world: world}, %{action: %{"cell" => cell}}) do
    case Compute.cell(world, cell) do
      {:ok, %{owner: owner}} -> %{cell: cell, owner: owner}
      _ -> %{}
    end
  end

  defp about(_, _), do: %{}

  defp submit(done, batch) do
    for lines <- Enum.chunk_every(batch, @at_once), reduce: done do
      done ->
        replies = done.world |> Compute.submit(Enum.map(lines, & &1.action)) |> CLI.ok!()
        lines |> Enum.zip(replies) |> Enum.reduce(done, &answered/2)
    end
  end

  defp answered({line, %{code: :bad_action, message: message}}, %{path: path}),
    do: Mix.raise("#{path}:#{line.line}: #{message}")

  defp answered({line, %{status: :refused, code: code, message: message}}, done),
    do: print(done, line, "", code, message)

  # It has no outcome.
  defp answered({%{action: %{"action" => "join"}}, _}, done), do: %{done | applied: done.applied + 1}
  defp answered(_, done), do: done

  defp print(done, line, at, code, message) do
    IO.puts("#{done.path}:#{line.line}: #{line.action["action"]} refused#{at}: #{code}. #{message}")
    %{done | refused: done.refused + 1}
  end
end
