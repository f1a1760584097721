defmodule GamePlatformWeb.Admin.Visitors do
  @moduledoc false
  # Health and metrics of sessions, of what they are told, and of requests over HTTP.

  alias GamePlatform.{Mail, Sessions}
  alias GamePlatformWeb.Admin.{Metrics, Sources}

  @mail_gauges [
    last: "Number of the newest message.",
    messages: "Messages that are kept.",
    bytes: "Their bytes.",
    boxes: "Mailboxes that are not empty.",
    waiting: "Messages that are not durable yet.",
    attached: "Clients that wait for messages."
  ]

  @doc "The parts `sessions` and `mail`."
  @spec parts(atom) :: [Sources.part()]
  def parts(game) do
    sessions =
      case Sessions.info(game) do
        %{sessions: sessions, devices: devices} -> %{status: :up, sessions: sessions, devices: devices}
        {:error, reason} -> %{status: :down, reason: reason}
      end

    mail =
      case Mail.info(game) do
        nil -> %{status: :down}
        %{status: :ok} = info -> Map.put(info, :status, :up)
        info -> info
      end

    [Map.put(sessions, :part, "sessions"), Map.put(mail, :part, "mail")]
  end

  @doc "Their metrics, as far as they are there."
  @spec metrics(atom) :: [Metrics.metric()]
  def metrics(game) do
    sessions =
      case Sessions.info(game) do
        {:error, _} -> []
        info -> sessions(info)
      end

    case Mail.info(game) do
      nil -> [gauge("mail_up", "Whether messages are told.", [{%{}, 0}]) | sessions]
      info -> mail(info) ++ sessions
    end
  end

  defp sessions(info) do
    answered = for {{route, status}, n} <- Enum.sort(info.answered), do: {%{route: route, status: status}, n}

    refused = for {code, n} <- Enum.sort(info.refused), do: {%{reason: code}, n}

    [
      gauge("sessions", "Players that were heard of lately.", [{%{}, info.sessions}]),
      gauge("session_devices", "Devices that were heard of lately.", [{%{}, info.devices}]),
      counter("api_requests", "Requests that were answered, by route and status.", answered),
      counter("api_refused", "Requests that were refused, by reason.", refused)
    ]
  end

  defp mail(info) do
    [
      gauge("mail_up", "Whether messages are told.", [{%{}, if(info.status == :ok, do: 1, else: 0)}]),
      counter("mail_dropped", "Messages that were removed because there were too many.", [
        {%{}, Map.get(info, :dropped, 0)}
      ])
    ] ++ for {key, help} <- @mail_gauges, n = info[key], do: gauge("mail_#{key}", help, [{%{}, n}])
  end

  defp gauge(name, help, samples), do: metric(name, :gauge, help, samples)
  defp counter(name, help, samples), do: metric(name <> "_total", :counter, help, samples)

  defp metric(name, type, help, samples),
    do: %{name: "game_platform_" <> name, type: type, help: help, samples: samples}
end
