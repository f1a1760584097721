defmodule GamePlatform.ScriptedBackend do
  @moduledoc """
  A backend for tests of the process that owns a world: it computes nothing, tells the test of each slice and each
  batch, and does what the test says. Its players stand still and have no outcomes.
  """

  @behaviour GamePlatform.Compute.Backend

  alias GamePlatform.Compute.{Ruleset, WorldProcess}
  alias GamePlatform.Tiny

  @doc "A world whose players of these names have joined."
  def world!(names) do
    {:ok, ruleset} = Ruleset.load(Tiny.path())

    options = %{
      backend: :scripted,
      frequency: 2,
      seed: 1,
      ruleset: ruleset,
      name: nil,
      cells: {<<0::336>>, <<0::672>>},
      players: names,
      test: self()
    }

    {:ok, pid} = WorldProcess.start(__MODULE__, options, self())
    {:ok, world} = GenServer.call(pid, :world)
    world
  end

  @doc "Waits for the next slice and answers it. Tells `{from, target}`."
  def slice!(answer) do
    receive do
      {:slice, pid, from, target} ->
        send(pid, {:answer, answer})
        {from, target}
    after
      1_000 -> raise "no slice"
    end
  end

  @doc "The next batch, as `{tick, count}`; nil if there is none before the next slice."
  def batch!(answer \\ :ok) do
    receive do
      {:act, pid, tick, <<count::16-little, _::binary>>} ->
        send(pid, {:answer, answer})
        {tick, count}

      {:slice, _, _, _} = slice ->
        send(self(), slice)
        nil
    after
      1_000 -> raise "neither a batch nor a slice"
    end
  end

  @impl true
  def bytes(_), do: 1

  @impl true
  def new(options), do: {:ok, %{tick: 0, test: options.test, players: options.players}}

  @impl true
  def generate(state, _), do: {:ok, true, state}

  @impl true
  def fill(state, _, _), do: {:ok, state}

  @impl true
  def advance(%{tick: tick} = state, target, _) when tick >= target, do: {:ok, tick, true, state}

  def advance(state, target, _) do
    case ask(state, {:slice, self(), state.tick, target}) do
      {:tick, tick} -> {:ok, tick, tick >= target, %{state | tick: tick}}
      {:error, reason} -> {:error, reason, state}
    end
  end

  @impl true
  def act(state, tick, batch) do
    with :ok <- ask(state, {:act, self(), tick, batch}), do: {:ok, state}
  end

  defp ask(state, question) do
    send(state.test, question)
    receive(do: ({:answer, answer} -> answer))
  end

  @impl true
  def digest(state), do: {:ok, <<0::256>>, state}

  @impl true
  def tick(state), do: {:ok, state.tick}

  @impl true
  def cells(state, ids), do: {:ok, state.tick, Enum.map(ids, fn _ -> {0, 0} end)}

  @impl true
  def sites(state, ids), do: {:ok, state.tick, Enum.map(ids, fn _ -> {0, 0, nil, 0, 0} end)}

  @impl true
  def players(state) do
    players =
      for {name, number} <- Enum.with_index(state.players, 1) do
        <<number::32-little, byte_size(name), name::binary, 0::32, 0::32, 0::32, 0::64, 0, 0, 0>>
      end

    {:ok, state.tick, players}
  end

  @impl true
  def outcomes(_, _), do: {:ok, []}

  @impl true
  def planes(state), do: {:ok, state.tick, "", ""}

  @impl true
  def diff(_, _), do: {:error, :too_old}

  @impl true
  def load(state, _), do: {:ok, state.tick, state}

  @impl true
  def capture(state, _, _), do: {:ok, state.tick}

  @impl true
  def encode(tick, _), do: {:ok, tick, ""}

  @impl true
  def repair(_), do: {:error, :corrupt_peer}

  @impl true
  def reader(_), do: nil

  @impl true
  def close(_), do: :ok
end
