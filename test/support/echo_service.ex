defmodule GamePlatform.EchoService do
  @moduledoc "Another process that answers a ring: `native/shm/examples/echo_service.rs`."

  alias GamePlatform.Native

  @watchdog_ms 20_000

  @doc "Builds it; returns the path of the program."
  def build do
    {:ok, cargo} = Mix.Tasks.Compile.Native.find_cargo()
    args = ~w(build --quiet --workspace --example echo_service --message-format=json-render-diagnostics)
    {output, 0} = System.cmd(cargo, args)
    [_, path] = Regex.run(~r/"executable":"([^"]*echo_service)"/, output)
    path
  end

  @doc "A ring of the calling process and a service at its other end."
  def start(program) do
    {:ok, ring} = Native.ring_new(self())
    directory = Path.join(System.tmp_dir!(), "gp-ring-#{System.pid()}-#{System.unique_integer([:positive])}")
    File.mkdir!(directory)
    path = Path.join(directory, "socket")
    {:ok, listener} = :gen_tcp.listen(0, [:binary, ifaddr: {:local, path}, active: false])

    port = Port.open({:spawn_executable, program}, [:binary, :exit_status, {:line, 100}, {:args, [path]}])

    {:ok, socket} = :gen_tcp.accept(listener, @watchdog_ms)
    File.rm_rf!(directory)
    {:ok, fd} = :inet.getfd(socket)
    :ok = Native.ring_handover(ring, fd)

    receive do
      {^port, {:data, {:eol, "ready"}}} -> :ok
    after
      @watchdog_ms -> raise "the service did not start"
    end

    :gen_tcp.close(socket)
    :gen_tcp.close(listener)
    %{ring: ring, port: port}
  end

  @doc "Ends it as a crash would; returns when it is gone."
  def kill(%{port: port}) do
    {:os_pid, pid} = Port.info(port, :os_pid)
    {_, 0} = System.cmd("kill", ["-KILL", "#{pid}"])
    await_exit(port)
  end

  @doc "Returns when it has ended by itself."
  def await_exit(port) do
    receive do
      {^port, {:exit_status, _}} -> :ok
    after
      @watchdog_ms -> raise "the service did not end"
    end
  end
end
