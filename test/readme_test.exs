defmodule GamePlatform.ReadmeTest do
  use ExUnit.Case, async: false

  doctest GamePlatform.Readme

  test "the README shows the commands and the environment as they are" do
    text = File.read!("README.md")
    for command <- ["make run", "make test", "iex -S mix"], do: assert(text =~ command)

    for task <-
          Regex.scan(~r/^mix ([a-z.]+)/m, text, capture: :all_but_first) |> List.flatten() |> Enum.uniq() do
      assert Mix.Task.get(task), task
    end

    known = Enum.flat_map([:server, :edge, :admin, :log], &GamePlatform.Config.variables/1)

    for variable <- Regex.scan(~r/`([A-Z]+_?[A-Z]*)`/, text, capture: :all_but_first) |> List.flatten(),
        variable not in ["ARGS"] do
      assert {^variable, _} = List.keyfind(known, variable, 0)
    end
  end

  test "the changelog lists every function of the facade" do
    changelog = File.read!("CHANGELOG.md")

    for {name, _} <- GamePlatform.Compute.__info__(:functions),
        do: assert(changelog =~ "`#{name}`", "#{name}")
  end
end
