defmodule GamePlatform.CLI do
  @moduledoc false
  # What the Mix tasks share: strict command lines, one-line errors, readable numbers.

  alias GamePlatform.{Config, Persistence}

  # `schema` options come as strings, for `Config.parse/2`; `own` ones as OptionParser types. Returns a map.
  def parse!(task, args, schema, own) do
    strict = Enum.map(schema, &{&1, :string}) ++ own

    if Enum.any?(args, &(&1 in ["--help", "-h"])) do
      Mix.Task.run("help", [name(task)])
      System.halt(0)
    end

    case OptionParser.parse(args, strict: strict) do
      {opts, [], []} ->
        Map.new(opts)

      {_, [word | _], _} ->
        Mix.raise("#{inspect(word)} is not understood; see `mix help #{name(task)}`")

      {_, _, [{flag, nil} | _]} ->
        Mix.raise("#{flag} is unknown or lacks its value; see `mix help #{name(task)}`")

      {_, _, [{flag, value} | _]} ->
        Mix.raise("#{flag} does not take #{inspect(value)}; see `mix help #{name(task)}`")
    end
  end

  defp name(task), do: String.replace_prefix(task, "mix ", "")

  def number!(flag, text, max) do
    case Integer.parse(text) do
      {n, ""} when n in 0..max//1 -> n
      _ -> Mix.raise("#{flag} is #{inspect(text)}, expected a whole number in 0..#{max}")
    end
  end

  # Work that ends with a file should not find out at its end that the file cannot be written.
  def writable!(path) do
    with {:error, posix} <- File.write(path, "", [:append]),
         do: Mix.raise("#{inspect(path)}: #{:file.format_error(posix)}")
  end

  def ok!({:ok, value}), do: value
  def ok!({:error, reason}), do: Mix.raise(describe(reason))

  def describe({:invalid_option, _} = error), do: Config.describe(error)

  def describe({:invalid_ruleset, %{file: file, line: line, column: column, reason: reason}}),
    do: "#{file}:#{line}:#{column}: #{reason}"

  def describe({:invalid_ruleset, %{file: file, reason: reason}}), do: "#{file}: #{reason}"

  def describe({:out_of_memory, %{needed_bytes: needed, available_bytes: available}}) do
    "the world needs #{si(needed)}B and #{si(available)}B are free; choose a lower frequency"
  end

  @kept [:data_dir, :event_log, :unknown_world, :world_exists, :not_covered, :snapshot_file]
  def describe({reason, %{hint: _}} = error) when reason in @kept, do: Persistence.describe(error)

  def describe({:native_not_loaded, %{reason: reason, hint: hint}}), do: "#{reason}; #{hint}"

  def describe({:worker_not_started, %{reason: reason, hint: hint}}) do
    reason = if is_binary(reason), do: reason, else: inspect(reason)
    "the compute worker did not start (#{reason}); #{hint}, or choose --backend nif"
  end

  def describe({:worker_refused, %{reason: reason}}), do: "the compute worker refuses: #{reason}"
  def describe(:worker_down), do: "the compute worker died again and again; see the log above"
  def describe({:no_picture, sentence}), do: sentence
  def describe(:threads), do: "the system gives no more threads; choose fewer with --threads"
  def describe({reason, %{hint: hint}}), do: "#{String.replace("#{reason}", "_", " ")}: #{hint}"

  def describe({reason, sentence}) when is_binary(sentence),
    do: "#{String.replace("#{reason}", "_", " ")}: #{sentence}"

  def describe(sentence) when is_binary(sentence), do: sentence
  def describe(reason), do: inspect(reason)

  # 12345678 as "12,345,678".
  def grouped(n), do: n |> Integer.to_string() |> String.replace(~r/\B(?=(\d{3})+$)/, ",")

  # 12345678 as "12.3 M".
  def si(n) when n >= 1.0e9, do: "#{Float.round(n / 1.0e9, 2)} G"
  def si(n) when n >= 1.0e6, do: "#{Float.round(n / 1.0e6, 1)} M"
  def si(n) when n >= 1.0e3, do: "#{Float.round(n / 1.0e3, 1)} k"
  def si(n), do: "#{round(n)} "
end
