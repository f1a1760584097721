# Tests start these; to build them may take longer than a test may.
for example <- ["peer", "echo_service"], not File.exists?("target/debug/examples/#{example}") do
  {:ok, cargo} = Mix.Tasks.Compile.Native.find_cargo()
  {_, 0} = System.cmd(cargo, ~w(build --quiet --workspace --example) ++ [example], into: IO.stream())
end

# What takes minutes is run by `make soak`.
ExUnit.start(exclude: [:soak])
