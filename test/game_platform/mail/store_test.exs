defmodule GamePlatform.Mail.StoreTest do
  # Boxes against lists: what each reader must see, whatever is removed.
  use ExUnit.Case, async: true

  alias GamePlatform.{Mail, MailRoom}

  @moduletag :capture_log
  @boxes [{:player, "ann"}, {:player, "bob"}, {:topic, "t"}]

  defp start(options) do
    game = Module.concat(__MODULE__, "Game#{System.unique_integer([:positive])}")
    start_supervised!({MailRoom, {game, options}})
    game
  end

  defp post!(game, box, payload \\ %{}) do
    {:ok, seq} = Mail.post(game, box, "e", payload)
    seq
  end

  defp seqs({:ok, messages, _}), do: Enum.map(messages, & &1.seq)
  defp seqs({:gap, _, messages, _}), do: Enum.map(messages, & &1.seq)

  test "a box has so many messages, and what is gone is told" do
    game = start(%{limits: [player_messages: 10]})
    for n <- 1..30, do: assert(post!(game, {:player, "ann"}) == n)
    assert {:gap, {1, 20}, _, 30} = read = Mail.read(game, [{:player, "ann"}], 0)
    assert seqs(read) == Enum.to_list(21..30)
    assert {:gap, {20, 20}, _, 30} = Mail.read(game, [{:player, "ann"}], 19)
    assert {:ok, _, 30} = Mail.read(game, [{:player, "ann"}], 20)
    assert {:ok, [], 30} = Mail.read(game, [{:player, "bob"}], 0)
    # Whoever reads both is told of both.
    assert {:gap, {1, 20}, _, 30} = Mail.read(game, [{:player, "ann"}, {:player, "bob"}], 0)
    assert :behind = Mail.attach(game, {:pid, self()}, [{:player, "ann"}], 19)
    assert :behind = Mail.attach(game, {:pid, self()}, [{:player, "ann"}], 25)
    assert {:ok, _} = Mail.attach(game, {:pid, self()}, [{:player, "ann"}], 30)
    # More than was ever told is all that was.
    assert {:ok, _} = Mail.attach(game, {:pid, self()}, [{:player, "ann"}], 1_000)
    assert %{messages: 10, dropped: 20, boxes: 1} = Mail.info(game)
  end

  test "a box has so many bytes, and all boxes together have" do
    game = start(%{limits: [topic_bytes: 1_000, bytes: 3_000]})
    text = String.duplicate("x", 89)
    # With its name and the rest, a hundred bytes.
    for _ <- 1..20, do: post!(game, {:topic, "t"}, %{a: text})
    assert %{messages: messages} = Mail.info(game)
    assert messages in 5..10
    for n <- 1..20, do: post!(game, {:player, "p#{n}"}, %{a: text})
    assert %{bytes: bytes, messages: messages} = Mail.info(game)
    assert bytes <= 3_000 and messages > 5
    assert {:gap, _, [], _} = Mail.read(game, [{:topic, "t"}], 0)
    assert {:gap, _, [], _} = Mail.read(game, [{:player, "p1"}], 0)
    assert {:ok, [_], _} = Mail.read(game, [{:player, "p20"}], 0)
  end

  test "outcomes are remembered longer than messages, but not all" do
    game = start(%{limits: [answers: 5]})
    {:ok, _} = Mail.begin(game)
    :ok = Mail.opened(game, 0, self())

    for n <- 1..8,
        do:
          Mail.outcomes(game, n - 1, n, [
            %{player: "ann", action_id: "#{n}", outcome: :applied, code: nil, tick: n}
          ])

    assert %{messages: 8} = Mail.info(game)
    Mail.acked(game, {:player, "ann"}, 8)
    assert %{messages: 0} = Mail.info(game)
    assert for(n <- 1..8, do: Mail.answered(game, "ann", "#{n}")) == [nil, nil, nil, 4, 5, 6, 7, 8]
  end

  test "what is old goes" do
    game = start(%{mailbox_s: 1, sweep_ms: 20})
    post!(game, {:player, "ann"})

    GamePlatform.Eventually.wait_until(fn ->
      match?({:gap, {1, 1}, [], 1}, Mail.read(game, [{:player, "ann"}], 0))
    end)

    # Even who has had it is forgotten, some time later.
    GamePlatform.Eventually.wait_until(fn -> Mail.info(game).boxes == 0 end)
    assert {:gap, {1, 1}, [], 1} = Mail.read(game, [{:player, "ann"}], 0)
    assert {:ok, [], 1} = Mail.read(game, [{:player, "ann"}], 1)
    assert post!(game, {:player, "ann"}) == 2
    assert {:ok, [%{seq: 2}], 2} = Mail.read(game, [{:player, "ann"}], 1)
  end

  for seed <- 1..String.to_integer(System.get_env("MAIL_SEEDS", "5")) do
    test "as lists do, #{seed}" do
      :rand.seed(:exsss, unquote(seed))
      game = start(%{limits: [player_messages: 12, topic_messages: 20]})
      model = %{last: 0, boxes: Map.new(@boxes, &{&1, {0, []}}), attached: nil, got: []}
      Enum.reduce(1..1_500, model, &step(:rand.uniform(100), &1, &2, game))
    end
  end

  # A box is {floor, messages that are kept}.
  defp step(k, _, model, game) when k <= 40 do
    box = Enum.random(@boxes)
    seq = post!(game, box)
    assert seq == model.last + 1
    most = if elem(box, 0) == :topic, do: 20, else: 12
    {floor, kept} = model.boxes[box]
    {gone, kept} = Enum.split(kept ++ [seq], -most)
    floor = List.last(gone) || floor
    got = if model.attached && box in model.attached, do: model.got ++ [seq], else: model.got
    told(%{model | last: seq, boxes: Map.put(model.boxes, box, {floor, kept}), got: got}, game)
  end

  defp step(k, _, model, game) when k <= 75 do
    boxes = Enum.take_random(@boxes, :rand.uniform(3))
    from = :rand.uniform(model.last + 1) - 1
    limit = :rand.uniform(15)
    floor = boxes |> Enum.map(&elem(model.boxes[&1], 0)) |> Enum.max()
    start = max(from, floor)
    all = boxes |> Enum.flat_map(&elem(model.boxes[&1], 1)) |> Enum.filter(&(&1 > start)) |> Enum.sort()
    answer = Mail.read(game, boxes, from, limit: limit)
    assert seqs(answer) == Enum.take(all, limit)

    gap = if match?({:gap, _, _, _}, answer), do: elem(answer, 1)
    assert gap == if(floor > from, do: {from + 1, floor})
    next = elem(answer, tuple_size(answer) - 1)
    # Nothing is passed over, and one gets to the end.
    assert Enum.filter(all, &(&1 <= next)) == Enum.take(all, limit)
    assert length(all) >= limit or next == model.last
    model
  end

  defp step(k, _, model, game) when k <= 85 do
    box = Enum.random(@boxes)
    seq = :rand.uniform(model.last + 1) - 1
    Mail.acked(game, box, seq)
    {floor, kept} = model.boxes[box]
    {gone, kept} = Enum.split_with(kept, &(&1 <= seq))
    # An answer comes after it.
    assert Mail.info(game).messages ==
             Enum.sum(for {_, {_, kept}} <- Map.delete(model.boxes, box), do: length(kept)) + length(kept)

    %{model | boxes: Map.put(model.boxes, box, {List.last(gone) || floor, kept})}
  end

  defp step(k, _, model, game) when k <= 95 do
    boxes = Enum.take_random(@boxes, :rand.uniform(3))
    from = if :rand.uniform(2) == 1, do: model.last, else: :rand.uniform(model.last + 1) - 1

    behind? =
      Enum.any?(boxes, fn box ->
        {floor, kept} = model.boxes[box]
        floor > from or Enum.any?(kept, &(&1 > from))
      end)

    case Mail.attach(game, {:pid, self()}, boxes, from) do
      :behind ->
        assert behind?
        %{model | attached: nil}

      {:ok, _} ->
        refute behind?
        %{model | attached: boxes}
    end
  end

  defp step(k, n, model, game) when k <= 98 or rem(n, 10) > 0 do
    :ok = Mail.detach(game, self())
    %{model | attached: nil}
  end

  defp step(_, _, model, game) do
    pid = MailRoom.sequencer(game)
    Process.exit(pid, :kill)
    GamePlatform.Eventually.wait_until(fn -> MailRoom.sequencer(game) not in [nil, pid] end)
    %{model | attached: nil}
  end

  defp told(%{got: []} = model, _), do: model

  defp told(%{got: [seq]} = model, game) do
    assert_receive {:mail, ^game, [%{seq: ^seq}]}
    refute_received {:mail, _, _}
    %{model | got: []}
  end
end
