defmodule GamePlatform.Worker do
  @moduledoc """
  A compute worker of your own, for a supervision tree.

  Worlds share one worker unless they are given another: worlds of different workers do not share a crash,
  nor wait for each other's threads.

      children = [{GamePlatform.Worker, name: MyWorker}]
      GamePlatform.Compute.new_world(worker: MyWorker)

  ## Options

    * `:name`: an atom, required
    * `:check_ms` (250), `:hang_checks` (8): so many checks in a row without progress are a hang, and the worker is
      replaced
    * `:backoff` (`{100, 5_000}`): the first and the longest delay in milliseconds before a restart; the first restart
      of a worker that was well for `:healthy_ms` (5,000) comes at once
    * `:start_timeout_ms` (10,000), `:stop_timeout_ms` (1,000)
  """

  alias GamePlatform.{Compute, Config}

  @options [:name, :check_ms, :hang_checks, :backoff, :healthy_ms, :start_timeout_ms, :stop_timeout_ms]

  @doc "A child specification; its id is the worker's name."
  @spec child_spec(keyword) :: Supervisor.child_spec()
  def child_spec(opts) do
    name = if Keyword.keyword?(opts), do: opts[:name]
    %{id: name || __MODULE__, start: {__MODULE__, :start_link, [opts]}, shutdown: 10_000}
  end

  @doc "Starts a worker. It comes up in the background; whoever needs it waits for it."
  @spec start_link(keyword) :: GenServer.on_start() | {:error, Config.error()}
  def start_link(opts) do
    with :ok <- check(opts), do: Compute.Worker.start_link(opts)
  end

  defp check(opts) do
    cond do
      not Keyword.keyword?(opts) ->
        Config.invalid(:opts, opts, "a keyword list")

      unknown = Enum.find(opts, fn {key, _} -> key not in @options end) ->
        {key, value} = unknown
        Config.invalid(key, value, "one of the options #{Enum.join(@options, ", ")}")

      not match?({:ok, _}, Config.check(:worker, opts[:name])) ->
        Config.invalid(:name, opts[:name], "an atom")

      true ->
        :ok
    end
  end
end
