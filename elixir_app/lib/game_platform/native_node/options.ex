defmodule GamePlatform.NativeNode.Options do
  @moduledoc false
  # What `GamePlatform.NativeNode.start_link/1` takes.

  alias GamePlatform.Config

  @defaults [
    args: [],
    check_ms: 250,
    hang_checks: 8,
    backoff: {100, 5_000},
    healthy_ms: 5_000,
    start_timeout_ms: 10_000,
    stop_timeout_ms: 1_000,
    name: nil
  ]
  @required [:program, :handler, :server]
  @names @required ++ Keyword.keys(@defaults)

  def validate(opts) do
    with :ok <- keyword(opts),
         :ok <- known(opts),
         opts = Keyword.merge(@defaults, opts),
         :ok <- each(opts) do
      {:ok, Map.new(opts)}
    end
  end

  defp keyword(opts),
    do: if(Keyword.keyword?(opts), do: :ok, else: Config.invalid(:opts, opts, "a keyword list"))

  defp known(opts) do
    case Keyword.keys(opts) -- @names do
      [] -> :ok
      [unknown | _] -> Config.invalid(unknown, opts[unknown], "one of the options #{Enum.join(@names, ", ")}")
    end
  end

  defp each(opts) do
    Enum.reduce_while(@names, :ok, fn name, :ok ->
      value = opts[name]
      if fits?(name, value), do: {:cont, :ok}, else: {:halt, Config.invalid(name, value, expected(name))}
    end)
  end

  defp fits?(:program, path), do: is_binary(path) and Path.type(path) == :absolute
  defp fits?(:args, args), do: is_list(args) and Enum.all?(args, &is_binary/1)
  defp fits?(:server, server), do: is_atom(server) and server != nil

  defp fits?(:handler, {module, _}) when is_atom(module) do
    Code.ensure_loaded?(module) and
      Enum.all?([handle_up: 2, progress: 1, handle_down: 2], fn {function, arity} ->
        function_exported?(module, function, arity)
      end)
  end

  defp fits?(:handler, _), do: false

  defp fits?(:backoff, {first, max}), do: milliseconds?(first) and milliseconds?(max) and first <= max
  defp fits?(:backoff, _), do: false
  defp fits?(:name, nil), do: true
  defp fits?(:name, name), do: match?({:ok, _}, Config.check(:name, name))
  defp fits?(_, number), do: milliseconds?(number)

  defp milliseconds?(n), do: is_integer(n) and n in 1..3_600_000

  defp expected(:program), do: "the absolute path of an executable file"
  defp expected(:args), do: "a list of strings"
  defp expected(:server), do: "the atom that the program registers its server by"
  defp expected(:handler), do: "{module, argument}, the module with the callbacks of GamePlatform.NativeNode"
  defp expected(:backoff), do: "{first_ms, max_ms}, each in 1..3600000 and the first not greater"
  defp expected(:name), do: "an atom, {:global, term} or {:via, module, term}"
  defp expected(_), do: "an integer in 1..3600000"
end
