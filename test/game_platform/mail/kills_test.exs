defmodule GamePlatform.Mail.KillsTest do
  # Whoever reads sees everything once and in order, whatever dies, and nothing that does not happen.
  use ExUnit.Case, async: true

  import GamePlatform.Eventually

  alias GamePlatform.{FakeLink, JSON, Mail, MailRoom}

  @moduletag :capture_log
  @boxes [{:player, "ann"}, {:topic, "t"}]
  @seeds String.to_integer(System.get_env("MAIL_SEEDS", "4"))

  defp start(opts) do
    n = System.unique_integer([:positive])
    [game, link] = for name <- ["Game", "Link"], do: Module.concat(__MODULE__, "#{name}#{n}")
    if opts[:log], do: start_supervised!(%{id: link, start: {FakeLink, :start_link, [link, [delay_ms: 3]]}})
    options = if opts[:log], do: %{link: link, world: "main", sweep_ms: 5}, else: %{}

    options =
      Map.put(
        options,
        :limits,
        [player_messages: 1_000_000, topic_messages: 1_000_000] ++ (opts[:limits] || [])
      )

    start_supervised!({MailRoom, {game, options}}, restart: :permanent)
    history = start_supervised!({Agent, fn -> [] end})
    %{game: game, link: if(opts[:log], do: link), history: history, pruned: opts[:limits]}
  end

  # A log that is pruned all the time lacks what only tables have, so these are left alone then.
  for kind <- ["no log", "a log", "a pruned log"], seed <- 1..@seeds do
    test "#{kind}, #{seed}" do
      :rand.seed(:exsss, unquote(seed))
      pruned = if unquote(kind) == "a pruned log", do: [log_bytes: 2_000]
      room = start(log: unquote(kind) != "no log", limits: pruned)
      world = MailRoom.world(room.game, room.history, room.link)
      readers = [MailRoom.reader(room.game, @boxes), MailRoom.listener(room.game, @boxes)]
      {world, posts} = Enum.reduce(1..800, {world, []}, &step(&1, &2, room))
      if room.link, do: FakeLink.set(room.link, :well)
      posts = for {n, task} <- posts, do: {n, Task.await(task, 30_000)}
      told = for {n, {:ok, seq}} <- posts, do: {n, seq}
      sure = for {n, _} <- told, do: n

      wait_until(fn ->
        send(world, :tell)
        Process.sleep(5)
        happened = Agent.get(room.history, & &1) |> Enum.reverse() |> Enum.flat_map(&elem(&1, 1))

        if System.get_env("DBG") do
          IO.inspect(
            {Mail.info(room.game), for(reader <- readers, do: contents(MailRoom.seen(reader)) |> length),
             length(happened), length(sure), Process.info(world, [:current_stacktrace, :messages]),
             for(
               reader <- readers,
               do:
                 (
                   seen = contents(MailRoom.seen(reader))
                   Enum.take(Enum.reject(happened, &({:outcome, &1} in seen)), 5)
                 )
             )},
            limit: :infinity
          )

          Process.sleep(1000)
        end

        [first, second] = Enum.map(readers, &contents(MailRoom.seen(&1)))
        # Without a log the outcomes of a world that died are gone with it, or have been told.
        first == second and Enum.all?(happened, &({:outcome, &1} in first)) and
          Enum.all?(sure, &({:post, &1} in first))
      end)

      [first, second] = Enum.map(readers, &MailRoom.seen/1)
      assert first == second
      seqs = Enum.map(first, & &1.seq)
      assert seqs == Enum.sort(Enum.uniq(seqs))
      seen = contents(first)
      assert seen == Enum.uniq(seen)
      for {n, seq} <- told, do: assert(%{seq: ^seq} = Enum.find(first, &(contents([&1]) == [{:post, n}])))
      outcomes = for {:outcome, id} <- seen, do: id
      happened = Agent.get(room.history, & &1) |> Enum.reverse() |> Enum.flat_map(&elem(&1, 1))
      assert if(room.link, do: outcomes, else: Enum.take(outcomes, -length(happened))) == happened
      assert outcomes != [] and sure != []
      if pruned, do: pruned!(room, List.last(first))

      for {tick, ids} <- Agent.get(room.history, & &1),
          id <- ids,
          do: assert(Mail.answered(room.game, "ann", id) in [tick, nil])
    end
  end

  # What the log still has is enough to go on.
  defp pruned!(room, last) do
    # The newest entry stays, however long it is.
    wait_until(fn ->
      {:ok, _} = Mail.post(room.game, {:topic, "other"}, "e", %{})
      Mail.info(room.game).log_bytes <= 2_000
    end)

    bytes = for {_, bytes} <- FakeLink.durable(room.link, "main-mail").entries, do: byte_size(bytes)
    assert Enum.sum(bytes) < 20_000
    %{last: before, complete: complete} = Mail.info(room.game)
    pid = Process.whereis(room.game)
    Process.exit(pid, :kill)
    wait_until(fn -> Process.whereis(room.game) not in [nil, pid] end)
    wait_until(fn -> match?(%{last: seq, complete: ^complete} when seq >= before, Mail.info(room.game)) end)
    assert {:ok, [], _} = Mail.read(room.game, @boxes, last.seq)
  end

  defp contents(messages) do
    for %{event: event, json: json} <- messages do
      {:ok, payload} = JSON.decode(json)
      if event == "outcome", do: {:outcome, payload["action_id"]}, else: {:post, payload["n"]}
    end
  end

  defp step(n, {world, posts}, room) do
    case :rand.uniform(100) do
      k when k <= 50 -> {tick(world), posts}
      k when k <= 80 -> {world, [{n, post(room.game, n)} | posts]}
      k when k <= 84 -> {kill(MailRoom.sequencer(room.game), world), posts}
      k when k <= 88 -> {killed(world, room), posts}
      89 -> {all(world, room), posts}
      k when k <= 97 -> {link(room, k, world), posts}
      _ -> {sleep(world), posts}
    end
  end

  defp tick(world) do
    send(world, :tick)
    send(world, :tell)
    world
  end

  defp post(game, n) do
    box = Enum.random(@boxes)
    Task.async(fn -> Mail.post(game, box, "e", %{n: n}) end)
  end

  defp kill(nil, world), do: world

  defp kill(pid, world) do
    Process.exit(pid, :kill)
    world
  end

  defp killed(world, room) do
    Process.exit(world, :kill)
    MailRoom.world(room.game, room.history, room.link)
  end

  # The tables too: only a log makes up for that.
  defp all(world, %{link: link, pruned: pruned}) when link == nil or pruned != nil, do: sleep(world)

  defp all(world, room) do
    Process.exit(world, :kill)
    pid = Process.whereis(room.game)
    if pid, do: Process.exit(pid, :kill)

    wait_until(fn ->
      Process.whereis(room.game) not in [nil, pid] and MailRoom.sequencer(room.game) != nil
    end)

    MailRoom.world(room.game, room.history, room.link)
  end

  defp link(%{link: nil}, _, world), do: sleep(world)
  defp link(room, k, world) when k <= 91, do: with(:ok <- FakeLink.die(room.link), do: world)
  defp link(room, 92, world), do: with(:ok <- FakeLink.set(room.link, :full), do: world)
  defp link(room, 93, world), do: with(:ok <- FakeLink.set(room.link, :deaf), do: world)
  defp link(room, _, world), do: with(:ok <- FakeLink.set(room.link, :well), do: world)

  defp sleep(world) do
    Process.sleep(:rand.uniform(10))
    world
  end
end
