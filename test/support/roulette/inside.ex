defmodule GamePlatform.Roulette.Inside do
  @moduledoc false
  # What runs in the game's VM: the game, and answers to lines of who started it.

  alias GamePlatform.{Compute, Instance, Mail, Multiplayer, Sessions}

  @name GamePlatform.Roulette.Game
  # All clients have one address, and hop more than people do.
  @limits %{request_rate: 100_000, request_burst: 100_000, per_ip: 10_000, requests_per_ip: 10_000}

  @doc "Starts it, tells that with `tell`, and answers lines until the input ends."
  def run(opts, tell) do
    Logger.configure(level: :error)
    {:ok, _} = Application.ensure_all_started(:game_platform)
    edge = [port: opts[:port], hz: 2, limits: @limits, connect_rate: 1_000, connect_burst: 10_000]
    {:ok, _} = GamePlatform.start_link([name: @name, edge: edge] ++ Keyword.delete(opts, :port))
    {:ok, world} = GamePlatform.world(@name)
    {:ok, tick} = Compute.tick(world)
    {:ok, _} = GamePlatform.port(@name, 30_000)
    tell.(%{os_pid: String.to_integer(System.pid()), tick: tick, seq: Mail.last(@name)})
    loop(tell)
  end

  # Each line in a process of its own, so that one that waits holds up none.
  defp loop(tell) do
    case IO.gets("") do
      line when is_binary(line) ->
        spawn(fn -> line |> String.trim() |> String.split(" ") |> answer(tell) end)
        loop(tell)

      _ ->
        :erlang.halt(0, flush: false)
    end
  end

  defp answer(["publish", n], tell) do
    n = String.to_integer(n)
    tell.({:published, n, safely(fn -> Sessions.publish(@name, "beat", %{n: n}) end)})
  end

  defp answer(["tell", player, count], tell) do
    count = String.to_integer(count)
    tell.({:told, for(n <- 1..count, do: Sessions.tell(@name, player, "note", %{n: n}))})
  end

  defp answer(["kill", what], tell) do
    case Enum.take_random(processes(what), 1) do
      [pid] -> Process.exit(pid, :kill)
      [] -> :nothing
    end

    tell.(:killed)
  end

  defp answer(["info"], tell), do: tell.({:info, Mail.info(@name)})

  defp safely(fun) do
    fun.()
  catch
    kind, reason -> {:error, {kind, reason}}
  end

  defp processes("session") do
    Registry.select(Instance.registry(@name), [{{{:session, :_}, :"$1", :_}, [], [:"$1"]}])
  end

  defp processes("channel"), do: @name |> Multiplayer.connected() |> Map.values() |> Enum.concat()

  defp processes("mail"), do: @name |> Instance.via(:mail) |> GenServer.whereis() |> List.wrap()
end
