defmodule GamePlatform.Log do
  @moduledoc """
  How log lines look, and what is kept out of them.

  `install/1` changes what the VM prints; a host application that has its own logging leaves it alone.

  As `:pretty`, an entry is a line that begins with the local time, and further lines are indented:

      16:56:39.123 [info] request_id=Fx3 joined world:1

  As `:json`, it is an object on one line: `time` (ISO 8601, UTC, milliseconds), `level`, `message`, and the
  metadata that was asked for.

      {"time":"2026-01-31T15:56:39.123Z","level":"info","message":"joined world:1","request_id":"Fx3"}

  Nothing that is logged makes the formatter fail: bytes that are no UTF-8 become U+FFFD, terms are inspected,
  control characters are escaped, so that no input forges an entry, and a message is cut after 16 KiB. What `redact/1`
  finds is taken out of messages and metadata alike.
  """

  alias GamePlatform.Config
  alias GamePlatform.Log.Formatter

  # What an entry tells besides, if its process or its call has set it.
  @metadata [:request_id, :session_id, :player_id, :world, :topic, :program]

  @doc """
  Makes the VM's console print log entries in this form. Calling it again changes the form.

  ## Options

  #{Config.docs(:log)}
    * `:metadata`: names of metadata to show, default `#{inspect(@metadata)}`

  `{:error, :no_console}` if the host application has taken the console handler away.
  """
  @spec install(keyword) :: :ok | {:error, :no_console | Config.error()}
  def install(opts \\ []) do
    with {:ok, metadata, opts} <- metadata(opts),
         {:ok, %{log_format: format}} <- Config.validate(:log, opts) do
      install(format, metadata)
    end
  end

  defp install(format, metadata) do
    case :logger.update_handler_config(:default, :formatter, Formatter.new(format, metadata)) do
      :ok -> :ok
      # Until Elixir 1.14 the console is a backend of Logger.
      {:error, {:not_found, _}} -> install_backend(Formatter.backend(format, metadata))
    end
  end

  # Later versions warn of a call that names this function.
  defp install_backend(options) do
    with true <- Version.match?(System.version(), "< 1.15.0-dev"),
         :ok <- apply(Logger, :configure_backend, [:console, options]) do
      :ok
    else
      _ -> {:error, :no_console}
    end
  end

  defp metadata(opts) do
    {names, opts} = if Keyword.keyword?(opts), do: Keyword.pop(opts, :metadata, @metadata), else: {[], opts}

    if is_list(names) and not List.improper?(names) and Enum.all?(names, &is_atom/1),
      do: {:ok, names, opts},
      else: Config.invalid(:metadata, names, "a list of atoms")
  end

  @doc """
  Takes tokens and secrets out of a text: the values of parameters such as `token=`, what follows `Bearer`,
  whatever looks like a JSON Web Token, and quoted values of names such as `token` or `jwt_secret`.

      iex> GamePlatform.Log.redact("/socket/websocket?token=abc&vsn=2.0.0")
      "/socket/websocket?token=[redacted]&vsn=2.0.0"

      iex> GamePlatform.Log.redact(~S([jwt_secret: "hush", port: 4000]))
      ~S([jwt_secret: "[redacted]", port: 4000])
  """
  @spec redact(binary) :: binary
  def redact(text) when is_binary(text) do
    text
    |> replace(~r/((?:token|secret|password|jwt)[\w.%-]{0,40}=)[^&\s"'<>#;,)}\]]++/i)
    |> replace(
      ~r/((?:token|secret|password|jwt|cookie)\w{0,40}"?\s{0,4}(?:=>|:|=|,)\s{0,4}")(?:[^"\\]++|\\.)++/is
    )
    |> replace(~r/\b(bearer\s{1,4})[\w.~+\/=-]++/i)
    |> replace(~r/\b()eyJ[\w-]{5,500}+\.[\w-]++(?:\.[\w-]*+)?/)
  end

  # No expression has the Unicode flag, so that they hold for any bytes, and none goes back over what it has
  # read: beyond a number of steps a match is given up without a word.
  defp replace(text, regex), do: Regex.replace(regex, text, "\\1[redacted]")
end
