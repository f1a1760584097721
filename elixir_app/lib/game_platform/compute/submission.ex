defmodule GamePlatform.Compute.Submission do
  @moduledoc false
  # Actions from the caller to the process of the world. What can be refused without asking that process is refused
  # here, in the process of whoever sends it.

  alias GamePlatform.{Config, Telemetry}
  alias GamePlatform.Compute.{Actions, Pending, World}

  @expected "a list of at most #{Actions.max_actions()} actions"

  @doc "`call` asks the process of the world."
  def submit(%World{} = world, actions, call) when is_list(actions) do
    with {:ok, checked} <- check(world, actions),
         {:ok, answers} <- ask(for({:ok, action} <- checked, do: action), call) do
      answers = merge(checked, answers)
      accepted = Enum.count(answers, &(&1.status == :accepted))

      Telemetry.execute(
        [:compute, :submit],
        %{accepted: accepted, refused: length(answers) - accepted},
        %{backend: world.backend, frequency: world.frequency}
      )

      {:ok, answers}
    end
  end

  def submit(%World{}, other, _), do: Config.invalid(:actions, other, @expected)

  defp check(world, actions) do
    cond do
      List.improper?(actions) ->
        Config.invalid(:actions, actions, @expected)

      length(actions) > Actions.max_actions() ->
        Config.invalid(:actions, {:length, length(actions)}, @expected)

      world.economy == nil ->
        {:ok, Enum.map(actions, &{:refused, Actions.shown_id(&1), :no_economy, nil})}

      true ->
        {:ok, Enum.map(actions, &Actions.check(world, &1))}
    end
  end

  defp ask([], _), do: {:ok, []}
  defp ask(actions, call), do: call.({:submit, actions})

  defp merge([], []), do: []
  defp merge([{:ok, _} | checked], [answer | answers]), do: [answer | merge(checked, answers)]

  defp merge([{:refused, id, code, sentence} | checked], answers),
    do: [Pending.refused(%{shown: id}, code, sentence) | merge(checked, answers)]
end
