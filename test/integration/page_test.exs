defmodule GamePlatform.PageTest do
  # The page in Debian's Chromium. `scripts/test` builds it first.
  use ExUnit.Case, async: false

  alias GamePlatform.{Instance, Transport}

  @moduletag timeout: 180_000

  test "the sphere changes under the eye, cells are named, and the page recovers when the edge is killed" do
    assert File.exists?("priv/static/index.html"), "build the page with scripts/web"
    start_supervised!({GamePlatform, name: __MODULE__.Game, frequency: 24, ups: 20, edge: [port: 0]})
    {:ok, port} = GamePlatform.port(__MODULE__.Game)
    %{edge: %{os_pid: os_pid}} = Transport.stats(Instance.transport(__MODULE__.Game))

    args = ["e2e/page.mjs", "http://127.0.0.1:#{port}/", "--kill", "#{os_pid}", "--timeout", "60"]

    ExUnit.CaptureLog.capture_log(fn ->
      {output, status} = System.cmd("node", args, cd: "web", stderr_to_stdout: true)
      assert status == 0, output

      {:ok, result} =
        output |> String.trim() |> String.split("\n") |> List.last() |> GamePlatform.JSON.decode()

      assert %{"ok" => true, "checks" => %{"recovers" => _, "cell_named" => _, "sphere_changes" => _}} =
               result
    end)
  end
end
