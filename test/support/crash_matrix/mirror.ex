defmodule GamePlatform.CrashMatrix.Mirror do
  @moduledoc """
  Reads the batches of a log as they come, before they are removed. The newest mark may be taken back, so a batch counts
  once there is a later one.
  """

  alias GamePlatform.CrashMatrix.Check
  alias GamePlatform.Persistence.Link

  @period_ms 100

  def start(dir) do
    task = Task.async(fn -> Check.reading(dir, &follow(&1, [])) end)
    %{task: task}
  end

  @doc """
  Returns a function from what the log holds in the end to all there was: batches and entries without one. It raises if the
  log was pruned faster than it was read.
  """
  def stop(%{task: task}) do
    send(task.pid, :stop)
    found = Task.await(task, 60_000)

    fn log ->
      next = next(found)
      batches = Enum.reverse(found) ++ Enum.drop_while(log.batches, &(elem(&1, 0) < next))
      {batches, log.queued}
    end
  end

  defp follow(link, found) do
    found = read(link, found)

    receive do
      :stop -> found
    after
      @period_ms -> follow(link, found)
    end
  end

  # The last ones first.
  defp read(link, found) do
    next = next(found)
    before = first_tick(link)
    batches = Check.batches(link, next)

    cond do
      # It is pruned at this moment.
      first_tick(link) != before ->
        read(link, found)

      # A mark is the last thing that was removed.
      before > next ->
        raise ExUnit.AssertionError,
          message: "the log is pruned up to tick #{before}, and was read up to #{next}"

      true ->
        Enum.reduce(Enum.drop(batches, -1), found, &[&1 | &2])
    end
  end

  defp first_tick(link) do
    {:ok, %{first_tick: first}} = Link.call(link, {:world, "main"})
    first
  end

  defp next([]), do: 0
  defp next([{tick, _} | _]), do: tick + 1
end
