defmodule GamePlatform.CrashMatrix.Mirror do
  @moduledoc """
  Reads the batches of a log as they come, before they are removed. The newest mark may be taken back, so a batch counts
  once there is a later one.
  """

  alias GamePlatform.CrashMatrix.Check
  alias GamePlatform.Persistence.Link

  @period_ms 100

  def start(dir) do
    %{task: Task.async(fn -> Check.reading(dir, &follow(&1, [], nil)) end)}
  end

  @doc "Returns a function from what the log holds in the end to all there was: batches, and entries without one."
  def stop(%{task: task}) do
    send(task.pid, :stop)
    found = Task.await(task, 60_000)

    fn log ->
      next = next(found)
      batches = Enum.reverse(found) ++ Enum.drop_while(log.batches, &(elem(&1, 0) < next))
      {batches, log.queued}
    end
  end

  # What is found has the last ones first.
  defp follow(link, found, newest) do
    {found, newest} = read(link, found, newest)

    receive do
      :stop -> found
    after
      @period_ms -> follow(link, found, newest)
    end
  end

  defp read(link, found, newest) do
    first = first_tick(link)
    # A mark is the last thing that was removed, and was executed before.
    found = if newest && elem(newest, 0) == first - 1, do: [newest | found], else: found
    next = next(found)
    batches = Check.batches(link, next)

    cond do
      # It is pruned at this moment.
      first_tick(link) != first ->
        read(link, found, newest)

      first > next ->
        raise ExUnit.AssertionError,
          message: "the log is pruned up to tick #{first}, and was read up to #{next}"

      true ->
        {found_now, newest} = Enum.split(batches, -1)
        {Enum.reverse(found_now, found), List.first(newest)}
    end
  end

  defp first_tick(link) do
    {:ok, %{first_tick: first}} = Link.call(link, {:world, "main"})
    first
  end

  defp next([]), do: 0
  defp next([{tick, _} | _]), do: tick + 1
end
