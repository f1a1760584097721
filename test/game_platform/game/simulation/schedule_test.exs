defmodule GamePlatform.Game.Simulation.ScheduleTest do
  use ExUnit.Case, async: true

  alias GamePlatform.Game.Simulation.Schedule

  # Runs a schedule against a made-up clock: each slot begins when it is due or when the one before has
  # ended, and takes what `cost` says. Returns the schedule and the starts of the slots.
  defp run(ups, cost, slots) do
    Enum.reduce(1..slots, {Schedule.new(0, ups), 0, []}, fn n, {schedule, clock, starts} ->
      start = max(clock, Schedule.due_us(schedule))
      finish = start + cost.(n)
      {Schedule.next(schedule, finish), finish, [{schedule.slot, start} | starts]}
    end)
  end

  test "no drift, for rates that do not divide a second too" do
    for ups <- [1, 3, 7, 20, 60, 999] do
      {schedule, _, starts} = run(ups, fn _ -> 200 end, 10 * ups)
      assert schedule.missed == 0
      assert Schedule.due_us(schedule) == 10_000_000
      for {slot, start} <- starts, do: assert(start == div(slot * 1_000_000, ups))
    end
  end

  test "a timer never fires before its slot is due, whatever the sign of the clock" do
    for start_us <- [0, 1, 999, 1000, -1, -999, -1000, -576_460_750_864_123], ups <- [3, 20, 60] do
      schedule = Schedule.new(start_us, ups) |> Schedule.next(start_us)
      late_us = 1000 * Schedule.due_ms(schedule) - Schedule.due_us(schedule)
      assert late_us in 0..999
    end
  end

  test "a late slot is made up for, not missed" do
    # The third slot takes one and a half periods: the fourth starts late, the fifth in time.
    {schedule, _, starts} = run(20, fn n -> if n == 3, do: 75_000, else: 1000 end, 5)
    assert schedule.missed == 0
    assert [{4, 200_000}, {3, 175_000} | _] = starts
  end

  test "slots that passed unused are counted and the phase is kept" do
    {schedule, _, starts} = run(20, fn n -> if n == 2, do: 1_000_000, else: 1000 end, 4)
    # Slot 1 ended at 1,050,000: slots 2 to 20 are over, slot 21 begins there.
    assert schedule.missed == 19
    assert [{22, 1_100_000}, {21, 1_050_000} | _] = starts
  end

  test "work that never fits its period misses what it must" do
    {schedule, clock, _} = run(20, fn _ -> 125_000 end, 40)
    assert clock == 5_000_000
    assert schedule.slot == 40 + schedule.missed
    assert schedule.slot == 100
  end
end
