defmodule GamePlatform.Compute.Journal do
  @moduledoc false
  # Where a world's actions are kept, as the process of the world sees it: what it writes there, and who waits for an
  # answer until that is durable. The journal itself is a process, which tells what became of what it was given:
  #
  #   {:journal, pid, {:durable, seq}}          all actions up to that number are durable
  #   {:journal, pid, {:marked, tick}}          so is the mark of that tick
  #   {:journal, pid, {:failed, code, epoch}}   what was given and not confirmed is lost, and so is whatever is given under
  #                                             an earlier epoch; `code` says why to players
  #   {:journal, pid, :recovered}               it writes again

  alias GamePlatform.Compute.{Actions, Pending, Refusal}

  @type t :: %__MODULE__{}

  @doc "The calling process is the world that gives what it gives under that epoch; it is told if that has failed already."
  @callback attach(pid, epoch :: non_neg_integer) :: :ok
  @callback append(pid, epoch :: non_neg_integer, [{seq :: pos_integer, binary}]) :: :ok
  @callback mark(pid, epoch :: non_neg_integer, tick :: non_neg_integer, seq :: pos_integer) :: :ok
  @doc "Takes the mark of that tick back, which is the last one, whether it has been written or not."
  @callback unmark(pid, epoch :: non_neg_integer, tick :: non_neg_integer) :: :ok
  @doc "The world is there. Nothing is lost if this is."
  @callback reached(pid, tick :: non_neg_integer) :: :ok
  @doc "Answers `from` with `:ok` when no mark is there any more that has been taken back."
  @callback settle(pid, epoch :: non_neg_integer, from :: GenServer.from()) :: :ok

  # Who was to be told `logged` is told after so long what there is.
  @patience_ms 2_000
  @reached_ms 1_000

  # `waiting` are {seq, deadline, from, answers}, the answers with numbers and ticks as `Pending.submit/4` gives them.
  # `classes` tell by name of an action when it is answered.
  @enforce_keys [:module, :pid, :monitor]
  defstruct [:module, :pid, :monitor, epoch: 0, classes: %{}, waiting: :queue.new(), told: nil, timer: nil]

  def new({module, pid, epoch}, classes) do
    monitor = Process.monitor(pid)
    module.attach(pid, epoch)
    %__MODULE__{module: module, pid: pid, epoch: epoch, monitor: monitor, classes: classes, told: now_ms()}
  end

  @doc "Writes actions down and answers who gave them, now or when they are durable."
  def keep(journal, from, actions, answers, entries) do
    if entries != [], do: journal.module.append(journal.pid, journal.epoch, entries)
    answers = Enum.zip_with(actions, answers, fn action, answer -> {class(journal, action), answer} end)

    case for({class, {_, seq, _}} <- answers, class != :memory and seq != nil, do: seq) do
      [] -> {:now, Enum.map(answers, &now/1), journal}
      seqs -> {:later, wait(journal, {Enum.max(seqs), now_ms() + @patience_ms, from, answers})}
    end
  end

  # What has no number the world knows already, so it is durable.
  defp now({class, {answer, nil, _}}), do: done(answer, 0, class)
  defp now({_, {answer, _, _}}), do: answer

  defp class(%{classes: classes}, %{op: op}) do
    classes[Enum.at(Actions.names(), op)] || classes["default"] || :logged
  end

  defp wait(journal, entry) do
    timer = journal.timer || Process.send_after(self(), :journal_late, @patience_ms)
    %{journal | waiting: :queue.in(entry, journal.waiting), timer: timer}
  end

  @doc "Answers who waits for actions up to `seq`."
  def durable(journal, pending, seq) do
    settle(journal, fn {barrier, _, _, _} -> barrier <= seq end, fn {class, {answer, seq, due}} ->
      moved =
        with true <- due != nil,
             tick when tick != nil <- Pending.due_of(pending, seq),
             do: tick - due,
             else: (_ -> 0)

      done(answer, moved, if(seq && class == :memory, do: :logged, else: class))
    end)
  end

  defp done(%{status: :accepted} = answer, moved, class),
    do: %{answer | tick: answer.tick + moved, durability: class}

  defp done(answer, _, _), do: answer

  @doc "Answers everybody; what is above `seq` is refused."
  def failed(journal, seq, code, epoch) do
    settle(%{journal | epoch: epoch}, fn _ -> true end, fn
      {_, {answer, n, _}} when is_integer(n) and n > seq ->
        Pending.refused(%{shown: answer.action_id}, code, Refusal.sentence(code))

      {class, {answer, _, _}} ->
        done(answer, 0, class)
    end)
  end

  @doc "Answers who has waited too long with what there is."
  def late(journal) do
    now = now_ms()

    journal =
      settle(%{journal | timer: nil}, fn {_, deadline, _, _} -> deadline <= now end, fn {_, {answer, _, _}} ->
        answer
      end)

    case :queue.peek(journal.waiting) do
      {:value, {_, deadline, _, _}} ->
        %{journal | timer: Process.send_after(self(), :journal_late, max(deadline - now, 1))}

      :empty ->
        journal
    end
  end

  # Who came first is answered first, up to the first whose turn it is not.
  defp settle(journal, turn?, answer) do
    case :queue.peek(journal.waiting) do
      {:value, {_, _, from, answers} = entry} ->
        if turn?.(entry) do
          GenServer.reply(from, {:ok, Enum.map(answers, answer)})
          settle(%{journal | waiting: :queue.drop(journal.waiting)}, turn?, answer)
        else
          journal
        end

      :empty ->
        journal
    end
  end

  def mark(journal, tick, seq), do: journal.module.mark(journal.pid, journal.epoch, tick, seq)
  def unmark(journal, tick), do: journal.module.unmark(journal.pid, journal.epoch, tick)
  def settle(journal, from), do: journal.module.settle(journal.pid, journal.epoch, from)

  @doc "Tells now and then where the world is, so that a restart goes on near there."
  def reached(nil, _), do: nil

  def reached(journal, tick) do
    now = now_ms()

    if now - journal.told >= @reached_ms do
      journal.module.reached(journal.pid, tick)
      %{journal | told: now}
    else
      journal
    end
  end

  defp now_ms, do: System.monotonic_time(:millisecond)
end
