defmodule Mix.Tasks.Compile.NativeTest do
  # A project of its own with a cargo that only writes down that it was called: when cargo runs, where its
  # result goes, and what its failure looks like. That the real one builds is what every other test shows.
  use ExUnit.Case, async: false

  import ExUnit.CaptureIO

  @moduletag :tmp_dir

  setup %{tmp_dir: dir} do
    # Mix remembers projects by their name.
    app = :"native_#{System.unique_integer([:positive])}"

    write(dir, "mix.exs", """
    defmodule #{Macro.camelize(Atom.to_string(app))}.MixProject do
      use Mix.Project
      def project, do: [app: #{inspect(app)}, version: "0.1.0"]
    end
    """)

    for {path, text} <- [{"Cargo.toml", "[workspace]"}, {"Cargo.lock", "1"}, {"native/a/src/lib.rs", "//"}],
        do: write(dir, path, text)

    write(dir, "bin/cargo", """
    #!/bin/sh
    echo "$@" >> "#{dir}/calls"
    if [ -e "#{dir}/broken" ]; then exit 101; fi
    echo built-$(wc -l < "#{dir}/calls") > "#{dir}/libgp_nif.so"
    echo '{"reason":"compiler-artifact","target":{"name":"hexworld","crate_types":["lib"]},"filenames":["/x"]}'
    echo '{"reason":"compiler-artifact","target":{"crate_types":["cdylib"],"name":"gp_nif"},"filenames":["#{dir}/libgp_nif.so"]}'
    echo '{"reason":"compiler-artifact","target":{"crate_types":["bin"],"name":"gp_worker"},"filenames":["#{dir}/libgp_nif.so"]}'
    echo '{"reason":"compiler-artifact","target":{"crate_types":["bin"],"name":"gp_edge"},"filenames":["#{dir}/libgp_nif.so"]}'
    echo '{"reason":"compiler-artifact","target":{"crate_types":["bin"],"name":"gp_link"},"filenames":["#{dir}/libgp_nif.so"]}'
    """)

    File.chmod!(Path.join(dir, "bin/cargo"), 0o755)
    path = System.get_env("PATH")
    System.put_env("PATH", Path.join(dir, "bin") <> ":" <> path)
    on_exit(fn -> System.put_env("PATH", path) end)
    [project: {app, dir}]
  end

  defp write(dir, path, text) do
    path = Path.join(dir, path)
    File.mkdir_p!(Path.dirname(path))
    File.write!(path, text)
  end

  defp compile({app, dir}, args \\ []) do
    Mix.Project.in_project(app, dir, fn _ ->
      capture_io(:stderr, fn ->
        capture_io(fn -> send(self(), {:result, Mix.Tasks.Compile.Native.run(args)}) end)
      end)
    end)

    assert_received {:result, result}
    result
  end

  defp calls(dir), do: dir |> Path.join("calls") |> File.read!() |> String.split("\n", trim: true) |> length()

  test "the library of this VM is left alone", %{project: project} do
    {:module, native} = Code.ensure_loaded(GamePlatform.Native)
    assert {:ok, []} = compile(project)
    assert :code.is_loaded(native)
    assert native.status() == :ok
  end

  test "cargo runs when a source, a manifest or the lock file changed, and only then", %{
    tmp_dir: dir,
    project: project
  } do
    assert {:ok, []} = compile(project)
    assert File.read!(Path.join(dir, "priv/native/gp_nif.so")) == "built-1\n"
    assert {:noop, []} = compile(project)
    assert calls(dir) == 1

    for {path, n} <- [{"native/a/src/lib.rs", 2}, {"Cargo.lock", 3}, {"native/b/Cargo.toml", 4}] do
      write(dir, path, "changed for call #{n}")
      assert {:ok, []} = compile(project)
      assert File.read!(Path.join(dir, "priv/native/gp_nif.so")) == "built-#{n}\n"
      assert {:noop, []} = compile(project)
      assert calls(dir) == n
    end

    File.rm!(Path.join(dir, "priv/native/gp_nif.so"))
    assert {:ok, []} = compile(project)
    assert {:ok, []} = compile(project, ["--force"])
    assert calls(dir) == 6
  end

  test "a failure is an error, and the next run tries again", %{tmp_dir: dir, project: project} do
    File.touch!(Path.join(dir, "broken"))
    assert {:error, [%{severity: :error, message: message}]} = compile(project)
    assert message =~ "exit status 101"
    refute File.exists?(Path.join(dir, "priv/native/gp_nif.so"))
    File.rm!(Path.join(dir, "broken"))
    assert {:ok, []} = compile(project)
  end

  test "a missing cargo is named, with what to do", %{tmp_dir: dir, project: project} do
    home = System.get_env("CARGO_HOME")
    System.put_env("PATH", Path.join(dir, "empty"))
    System.put_env("CARGO_HOME", Path.join(dir, "empty"))
    result = compile(project)
    if home, do: System.put_env("CARGO_HOME", home), else: System.delete_env("CARGO_HOME")
    assert {:error, [%{message: message}]} = result
    assert message =~ "rustup"
  end
end
