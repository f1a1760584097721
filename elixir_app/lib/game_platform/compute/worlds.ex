defmodule GamePlatform.Compute.Worlds do
  @moduledoc false
  # Worlds are made here, and found by their names.

  alias GamePlatform.Compute.WorldProcess
  alias GamePlatform.Config

  # The process of a new world, or why there is none.
  def new(module, options, owner) do
    case WorldProcess.start(module, options, owner) do
      {:ok, pid} -> {:ok, pid}
      {:error, {:already_started, pid}} -> {:error, {:name_taken, %{name: options.name, pid: pid}}}
      {:error, {:shutdown, reason}} -> {:error, reason}
      {:error, _} -> {:error, :worker_down}
    end
  rescue
    # A registry that does not run.
    ArgumentError -> no_registry(options.name)
  end

  # The process of the world of that name.
  def lookup(name) do
    case name && GenServer.whereis(name) do
      nil -> {:error, :closed}
      pid when is_pid(pid) and node(pid) == node() -> local(pid, name)
      _ -> not_a_world(name)
    end
  rescue
    ArgumentError -> no_registry(name)
  end

  defp local(pid, name) do
    cond do
      :proc_lib.translate_initial_call(pid) == {WorldProcess, :init, 1} -> {:ok, pid}
      # It has just ended, and nothing tells what it was.
      not Process.alive?(pid) -> {:error, :closed}
      true -> not_a_world(name)
    end
  end

  defp not_a_world(name), do: Config.invalid(:name, name, "the name of a world")
  defp no_registry(name), do: Config.invalid(:name, name, "a name in a registry that runs")
end
