defmodule Mix.Tasks.Compile.Native do
  @shortdoc "Builds the native parts with cargo"
  @moduledoc """
  Builds the native parts with cargo and places them in `priv/native`.

  It is the last compiler of the project, so that nothing has to be built to build it. Cargo is run
  only if a file under `native/`, `Cargo.toml` or `Cargo.lock` changed since the last time; its
  progress and its errors go straight to the terminal.

  `mix compile --force` runs cargo in any case; `mix clean` removes what was placed.
  """
  use Mix.Task.Compiler

  @recursive true
  # cargo package => what it makes, and the name it is placed under.
  @artefacts [
    {"gp_nif", "cdylib", "gp_nif.so"},
    {"gp_worker", "bin", "gp_worker"},
    {"gp_edge", "bin", "gp_edge"},
    {"gp_link", "bin", "gp_link"}
  ]
  @rust_version "1.88"

  @impl true
  def run(args) do
    {opts, _, _} = OptionParser.parse(args, switches: [force: :boolean])
    inputs = fingerprint()

    if opts[:force] || File.read(manifest()) != {:ok, inputs} || not Enum.all?(placed(), &File.exists?/1) do
      build(inputs)
    else
      {:noop, []}
    end
  end

  @impl true
  def manifests, do: [manifest()]

  @impl true
  def clean do
    File.rm(manifest())
    File.rm_rf!(priv())
    :ok
  end

  defp root, do: Path.dirname(Mix.Project.project_file())
  defp priv, do: Path.join(root(), "priv/native")
  defp placed, do: for({_, _, name} <- @artefacts, do: Path.join(priv(), name))
  defp manifest, do: Path.join(Mix.Project.manifest_path(), "compile.native")

  defp fingerprint do
    files =
      ["Cargo.toml", "Cargo.lock", "native/**/*.rs", "native/**/*.toml"]
      |> Enum.flat_map(&:filelib.wildcard(String.to_charlist(&1), String.to_charlist(root())))
      |> Enum.sort()
      |> Enum.map(fn path ->
        %{mtime: mtime, size: size} = root() |> Path.join(path) |> File.stat!(time: :posix)
        {path, mtime, size}
      end)

    :sha256 |> :crypto.hash(:erlang.term_to_binary(files)) |> Base.encode16()
  end

  defp build(inputs) do
    with {:ok, cargo} <- find_cargo(),
         {:ok, made} <- cargo_build(cargo) do
      File.mkdir_p!(priv())
      for {package, kind, name} <- @artefacts, do: place(made[{package, kind}], Path.join(priv(), name))
      Mix.Project.build_structure()
      load_again()
      File.mkdir_p!(Path.dirname(manifest()))
      File.write!(manifest(), inputs)
      {:ok, []}
    else
      {:error, message} ->
        Mix.shell().error(message)

        {:error,
         [
           %Mix.Task.Compiler.Diagnostic{
             compiler_name: "native",
             file: Path.join(root(), "Cargo.toml"),
             message: message,
             position: 0,
             severity: :error
           }
         ]}
    end
  end

  # Newer compilers load modules while they check types, so the library before this one may be loaded, or
  # none. What follows in this VM is to have the new one. A session may have worlds in the old one, and
  # threads that run its code: there it stays.
  defp load_again do
    cond do
      # Another project that borrows this task has nothing to do with the library of this VM.
      Mix.Project.config()[:app] != :game_platform or :code.is_loaded(GamePlatform.Native) == false ->
        :ok

      Code.ensure_loaded?(IEx) and IEx.started?() ->
        Mix.shell().info("The native library was built anew: start IEx again to load it")

      true ->
        :code.purge(GamePlatform.Native)
        :code.delete(GamePlatform.Native)
        :code.purge(GamePlatform.Native)
    end
  end

  # A running VM may have the old file mapped: rename, never overwrite.
  defp place(from, to) do
    File.cp!(from, to <> ".new")
    File.rename!(to <> ".new", to)
  end

  @doc false
  # The path of cargo, or a sentence that says what to do.
  def find_cargo do
    home = System.get_env("CARGO_HOME") || Path.join(System.user_home() || "/", ".cargo")

    case System.find_executable("cargo") || existing(Path.join(home, "bin/cargo")) do
      nil ->
        {:error,
         "cargo was not found: the native parts need Rust #{@rust_version} or newer. " <>
           "Install it with rustup, then run the command again."}

      cargo ->
        {:ok, cargo}
    end
  end

  defp existing(path), do: if(File.exists?(path), do: path)

  defp cargo_build(cargo) do
    packages = Enum.flat_map(@artefacts, fn {package, _, _} -> ["-p", package] end)
    args = ["build", "--release", "--message-format=json-render-diagnostics" | packages]
    Mix.shell().info("Building the native parts with cargo (about a minute the first time)")
    # Only standard output is taken: cargo's progress bar and errors on standard error stay as they are.
    options = [:binary, :exit_status, {:line, 65_536}, {:args, args}, {:cd, root()}]
    port = Port.open({:spawn_executable, cargo}, options)

    case collect(port, "", []) do
      {0, lines} -> {:ok, lines |> Enum.flat_map(&artefact/1) |> Map.new()}
      {status, _} -> {:error, "cargo could not build the native parts (exit status #{status}), see above"}
    end
  end

  defp collect(port, partial, lines) do
    receive do
      {^port, {:data, {:noeol, text}}} -> collect(port, partial <> text, lines)
      {^port, {:data, {:eol, text}}} -> collect(port, "", [partial <> text | lines])
      {^port, {:exit_status, status}} -> {status, lines}
    end
  end

  # The NIF library that decodes JSON is what is being built, so the two fields are picked out by hand:
  # cargo writes one object a line, and file names as plain JSON strings.
  defp artefact(line) do
    for {package, kind, _} <- @artefacts,
        line =~ ~s("reason":"compiler-artifact") and line =~ ~s("name":"#{package}") and
          line =~ ~s("crate_types":["#{kind}"]),
        [_, file] <- [Regex.run(~r/"filenames":\["([^"]+)"/, line)] do
      {{package, kind}, file}
    end
  end
end
