# Tests start these; to build them may take longer than a test may.
for example <- ["peer", "echo_service"], not File.exists?("target/debug/examples/#{example}") do
  {:ok, cargo} = Mix.Tasks.Compile.Native.find_cargo()
  {_, 0} = System.cmd(cargo, ~w(build --quiet --workspace --example) ++ [example], into: IO.stream())
end

# The first test that starts a native program would make this VM a node, and the pids that the compiler of the other
# tests holds would be of none.
{:ok, _} = GamePlatform.NativeNode.Distribution.ensure_started()

# What takes minutes is run by `make soak`.
ExUnit.start(exclude: [:soak])
