defmodule GamePlatform.Compute.CorruptTest do
  # Whatever a broken worker writes into the memory it shares with the BEAM, the BEAM lives on, and what is
  # computed in the end is right. Offsets are those of the tables in `native/shm/src/rows.rs` and `calls.rs`.
  use ExUnit.Case, async: true

  import GamePlatform.Eventually
  import GamePlatform.Harm

  alias GamePlatform.{Compute, Rulesets}
  alias GamePlatform.Compute.{Ring, Worker}

  @moduletag capture_log: true

  @frequency 12
  @rows 10 * @frequency + 2
  # The field alone: where players change cells, too, a stamp may be wrong and not be noticed (`docs/ipc.md`).
  @opts [seed: 4, frequency: @frequency, ruleset: {:text, Rulesets.field()}]
  @table 256
  @entry 32
  @published 128
  @versions div(@table + @rows * @entry + 63, 64) * 64
  # Codes and amounts of twelve cells, to whole cache lines.
  @version 64
  @never <<0xFFFF_FFFF_FFFF_FFFF::64>>

  setup context do
    worker = Module.concat(__MODULE__, "W#{context.line}")
    start_worker(worker, context[:worker] || [])
    %{worker: worker}
  end

  defp world(worker, ticks \\ 100) do
    {:ok, world} = Compute.new_world([worker: worker] ++ @opts)
    {:ok, ^ticks} = Compute.advance(world, ticks)
    {world, open_memory(up(worker).os_pid, "game_platform_world")}
  end

  # An undisturbed world at that tick: its digest, and its planes at the ticks asked for.
  defp sound(tick, since \\ 0) do
    {:ok, world} = Compute.new_world([backend: :nif] ++ @opts)
    {:ok, _} = Compute.advance(world, since)
    {:ok, ^since, before} = Compute.planes(world)
    {:ok, _} = Compute.advance_to(world, tick)
    {:ok, digest} = Compute.digest(world)
    {:ok, ^tick, now} = Compute.planes(world)
    Compute.close(world)
    %{digest: digest, before: before, now: now}
  end

  # Right in every way there is to look at it, and it goes on.
  defp assert_sound(world, tick, label) do
    since = max(tick - 3, 0)
    %{digest: digest, before: before, now: {kinds, _} = now} = sound(tick, since)
    ids = Enum.to_list(0..(world.cells - 1)//7)
    assert {:ok, cells} = Compute.cells(world, ids), label
    assert Enum.map(cells, & &1.kind) == Enum.map(ids, &:binary.at(kinds, &1)), label
    result = Compute.planes(world)
    assert result == {:ok, tick, now}, label <> inspect(result, limit: 20)
    assert {:ok, diff} = Compute.diff(world, since), label
    assert Compute.apply_diff(before, diff) == {:ok, tick, now}, label
    assert Compute.digest(world) == {:ok, digest}, label
    assert Compute.advance(world, 20) == {:ok, tick + 20}, label
    assert Compute.digest(world) == {:ok, sound(tick + 20).digest}, label
  end

  # Every kind of read and work: answers may be refusals, never a lie, and nobody dies of it.
  defp use_all(world, worker) do
    for id <- [0, 700, world.cells - 1] do
      assert match?({:ok, _}, Compute.cell(world, id)) or match?({:error, _}, Compute.cell(world, id))
    end

    [Compute.tick(world), Compute.planes(world), Compute.diff(world, 0), Compute.digest(world)]
    Compute.ping(worker: worker)
  end

  defp stamps_at(row), do: @table + row * @entry

  # What stands where, what to write, and whether a worker that is at rest has to be replaced for it to be seen.
  @garbage [
    {"published tick", @published, <<0xDEAD_BEEF_DEAD_BEEF::64>>},
    {"published tick, all ones", @published, @never},
    {"published tick of long ago", @published, <<0::64>>},
    {"a future tick with its check bits", @published,
     <<Bitwise.bor(
         5000,
         Bitwise.band(5001 * 0x9E37_79B9_7F4A_7C15, 0xFFE0_0000_0000_0000)
       )::64-little>>},
    {"stamps of a row, both", @table + 7 * @entry, @never <> @never},
    {"stamps of a row, both 0", @table + 7 * @entry, <<0::128>>},
    {"stamps of a row, both future", @table + 7 * @entry, <<101::64-little, 102::64-little>>},
    {"stamps of a row, nonsense", @table + 7 * @entry, <<12345::64-little, 0xDEAD_BEEF::64>>},
    {"stamps of a pole", @table + (@rows - 1) * @entry, @never <> @never},
    {"codes of both versions of a row", @versions, :binary.copy(<<0xEE>>, 2 * @version)},
    {"kinds with the wrong ripeness", @versions, :binary.copy(<<0x0F, 0x00>>, @version)}
  ]

  for {label, at, bytes} <- @garbage do
    test "garbage is found by reads: #{label}", %{worker: worker} do
      {world, memory} = world(worker)
      up = up(worker)
      :ok = :file.pwrite(memory, unquote(at), unquote(bytes))
      use_all(world, worker)
      {:ok, next} = Worker.next(worker, up)
      assert {:corrupt, "world " <> _} = last_exit(worker)
      assert next.os_pid != up.os_pid
      assert Compute.tick(world) == {:ok, 100}
      assert_sound(world, 100, unquote(label))
    end

    test "garbage is found by the digest: #{label}", %{worker: worker} do
      {world, memory} = world(worker)
      :ok = :file.pwrite(memory, unquote(at), unquote(bytes))
      assert Compute.digest(world) == {:ok, sound(100).digest}
      assert {:corrupt, "world " <> _} = last_exit(worker)
      assert_sound(world, 100, unquote(label))
    end

    # A ripeness that does not fit the amount is all that a tick does not look for.
    unless label =~ "ripeness" do
      test "garbage is found by a beat of work: #{label}", %{worker: worker} do
        {world, memory} = world(worker)
        :ok = :file.pwrite(memory, unquote(at), unquote(bytes))
        assert Compute.advance(world, 32) == {:ok, 132}
        assert_sound(world, 132, unquote(label))
      end
    end

    test "garbage is found by a successor: #{label}", %{worker: worker} do
      {world, memory} = world(worker)
      :ok = :file.pwrite(memory, unquote(at), unquote(bytes))
      kill(worker)
      assert Compute.advance(world, 7) == {:ok, 107}
      assert_sound(world, 107, unquote(label))
    end
  end

  # What only the one who opens the world next looks at.
  for {label, at} <- [
        {"version and magic", 0},
        {"kind", 8},
        {"fence", 12},
        {"shape", 64},
        {"shape, the last word", 76},
        {"ready", 80}
      ] do
    test "garbage in the head of the memory: #{label}", %{worker: worker} do
      for garbage <- [@never, <<0::64>>] do
        {world, memory} = world(worker)
        :ok = :file.pwrite(memory, unquote(at), binary_part(garbage, 0, 4))
        use_all(world, worker)
        assert Compute.advance(world, 30) == {:ok, 130}
        kill(worker)
        assert Compute.advance(world, 30) == {:ok, 160}
        assert_sound(world, 160, unquote(label))
        Compute.close(world)
        kill(worker)
      end
    end
  end

  test "garbage in the pin keeps nobody from reading", %{worker: worker} do
    for at <- [192, 200, 208, 216, 224] do
      {world, memory} = world(worker)

      for garbage <- [@never, <<0xDEAD_BEEF::64>>, <<1::64-little>>] do
        :ok = :file.pwrite(memory, 208, @never)
        :ok = :file.pwrite(memory, at, garbage)
        {:ok, 100, _} = Compute.planes(world)
      end

      assert_sound(world, 100, "pin at #{at}")
      Compute.close(world)
      kill(worker)
    end
  end

  test "garbage while a world is advanced", %{worker: worker} do
    for at <- [@published, stamps_at(3), stamps_at(3) + 8, stamps_at(@rows - 2), 12] do
      {world, memory} = world(worker)
      advance = Task.async(fn -> Compute.advance_to(world, 20_000) end)
      spin_until(fn -> match?({:ok, tick} when tick > 500, Compute.tick(world)) end)
      # Again and again, so that no sound write heals it.
      for _ <- 1..50, do: :file.pwrite(memory, at, @never)
      use_all(world, worker)
      assert Task.await(advance, 60_000) == {:ok, 20_000}
      assert Compute.digest(world) == {:ok, sound(20_000).digest}, "at #{at}"
      Compute.close(world)
      kill(worker)
    end
  end

  test "random garbage over the head and the table of rows", %{worker: worker} do
    {seed, _} = :rand.export_seed()

    for n <- 1..30 do
      {world, memory} = world(worker, Enum.random(0..60))
      {:ok, tick} = Compute.tick(world)

      for _ <- 1..Enum.random(1..20) do
        garbage = Enum.random([&:rand.bytes/1, &:binary.copy(<<0>>, &1), &:binary.copy(<<0xFF>>, &1)])
        size = Enum.random([1, 4, 8, 16, 64])
        :ok = :file.pwrite(memory, Enum.random(0..(@versions - size)), garbage.(size))
      end

      if Enum.random([true, false]), do: use_all(world, worker)
      if Enum.random([true, false]), do: kill(worker)
      label = "round #{n} of #{seed}, #{inspect(:rand.export_seed())}"
      assert Compute.advance_to(world, tick + 40) == {:ok, tick + 40}, label
      assert_sound(world, tick + 40, label)
      Compute.close(world)
      kill(worker)
    end
  end

  # While it is stopped with requests under way, so that the BEAM reads what is written.
  @tag worker: [hang_checks: 50]
  test "garbage in the memory of calls", %{worker: worker} do
    {world, _} = world(worker)
    {:ok, size} = :file.position(open_memory(up(worker).os_pid, "game_platform_replies"), :eof)

    cases = [
      {"everything but the header", 64, size - 64},
      {"bells", 64, 128},
      {"heads and completions and slots", 320, size - 320 - 16 * 65_536},
      {"payloads and slots", div(size, 2), div(size, 2)}
    ]

    for {label, at, length} <- cases, byte <- [0xFF, 0xA5] do
      # It has the world open: nothing is asked of it but through the ring.
      {:ok, _} = Compute.digest(world)
      up = up(worker)
      memory = open_memory(up.os_pid, "game_platform_replies")
      stop(up)
      pings = for _ <- 1..20, do: Task.async(fn -> Compute.ping(worker: worker) end)
      echo = Task.async(fn -> Ring.echo(up.ring, "echo") end)
      digest = Task.async(fn -> Compute.digest(world) end)
      wait_until(fn -> in_flight(worker) >= 22 end)
      :ok = :file.pwrite(memory, at, :binary.copy(<<byte>>, length))
      # Whoever calls now meets it, and so does the waiter within its second.
      asked = Task.async(fn -> Compute.ping(worker: worker) end)
      signal(up, "CONT")
      for ping <- [asked | pings], do: assert_answer(Task.await(ping, 30_000), label)
      assert_answer(Task.await(echo, 30_000), label)
      assert Task.await(digest, 30_000) == {:ok, sound(100).digest}, label
    end

    wait_until(fn -> in_flight(worker) == 0 end)
    assert {:ok, _} = Compute.ping(worker: worker)
    assert_sound(world, 100, "after garbage in calls")
  end

  # The numbers of the tables in `native/shm/src/calls.rs`.
  defp calls_layout do
    # This test's own worker has one of them.
    [file | _] = open_requests()
    {:ok, <<rings::32-little, _::32, slots::32-little>>} = :file.pread(file, 64, 12)
    completions = 320 + rings * 64
    %{heads: 320, rings: rings, completions: completions, slots: completions + 64 + slots * 8, count: slots}
  end

  @tag worker: [hang_checks: 500]
  test "each word of the memory of calls that the BEAM follows", %{worker: worker} do
    {world, _} = world(worker)
    at = calls_layout()

    cases = [
      {"heads", at.heads, :binary.copy(<<0x7F>>, at.rings * 64)},
      {"the tail of completions", at.completions, <<0x7FFF_FFFF::32>>},
      {"a completion of a slot that does not exist", :completion, 0xFFFF_FFFF_FFFF},
      {"a completion of a slot that is not done", :completion, 77},
      {"states of slots", at.slots, :binary.copy(<<0xFF>>, at.count * 128)},
      {"slots of other generations", at.slots, :binary.copy(<<0x42>>, at.count * 128)}
    ]

    for {label, offset, bytes} <- cases do
      # A fresh worker, none of whose words has been used much.
      kill(worker)
      {:ok, _} = Compute.digest(world)
      up = up(worker)
      memory = open_memory(up.os_pid, "game_platform_replies")
      stop(up)

      if offset == :completion,
        do: complete(memory, at, bytes),
        else: :ok = :file.pwrite(memory, offset, bytes)

      pings = for _ <- 1..4, do: Task.async(fn -> Compute.ping(worker: worker) end)
      ended = fn -> Enum.count(pings, &(not Process.alive?(&1.pid))) end
      # None is told of a worker that is about to be replaced.
      wait_until(fn -> (in_flight(worker) || 4) + ended.() >= 4 end)
      signal(up, "CONT")
      answers = Task.await_many(pings, 30_000)
      for answer <- answers, do: assert_answer(answer, label)
      assert Enum.any?(answers, &match?({:error, _}, &1)), label
      {:ok, _} = Worker.next(worker, up)
      assert Compute.digest(world) == {:ok, sound(100).digest}, label
      wait_until(fn -> in_flight(worker) == 0 end)
    end

    assert_sound(world, 100, "after garbage in calls")
  end

  # Tells the BEAM that the call in a slot is done.
  defp complete(memory, at, slot) do
    {:ok, <<tail::32-little>>} = :file.pread(memory, at.completions, 4)
    :ok = :file.pwrite(memory, at.completions + 64 + rem(tail, at.count) * 8, <<slot::64-little>>)
    :ok = :file.pwrite(memory, at.completions, <<tail + 1::32-little>>)
  end

  # The slot of the one call that is under way, with its parked state.
  defp parked_slot(memory, at) do
    Enum.find_value(0..(at.count - 1), fn slot ->
      {:ok, <<state::32-little>>} = :file.pread(memory, at.slots + slot * 128, 4)
      if rem(state, 4) == 2, do: {slot, state}
    end)
  end

  test "an answer that no worker gives" do
    advance = &Compute.advance_to(&1, 120)

    # The waiter looks by itself only once a second, so they all wait at once.
    [
      {"a status that does not exist", [99, 120, 1], advance},
      {"a world that is not there", [2, 0, 0], advance},
      {"done, while nothing was published", [0, 120, 1], advance},
      {"too far", [0, 5000, 1], advance},
      {"back", [0, 3, 0], advance},
      {"done before it is", [0, 100, 1], advance},
      {"neither done nor not", [0, 100, 7], advance},
      {"the digest of another tick", [0, 99, 1, 2, 3, 4], &Compute.digest/1}
    ]
    |> Enum.with_index(fn {label, words, ask}, n ->
      worker = Module.concat(__MODULE__, "Forged#{n}")
      start_worker(worker, hang_checks: 500)
      Task.async(fn -> forge(worker, label, words, ask) end)
    end)
    |> Task.await_many(30_000)
  end

  defp forge(worker, label, words, ask) do
    {world, _} = world(worker)
    at = calls_layout()
    up = up(worker)
    memory = open_memory(up.os_pid, "game_platform_replies")
    stop(up)
    asking = Task.async(fn -> ask.(world) end)
    {slot, state} = spin_until(fn -> parked_slot(memory, at) end)

    reply = for word <- words, into: <<>>, do: <<word::64-little>>
    :ok = :file.pwrite(memory, at.slots + slot * 128, <<state + 1::32-little, 0::32, reply::binary>>)
    complete(memory, at, slot)

    assert {:ok, _} = Task.await(asking, 30_000), label
    assert {:corrupt, _} = last_exit(worker), label
    {:ok, tick} = Compute.tick(world)
    assert Compute.digest(world) == {:ok, sound(tick).digest}, label
  end

  defp assert_answer({:ok, _}, _), do: :ok
  defp assert_answer({:error, reason}, _) when reason in [:corrupt_peer, :worker_down], do: :ok
  defp assert_answer(other, label), do: flunk("#{label}: #{inspect(other)}")

  test "requests are for the BEAM alone to write", %{worker: worker} do
    {:ok, _} = Compute.ping(worker: worker)
    files = open_requests()
    assert files != []

    for file <- files do
      # A place that nobody uses, should it succeed.
      assert :file.pwrite(file, 100, <<0>>) == {:error, :eperm}
    end
  end
end
