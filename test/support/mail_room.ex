defmodule GamePlatform.MailRoom do
  @moduledoc """
  The messages of an instance without the rest of it: its tables, its sequencer, and a world that a test plays. All of it
  may be killed at any time, and comes back.
  """

  use Supervisor

  alias GamePlatform.{FakeLink, Instance, Mail}

  def start_link({game, options}), do: Supervisor.start_link(__MODULE__, {game, options}, name: game)

  @impl true
  def init({game, options}) do
    Mail.new_tables(game)

    Supervisor.init(
      [
        {Registry, keys: :unique, name: Instance.registry(game)},
        {Mail, {Instance.via(game, :mail), Map.put(options, :game, game)}}
      ],
      strategy: :one_for_one,
      max_restarts: 1_000_000
    )
  end

  def sequencer(game), do: Instance.whereis(game, :mail)

  @doc """
  Starts a world in which each tick has some outcomes, made by chance. `history` is an agent with what it has executed, by
  tick, newest first. It begins where the log says, so what was executed after that is made anew, otherwise.
  """
  def world(game, history, link) do
    spawn(fn ->
      told = begin(game)
      reached = if link, do: FakeLink.durable(link).reached, else: 0
      tick = if link, do: max(reached, told || 0), else: 0
      Agent.update(history, fn done -> Enum.filter(done, fn {t, _} -> link != nil and t <= tick end) end)
      told = if link, do: told || tick, else: tick
      opened(game, told)
      play(game, history, tick, told)
    end)
  end

  defp begin(game) do
    case Mail.begin(game) do
      {:ok, told} ->
        told

      _ ->
        Process.sleep(1)
        begin(game)
    end
  end

  defp opened(game, told) do
    if Mail.opened(game, told, self()) != :ok do
      Process.sleep(1)
      opened(game, told)
    end
  end

  defp play(game, history, tick, told) do
    receive do
      :tick ->
        outcomes =
          for n <- Enum.take(1..3, :rand.uniform(4) - 1) do
            id = "#{tick + 1}.#{n}.#{System.unique_integer([:positive])}"
            %{player: "ann", action_id: id, outcome: :applied, code: nil, tick: tick + 1}
          end

        Agent.update(history, &[{tick + 1, for(o <- outcomes, do: o.action_id)} | &1])
        play(game, history, tick + 1, told)

      :tell ->
        tell(game, history, told, tick)
        play(game, history, tick, tick)

      {:retell, from} ->
        tell(game, history, min(from, told), tick)
        play(game, history, tick, tick)
    end
  end

  defp tell(game, history, from, to) do
    done = Agent.get(history, &Enum.filter(&1, fn {tick, _} -> tick > from and tick <= to end))

    outcomes =
      for {tick, ids} <- Enum.reverse(done),
          id <- ids,
          do: %{player: "ann", action_id: id, outcome: :applied, code: nil, tick: tick}

    Mail.outcomes(game, from, to, outcomes)
  end

  @doc "A process that reads what comes after the last that it has, so many at once; `seen/1` has it."
  def reader(game, boxes), do: spawn_link(fn -> read(game, boxes, 0, []) end)

  @doc "A process that is attached, and reads what it has missed."
  def listener(game, boxes), do: spawn_link(fn -> listen(game, boxes, 0, [], nil) end)

  @doc "All that was seen, in the order in which it came: messages, and `{:gap, from, to}`."
  def seen(pid) do
    send(pid, {:seen, self()})
    receive(do: ({:seen, ^pid, seen} -> Enum.reverse(seen)))
  end

  defp read(game, boxes, from, seen) do
    {from, seen} = step(game, boxes, from, seen, limit: :rand.uniform(5))

    receive do
      {:seen, who} -> send(who, {:seen, self(), seen})
    after
      1 -> :ok
    end

    read(game, boxes, from, seen)
  end

  defp step(game, boxes, from, seen, opts) do
    case Mail.read(game, boxes, from, opts) do
      {:ok, messages, next} -> {next, Enum.reverse(messages) ++ seen}
      {:gap, {a, b}, messages, next} -> {next, Enum.reverse(messages) ++ [{:gap, a, b} | seen]}
      {:error, :not_running} -> {from, seen}
    end
  end

  defp listen(game, boxes, from, seen, nil) do
    case Mail.attach(game, {:pid, self()}, boxes, from) do
      {:ok, sequencer} ->
        listen(game, boxes, from, seen, Process.monitor(sequencer))

      :behind ->
        {from, seen} = step(game, boxes, from, seen, limit: :rand.uniform(5))
        listen(game, boxes, from, seen, nil)

      {:error, _} ->
        receive do
          {:seen, who} -> send(who, {:seen, self(), seen})
        after
          1 -> :ok
        end

        listen(game, boxes, from, seen, nil)
    end
  end

  defp listen(game, boxes, from, seen, monitor) do
    receive do
      {:mail, ^game, messages} ->
        listen(game, boxes, List.last(messages).seq, Enum.reverse(messages) ++ seen, monitor)

      {:DOWN, ^monitor, _, _, _} ->
        listen(game, boxes, from, seen, nil)

      {:seen, who} ->
        send(who, {:seen, self(), seen})
        listen(game, boxes, from, seen, monitor)
    end
  end
end
