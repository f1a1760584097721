defmodule GamePlatformWeb.API.OnceTest do
  # Devices that poll get everything once and in order, whatever dies meanwhile.
  use GamePlatform.APICase, async: true

  alias GamePlatform.{Instance, Sessions}

  @devices 4
  @messages 150

  # As a client does it: asks for what comes after the last, and waits when it is told to.
  defp follow(game, device, after_, seen) do
    %{"session_id" => id, "token" => token} = device

    case get(game, "/poll/" <> id, token: token, query: "after=#{after_}") do
      {200, _, %{"messages" => messages, "next" => next}} ->
        seen = seen ++ Enum.map(messages, &{&1["seq"], &1["event"], &1["payload"]["n"]})
        if List.keymember?(messages_of(messages), "end", 0), do: seen, else: follow(game, device, next, seen)

      {status, headers, _} when status in [429, 503] ->
        Process.sleep(min(String.to_integer(headers["retry-after"]) * 1_000, 300))
        follow(game, device, after_, seen)

      {204, _, _} ->
        follow(game, device, after_, seen)
    end
  end

  defp messages_of(messages), do: for(%{"event" => event} <- messages, do: {event})

  # Until it is told: when the answer is an error it may have been, or not.
  defp tell(game, player, event, n) do
    case Sessions.tell(game, player, event, %{n: n}) do
      {:ok, seq} ->
        seq

      {:error, _} ->
        Process.sleep(5)
        tell(game, player, event, n)
    end
  end

  test "each message once and in order, on every device", %{game: game} do
    devices = for _ <- 1..@devices, do: connect!(game, %{guest: "a secret of my own"})
    player = hd(devices)["player_id"]
    followers = for device <- devices, do: Task.async(fn -> follow(game, device, device["seq"], []) end)

    {told, _} =
      with_log(fn ->
        for n <- 1..@messages do
          if rem(n, 60) == 20, do: kill(game, :mail)
          if rem(n, 40) == 30, do: kill(game, {:session, player})
          Process.sleep(:rand.uniform(10))
          {tell(game, player, "mail", n), "mail", n}
        end
      end)

    last = tell(game, player, "end", 0)

    for follower <- followers do
      seen = Task.await(follower, 30_000)
      seqs = Enum.map(seen, &elem(&1, 0))
      assert seqs == seqs |> Enum.sort() |> Enum.uniq()
      refute List.keymember?(seen, "gap", 1)
      assert told -- seen == []
      assert {^last, "end", 0} = List.last(seen)
      # In the order in which they were sent.
      numbers = for {_, "mail", n} <- seen, do: n
      assert numbers == Enum.sort(numbers)
    end
  end

  defp kill(game, part) do
    with pid when is_pid(pid) <- game |> Instance.via(part) |> GenServer.whereis(),
         do: Process.exit(pid, :kill)
  end
end
