defmodule GamePlatform.Log.Formatter do
  @moduledoc false
  # A formatter of Erlang's `:logger`, and the same for the console backend that Elixir 1.14 has instead.

  alias GamePlatform.{JSON, Log, Text}

  # Read so much, so that a secret is not cut where it would no longer be known for one, and show less.
  @max_read_bytes 65_536
  @max_shown_bytes 16_384

  # What the backend hands over besides what is to be shown.
  @own [:time, :erl_level]

  def new(format, metadata), do: {__MODULE__, %{format: format, metadata: metadata}}

  def backend(format, metadata) do
    function = %{pretty: :format_pretty, json: :format_json}[format]
    [format: {__MODULE__, function}, metadata: @own ++ metadata, colors: [enabled: false]]
  end

  # Called by Logger 1.14.
  def format_pretty(level, message, _time, metadata), do: format_backend(level, message, metadata, :pretty)
  def format_json(level, message, _time, metadata), do: format_backend(level, message, metadata, :json)

  defp format_backend(level, message, metadata, format) do
    {own, shown} = Keyword.split(metadata, @own)
    event = %{level: own[:erl_level] || level, msg: {:string, message}, meta: Map.new(metadata)}
    format(event, %{format: format, metadata: Keyword.keys(shown)})
  end

  # Called by :logger.
  def check_config(%{format: format, metadata: metadata})
      when format in [:pretty, :json] and is_list(metadata),
      do: :ok

  def check_config(config), do: {:error, {:invalid_formatter_config, __MODULE__, config}}

  def format(event, config) do
    line(event, config)
  catch
    # An entry of a form that nobody knows is better shown so than lost.
    _, _ -> line(%{level: :error, msg: {:string, Text.shown(event)}, meta: %{}}, config)
  end

  defp line(%{level: level, msg: message, meta: meta}, %{format: format} = config) do
    time = if is_integer(meta[:time]), do: meta.time, else: System.os_time(:microsecond)
    message = message |> text(meta) |> clean() |> cut(@max_shown_bytes) |> String.trim_trailing()
    shown = for name <- config.metadata, name not in @own, value = meta[name], do: {name, value(value)}
    write(format, time, level(level), message, shown)
  end

  defp level(:warn), do: "warning"
  defp level(level), do: Atom.to_string(level)

  defp write(:json, time, level, message, shown) do
    time =
      time |> DateTime.from_unix!(:microsecond) |> DateTime.truncate(:millisecond) |> DateTime.to_iso8601()

    fields = [{:time, time}, {:level, level}, {:message, message} | drop_reserved(shown)]
    pairs = for {name, value} <- fields, do: [JSON.encode_any(name), ?:, JSON.encode_any(value)]
    IO.iodata_to_binary([?{, Enum.intersperse(pairs, ?,), "}\n"])
  end

  defp write(:pretty, time, level, message, shown) do
    {_, {hour, minute, second}} = :calendar.system_time_to_local_time(time, :microsecond)
    [hour, minute, second] = Enum.map([hour, minute, second], &pad(&1, 2))
    clock = "#{hour}:#{minute}:#{second}.#{time |> div(1000) |> Integer.mod(1000) |> pad(3)}"
    metadata = for {name, value} <- shown, do: "#{name}=#{value |> in_pretty() |> one_line()} "
    "#{clock} [#{level}] #{metadata}#{message |> in_pretty() |> String.replace("\n", "\n  ")}\n"
  end

  defp pad(n, width), do: n |> Integer.to_string() |> String.pad_leading(width, "0")
  defp drop_reserved(shown), do: Keyword.drop(shown, [:time, :level, :message])

  defp text({:string, chardata}, _), do: chardata(chardata)

  defp text({:report, report}, %{report_cb: callback}) when is_function(callback, 1),
    do: called(callback, report)

  defp text({:report, report}, %{report_cb: callback}) when is_function(callback, 2) do
    chardata(callback.(report, %{depth: 50, chars_limit: @max_read_bytes, single_line: false}))
  end

  defp text({:report, report}, _), do: Text.shown(report)
  defp text({format, args}, _), do: formatted(format, args)

  defp called(callback, report) do
    {format, args} = callback.(report)
    formatted(format, args)
  end

  defp formatted(format, args), do: chardata(:io_lib.format(format, args, chars_limit: @max_read_bytes))

  defp chardata(data) when is_binary(data), do: data

  defp chardata(data) do
    case :unicode.characters_to_binary(data) do
      text when is_binary(text) -> text
      # Bytes that are no UTF-8, or integers that are no characters.
      _ -> bytes(data)
    end
  rescue
    ArgumentError -> Text.shown(data)
  end

  defp bytes(data) do
    IO.iodata_to_binary(data)
  rescue
    ArgumentError -> Text.shown(data)
  end

  defp clean(binary),
    do: binary |> head(@max_read_bytes) |> Text.utf8() |> Log.redact() |> Text.utf8()

  defp head(binary, bytes), do: binary_part(binary, 0, min(bytes, byte_size(binary)))

  defp cut(text, bytes) when byte_size(text) <= bytes, do: text

  # Never within a character.
  defp cut(text, bytes) do
    if match?(<<2::2, _::6>>, binary_part(text, bytes, 1)),
      do: cut(text, bytes - 1),
      else: head(text, bytes) <> " (truncated)"
  end

  defp value(value) when is_number(value) or is_boolean(value), do: value
  defp value(value) when is_atom(value), do: Atom.to_string(value)
  defp value(value) when is_binary(value), do: value |> clean() |> cut(@max_shown_bytes)
  defp value(value), do: value |> Text.shown() |> clean()

  defp in_pretty(value) when not is_binary(value), do: to_string(value)

  defp in_pretty(text) do
    if text =~ ~r/[\x00-\x08\x0B-\x1F\x7F]/,
      do: for(<<char::utf8 <- text>>, into: "", do: visible(char)),
      else: text
  end

  defp visible(char) when char in [?\n, ?\t], do: <<char>>

  defp visible(char) when char < 0x20 or char == 0x7F,
    do: "\\x" <> (char |> Integer.to_string(16) |> String.pad_leading(2, "0"))

  defp visible(char), do: <<char::utf8>>

  defp one_line(text), do: String.replace(text, "\n", "\\n")
end
