defmodule GamePlatformWeb.Admin.Query do
  @moduledoc false
  # Asks sources at the same time, each in a process of its own, none for longer than the deadline.

  alias GamePlatform.Text

  # `{name, {:ok, answer} | {:error, sentence}}` in the order of the sources.
  def run(sources, %{queries: supervisor, deadline_ms: deadline_ms}) do
    tasks = for {_, source} <- sources, do: Task.Supervisor.async_nolink(supervisor, fn -> ask(source) end)

    answers =
      for {task, answer} <- Task.yield_many(tasks, deadline_ms),
          do: answer(answer || Task.shutdown(task, :brutal_kill), deadline_ms)

    Enum.zip(Keyword.keys(sources), answers)
  end

  # A source that raises is told of here, and not once more in the log each time that it is asked.
  defp ask(source) do
    {:ok, source.()}
  catch
    kind, reason -> {:error, "the source has ended: #{Text.shown({kind, reason})}"}
  end

  defp answer({:ok, answer}, _), do: answer
  defp answer(nil, deadline_ms), do: {:error, "the source has not answered within #{deadline_ms} ms"}
  defp answer({:exit, reason}, _), do: {:error, "the source has ended: #{Text.shown(reason)}"}
end
