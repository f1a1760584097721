defmodule GamePlatform.Test.Answers do
  @moduledoc false
  # What the tests of requests ask. `test` is the process that wants to see what happens here.

  alias GamePlatform.JSON

  def handle(%{path: "/api/echo"} = request, _) do
    shown = request |> Map.drop([:client, :body]) |> Map.update!(:headers, &Map.new/1)

    {200, [{"content-type", "application/json"}],
     JSON.encode!(Map.put(shown, :bytes, byte_size(request.body)))}
  end

  def handle(%{path: "/api/bytes"} = request, _),
    do: {200, [{"content-type", "application/octet-stream"}], request.body}

  def handle(%{path: "/api/large/" <> bytes}, _),
    do: {200, [{"content-type", "application/octet-stream"}], :binary.copy("x", String.to_integer(bytes))}

  def handle(%{path: "/api/nothing"}, _), do: {204, [], ""}
  def handle(%{path: "/api/raise"}, _), do: raise("as asked")
  def handle(%{path: "/api/exit"}, _), do: exit(:normal)
  def handle(%{path: "/api/odd"}, _), do: :odd
  def handle(%{path: "/api/header"}, _), do: {200, [{"x-bad", "a\r\nb: c"}], ""}
  def handle(%{path: "/api/status"}, _), do: {700, [], ""}

  # Waits until the test says how to go on.
  def handle(%{path: "/poll/" <> name, client: client}, %{test: test}) do
    send(test, {:waits, name, self(), client})
    receive(do: (answer -> answer))
  end

  def handle(%{path: "/trap/" <> name, client: client}, %{test: test}) do
    Process.flag(:trap_exit, true)
    send(test, {:waits, name, self(), client})
    receive(do: (:never -> :ok))
  end
end
