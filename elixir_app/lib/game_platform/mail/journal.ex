defmodule GamePlatform.Mail.Journal do
  @moduledoc false
  # The sequencer's side of the event log, where messages are a world of their own beside that of the game. It never waits:
  # requests go out, and `handle/2` makes events of what comes.
  #
  #   down ──> world ──> barrier ──> reading ──> ready        with each link that comes up, until it is ready once
  #              └> main ──> create ─┘                        in a directory that has no messages yet
  #
  # When it is ready, one commit is under way at a time. A link that dies may have written it or not; the next one is sent it
  # again, which changes nothing if it was.

  alias GamePlatform.Persistence.{Link, Meta}

  @page_bytes 4 * 1_048_576
  # What is larger than what a distribution channel takes at once waits so long.
  @again_ms 5
  # A log that refuses is tried so often.
  @probe_ms 500

  # `parts` of what is under way: {key, request, :unsent | {:sent, ref} | :done | :refused}. `mark` is the tick of the
  # newest mark.
  defstruct [:link, :game, :id, :target, :ref, step: :down, parts: [], mark: -1]

  @type t :: %__MODULE__{}
  @type event ::
          :none
          | {:create, tick :: non_neg_integer}
          | {:found, %{from: non_neg_integer, floor: non_neg_integer, last: non_neg_integer}}
          | {:entries, [{pos_integer, binary}], more? :: boolean}
          | :written
          | :committed
          | {:refused, sentence :: String.t()}
          | {:not_created, sentence :: String.t()}
          | {:failed, {atom, sentence :: String.t()}}
          | {:closed, {atom, sentence :: String.t()}}

  @doc "`game` is the id of the world that plays, `link` the name of a `Persistence.Link`."
  @spec new(GenServer.name(), String.t()) :: t
  def new(link, game) do
    target = Link.subscribe(link, :mail)
    up(%__MODULE__{link: link, game: game, id: Meta.mail(game)}, target)
  end

  @spec ready?(t) :: boolean
  def ready?(%{step: step}), do: step == :ready

  @doc "Whether it is not known if what is under way will be found in the log."
  @spec open?(t) :: boolean
  def open?(%{parts: parts}), do: match?({_, _, state} when state != :done, List.keyfind(parts, :mail, 0))

  @doc """
  Writes that the game has reached a tick, then entries, and a mark at the entry `cut`; nil is none of that. `:committed`
  tells that all of it is written, `:written` that only the first is not yet, `{:refused, sentence}` that no entry is.
  """
  @spec commit(t, [{pos_integer, binary}], pos_integer | nil, non_neg_integer | nil) :: t
  def commit(%{step: :ready, parts: []} = journal, entries, cut, reached) do
    own =
      if(entries == [], do: [], else: [{:entries, entries}]) ++
        if cut, do: [{:mark, journal.mark + 1, cut}], else: []

    reached = if reached, do: [{:reached, {:commit, journal.game, [{:reached, reached}]}, :unsent}], else: []
    own = if own == [], do: [], else: [{:mail, {:commit, journal.id, own}, :unsent}]
    send_parts(%{journal | parts: reached ++ own})
  end

  @doc "What the last commit has marked is removed. If that is lost, the next time does it."
  @spec prune(t) :: t
  def prune(%{mark: mark} = journal) do
    if journal.target, do: Link.request(journal.target, {:prune, journal.id, mark + 2})
    %{journal | mark: mark + 1}
  end

  @doc "After `{:create, _}`: outcomes are told up to that tick."
  @spec create(t, non_neg_integer) :: t
  def create(journal, from),
    do: ask(%{journal | step: :create}, {:create_world, journal.id, Meta.encode_mail(from)})

  @doc "After `{:found, _}`: reads what comes after that number."
  @spec read(t, non_neg_integer) :: t
  def read(journal, from), do: ask(%{journal | step: :reading}, {:unmarked, journal.id, from, @page_bytes})

  @doc "What it has read cannot be used: it begins anew with the next probe."
  @spec fail(t) :: t
  def fail(journal), do: %{journal | step: :down, ref: nil}

  @doc "What a message to the sequencer is for the journal."
  @spec handle(term, t) :: {event, t} | :pass
  def handle({:link, :up, target}, journal), do: {:none, up(journal, target)}
  def handle({:link, :down}, journal), do: {:none, unsent(%{journal | target: nil, ref: nil})}
  def handle({:link, :refused, refusal}, journal), do: {{:closed, refusal}, journal}
  def handle({:journal, :again}, journal), do: {:none, send_parts(journal)}

  def handle({:journal, :probe}, %{step: :ready} = journal) do
    parts =
      for {key, request, state} <- journal.parts,
          do: {key, request, if(state == :refused, do: :unsent, else: state)}

    {:none, send_parts(%{journal | parts: parts})}
  end

  def handle({:journal, :probe}, journal), do: {:none, begin(journal)}

  def handle({ref, answer}, %{ref: ref} = journal) when is_reference(ref),
    do: started(journal.step, answer, %{journal | ref: nil})

  def handle({ref, answer}, journal) when is_reference(ref) do
    case Enum.find(journal.parts, &match?({_, _, {:sent, ^ref}}, &1)) do
      nil -> {:none, journal}
      {key, _, _} -> answered(key, answer, journal)
    end
  end

  def handle(_, _), do: :pass

  # It may be told twice.
  defp up(%{target: target} = journal, target), do: journal
  defp up(%{step: :ready} = journal, target), do: send_parts(unsent(%{journal | target: target}))
  defp up(journal, target), do: begin(%{journal | target: target})

  # What comes up again answers this first.
  defp begin(%{target: nil} = journal), do: journal
  defp begin(journal), do: ask(%{journal | step: :world}, {:world, journal.id})

  defp ask(%{target: target} = journal, request) do
    case target && Link.request(target, request) do
      {:ok, ref} ->
        %{journal | ref: ref}

      # The next link is asked anew.
      _ ->
        if target, do: Process.send_after(self(), {:journal, :probe}, @again_ms)
        %{journal | step: :down, ref: nil}
    end
  end

  defp started(:world, {:error, {:unknown_world, _}}, journal),
    do: {:none, ask(%{journal | step: :main}, {:world, journal.game})}

  # Whoever was here before may have something under way: what is read after this has it.
  defp started(:world, {:ok, _}, journal),
    do: {:none, ask(%{journal | step: :barrier}, {:commit, journal.id, []})}

  defp started(:barrier, {:ok, _}, journal), do: {:none, ask(%{journal | step: :found}, {:world, journal.id})}

  defp started(:found, {:ok, info}, journal) do
    case Meta.decode_mail(info.meta) do
      {:ok, from} ->
        {{:found, %{from: from, floor: info.marked_seq, last: info.last_seq}},
         %{journal | mark: info.marked_tick}}

      {:error, refusal} ->
        {{:failed, refusal}, journal}
    end
  end

  defp started(:main, {:error, {:unknown_world, _}}, journal), do: {{:create, 0}, journal}
  defp started(:main, {:ok, info}, journal), do: {{:create, max(info.marked_tick + 1, info.reached)}, journal}
  defp started(:create, :ok, journal), do: {:none, begin(journal)}
  defp started(:create, {:error, {:exists, _}}, journal), do: {:none, begin(journal)}

  defp started(:create, {:error, {reason, sentence}}, journal) when reason in [:full, :io],
    do: {{:not_created, sentence}, probe(journal)}

  defp started(:reading, {:ok, entries, true}, journal) do
    {last, _} = List.last(entries)
    {{:entries, entries, true}, read(journal, last)}
  end

  defp started(:reading, {:ok, entries, false}, journal),
    do: {{:entries, entries, false}, %{journal | step: :ready}}

  defp started(_, {:error, {:io, _}}, journal), do: {:none, probe(journal)}
  defp started(_, {:error, refusal}, journal), do: {{:failed, refusal}, journal}

  defp unsent(journal) do
    parts =
      for {key, request, state} <- journal.parts,
          do: {key, request, if(match?({:sent, _}, state), do: :unsent, else: state)}

    %{journal | parts: parts}
  end

  defp send_parts(%{target: nil} = journal), do: journal

  defp send_parts(%{parts: parts} = journal) do
    case Enum.find(parts, &match?({_, _, :unsent}, &1)) do
      nil ->
        journal

      {key, request, _} ->
        case Link.request(journal.target, request) do
          {:ok, ref} -> send_parts(put(journal, key, {:sent, ref}))
          :busy -> again(journal)
          # Soon it is said that it is down.
          :down -> journal
        end
    end
  end

  defp again(journal) do
    Process.send_after(self(), {:journal, :again}, @again_ms)
    journal
  end

  defp probe(journal) do
    Process.send_after(self(), {:journal, :probe}, @probe_ms)
    journal
  end

  defp put(journal, key, state) do
    {_, request, _} = List.keyfind(journal.parts, key, 0)
    %{journal | parts: List.keyreplace(journal.parts, key, 0, {key, request, state})}
  end

  defp answered(key, {:ok, _}, journal) do
    journal = put(journal, key, :done)
    done? = Enum.all?(journal.parts, &match?({_, _, :done}, &1))

    cond do
      done? -> {:committed, %{journal | parts: []}}
      key == :mail -> {:written, journal}
      true -> {:none, journal}
    end
  end

  # Its sentence is that of the messages, if there are any.
  defp answered(:reached, {:error, {reason, _}}, journal) when reason in [:full, :io],
    do: {:none, probe(put(journal, :reached, :refused))}

  defp answered(:mail, {:error, {reason, sentence}}, journal) when reason in [:full, :io],
    do: {{:refused, sentence}, %{journal | parts: []}}

  defp answered(_, {:error, refusal}, journal), do: {{:failed, refusal}, journal}
end
