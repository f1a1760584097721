defmodule GamePlatform.Game.Factory.RulesetWatcherTest do
  # Not async: captures the log, and changes the configuration.
  use ExUnit.Case, async: false

  import ExUnit.CaptureLog
  import GamePlatform.Eventually

  alias GamePlatform.Compute
  alias GamePlatform.Game.Factory.RulesetWatcher

  setup do
    path = Path.join(System.tmp_dir!(), "ruleset-#{System.unique_integer([:positive])}.toml")
    File.cp!("priv/rulesets/tiny.toml", path)
    on_exit(fn -> File.rm(path) end)
    {:ok, path: path, text: File.read!(path)}
  end

  # What is logged after a change, which has this in it.
  defp logged(text, change) do
    log =
      capture_log(fn ->
        change.()
        # Ten looks.
        Process.sleep(100)
      end)

    assert log =~ text
    log
  end

  # At once: a look never finds half of it.
  defp put(path, text) do
    File.write!(path <> ".new", text)
    File.rename!(path <> ".new", path)
  end

  test "says that new worlds use a changed file, or why they cannot", %{path: path, text: text} do
    start_supervised!({RulesetWatcher, source: path, poll_ms: 10})
    assert capture_log(fn -> Process.sleep(30) end) == ""

    log = logged("changed: new worlds use it (hash ", fn -> put(path, text <> "# more\n") end)
    {:ok, world} = Compute.new_world(frequency: 1, ruleset: path, backend: :nif)
    Compute.close(world)
    assert log =~ "[info] ruleset #{path} changed"

    # One line a change.
    assert log |> String.split("ruleset ") |> length() == 2

    log =
      logged("[warning]", fn ->
        put(path, String.replace(text, "burns = 40", "burns = 40000000"))
      end)

    assert log =~
             "ruleset #{path}:13:29: expected an integer in 1..65535, found 40000000; no new world can use it"

    assert logged("[warning]", fn -> File.rm!(path) end) =~
             "ruleset #{path}: no such file or directory; no new world"

    logged("changed: new worlds use it", fn -> put(path, text) end)
  end

  test "an instance has one if the configuration asks for it", %{path: path} do
    name = :"Elixir.Game#{System.unique_integer([:positive])}"

    watchers = fn ->
      [{_, parts, _, _}] = Enum.filter(Supervisor.which_children(name), fn {id, _, _, _} -> id == :parts end)

      for {RulesetWatcher, pid, _, _} <- Supervisor.which_children(parts), do: pid
    end

    for {watch, source, count} <- [
          {true, path, 1},
          {true, :default, 1},
          {true, {:text, File.read!(path)}, 0},
          {false, path, 0}
        ] do
      before = Application.fetch_env!(:game_platform, :watch_rulesets)
      Application.put_env(:game_platform, :watch_rulesets, watch)
      start_supervised!({GamePlatform, name: name, frequency: 1, backend: :nif, ruleset: source})
      assert length(watchers.()) == count
      stop_supervised!(name)
      Application.put_env(:game_platform, :watch_rulesets, before)
      wait_until(fn -> Process.whereis(name) == nil end)
    end
  end
end
