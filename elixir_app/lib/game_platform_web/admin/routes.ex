defmodule GamePlatformWeb.Admin.Routes do
  @moduledoc false
  # Which path is answered by what.

  alias GamePlatform.{JSON, Text}
  alias GamePlatformWeb.Admin.{Metrics, Query, Response}

  @listing """
  GET /health    a line of JSON for each part; 200 when all are up, else 503
  GET /healthz   the same
  GET /metrics   metrics for Prometheus
  """
  @routes %{"/" => :listing, "/health" => :health, "/healthz" => :health, "/metrics" => :metrics}

  def answer(%{method: method, path: path}, options) do
    case Map.fetch(@routes, path) do
      {:ok, route} when method in ["GET", "HEAD"] ->
        route(route, options)

      {:ok, _} ->
        Response.error(405, "method_not_allowed", "this route takes GET and HEAD", [{"Allow", "GET, HEAD"}])

      :error ->
        Response.error(404, "not_found", "there are /health, /healthz and /metrics here")
    end
  end

  defp route(:listing, _), do: {200, [{"Content-Type", "text/plain; charset=utf-8"}], @listing}

  defp route(:health, options) do
    parts = for {source, answer} <- Query.run(options.parts, options), part <- parts(source, answer), do: part

    status = if Enum.all?(parts, &(&1.status == :up)), do: 200, else: 503
    {status, [{"Content-Type", "application/x-ndjson"}], Enum.map(parts, &line/1)}
  end

  defp route(:metrics, options) do
    answers = for {source, answer} <- Query.run(options.metrics, options), do: {source, list(answer)}
    metrics = Enum.flat_map(answers, fn {_, answer} -> metrics(answer) end)
    {_, rejected} = Metrics.render(metrics)
    {text, _} = Metrics.render(own(answers, length(rejected)) ++ metrics)
    {200, [{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}], text}
  end

  defp list({:ok, answer}) when is_list(answer) do
    if List.improper?(answer), do: list({:ok, nil}), else: {:ok, answer}
  end

  defp list({:ok, _}), do: {:error, "the source has not given a list"}
  defp list(error), do: error

  defp parts(source, answer) do
    case list(answer) do
      {:ok, parts} -> Enum.map(parts, &part(source, &1))
      {:error, reason} -> [%{part: source, status: :down, reason: reason}]
    end
  end

  defp part(_, %{part: part, status: status} = fields) when is_atom(status) and not is_struct(fields),
    do: %{fields | part: name(part)}

  defp part(source, other),
    do: %{part: source, status: :down, reason: "the source has not given a part", given: Text.shown(other)}

  defp name(part) when is_atom(part) or is_binary(part), do: part
  defp name(part), do: Text.shown(part)

  # What everybody looks for comes first.
  defp line(%{part: part, status: status} = fields) do
    start = [~s({"part":), JSON.encode_any(part), ~s(,"status":), JSON.encode_any(status)]

    case fields |> Map.drop([:part, :status]) |> JSON.encode_any() do
      "{}" -> [start, "}\n"]
      "{" <> rest -> [start, ?,, rest, ?\n]
    end
  end

  defp metrics({:ok, metrics}), do: metrics
  defp metrics({:error, _}), do: []

  defp own(answers, rejected) do
    up =
      for {source, answer} <- answers, do: {%{source: source}, if(match?({:ok, _}, answer), do: 1, else: 0)}

    [
      %{
        name: "game_platform_admin_source_up",
        type: :gauge,
        help: "Whether the source of metrics has answered in time.",
        samples: Enum.uniq_by(up, &elem(&1, 0))
      },
      %{
        name: "game_platform_admin_metrics_rejected",
        type: :gauge,
        help: "Metrics that were left out because they are malformed.",
        samples: [{%{}, rejected}]
      }
    ]
  end
end
