defmodule GamePlatform.Compute.Beam.Factory.Check do
  @moduledoc false
  # For chains of checks: the first that refuses is the answer.

  alias GamePlatform.Compute.Beam.Factory.Ground

  def refuse(true, answer), do: {:refused, answer}
  def refuse(false, _), do: :ok

  def need_rights(w, number, cell), do: refuse(not Ground.rights?(w, cell, number), :not_yours)
  def need_near(w, number, cell), do: refuse(not Ground.near?(w, w.players[number], cell), :too_far)

  # {:ok, machine}
  def need_machine(w, cell) do
    case w.machines do
      %{^cell => m} -> {:ok, m}
      _ -> {:refused, :no_machine}
    end
  end
end
