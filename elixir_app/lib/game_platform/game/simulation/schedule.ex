defmodule GamePlatform.Game.Simulation.Schedule do
  @moduledoc false
  # An absolute schedule: slot n is due n/ups seconds after the start, however late the ones before were,
  # so that rounding and delays never add up. A slot whose whole period passed unused is missed.

  @enforce_keys [:start_us, :ups]
  defstruct [:start_us, :ups, slot: 0, missed: 0]

  def new(start_us, ups), do: %__MODULE__{start_us: start_us, ups: ups}

  @doc false
  # When the present slot is due, in the same microseconds as the start.
  def due_us(%__MODULE__{} = schedule), do: due_us(schedule, schedule.slot)

  defp due_us(schedule, slot), do: schedule.start_us + div(slot * 1_000_000, schedule.ups)

  @doc false
  # The same in whole milliseconds, rounded up: a timer that fires early would begin a slot before it is due.
  # Monotonic time is negative, so only a floor of the negative is a ceiling.
  def due_ms(%__MODULE__{} = schedule), do: -Integer.floor_div(-due_us(schedule), 1000)

  @doc false
  # The schedule after the present slot's work ended at `now_us`: on to the next slot, or past those that
  # are over already.
  def next(%__MODULE__{} = schedule, now_us) do
    running = div((now_us - schedule.start_us) * schedule.ups, 1_000_000)
    slot = max(schedule.slot + 1, running)
    missed = schedule.missed + slot - schedule.slot - 1
    %{schedule | slot: slot, missed: missed}
  end
end
