defmodule GamePlatform.Compute.Job do
  @moduledoc false
  # An advance that somebody waits for: `goal` is {:by, n} or {:to, tick} until it begins, then `target` is set. What
  # becomes of it is told to the caller and to telemetry; `about` is the metadata without the target.

  alias GamePlatform.Telemetry

  @progress_ms 1_000

  defstruct [:from, :goal, :target, :monitor, :timer, :started, :reported]

  # The process that calls gets {:DOWN, monitor, …} or {:late, monitor} if it is to be given up.
  def new({caller, _} = from, goal, timeout_ms) do
    monitor = Process.monitor(caller)
    timer = if timeout_ms != :infinity, do: Process.send_after(self(), {:late, monitor}, timeout_ms)
    %__MODULE__{from: from, goal: goal, monitor: monitor, timer: timer}
  end

  def begin(job, target, about) do
    now = System.monotonic_time()
    Telemetry.execute([:compute, :advance, :start], %{monotonic_time: now}, Map.put(about, :target, target))
    %{job | target: target, started: now, reported: now}
  end

  def report(job, about) do
    now = System.monotonic_time()

    if System.convert_time_unit(now - job.reported, :native, :millisecond) >= @progress_ms do
      about = Map.put(about, :target, job.target)
      Telemetry.execute([:compute, :advance, :progress], %{duration: now - job.started}, about)
      %{job | reported: now}
    else
      job
    end
  end

  # Without an answer if nobody waits any more.
  def finish(job, answer, about) do
    Process.demonitor(job.monitor, [:flush])
    if job.timer, do: Process.cancel_timer(job.timer)
    if answer, do: GenServer.reply(job.from, answer)

    if job.started do
      duration = System.monotonic_time() - job.started

      Telemetry.execute(
        [:compute, :advance, :stop],
        %{duration: duration},
        Map.put(about, :target, job.target)
      )
    end
  end
end
