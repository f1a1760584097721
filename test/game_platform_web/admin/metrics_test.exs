defmodule GamePlatformWeb.Admin.MetricsTest do
  use ExUnit.Case, async: true

  alias GamePlatformWeb.Admin.{Metrics, Sources}

  doctest Metrics
  doctest Sources

  defp metric(fields \\ %{}) do
    Map.merge(%{name: "m", type: :gauge, help: "M.", samples: [{%{}, 1}]}, Map.new(fields))
  end

  defp render!(metrics) do
    assert {text, []} = Metrics.render(metrics)
    text
  end

  # A reader by the rules of the format: series with their values, after their HELP and TYPE.
  defp read!(text) do
    assert text == "" or String.ends_with?(text, "\n")

    {series, _} =
      text
      |> String.split("\n", trim: true)
      |> Enum.reduce({%{}, %{help: MapSet.new(), types: %{}, now: nil}}, fn line, {series, seen} ->
        case line do
          "# HELP " <> rest ->
            [name | _] = String.split(rest, " ", parts: 2)
            refute name in seen.help
            {series, %{seen | help: MapSet.put(seen.help, name)}}

          "# TYPE " <> rest ->
            [name, type] = String.split(rest, " ")
            assert type in ~w(counter gauge histogram summary)
            refute Map.has_key?(seen.types, name)
            {series, %{seen | types: Map.put(seen.types, name, type), now: name}}

          _ ->
            value = ~S{[+-]?(?:[0-9.]+(?:e[+-]?[0-9]+)?|Inf|NaN)}
            label = ~S{[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\["\\n])*"}

            assert [_, name, labels, value] =
                     Regex.run(
                       ~r/\A([a-zA-Z_:][a-zA-Z0-9_:]*)(\{#{label}(?:,#{label})*\})? (#{value})\z/,
                       line
                     )

            suffixes = %{"histogram" => ~w(_bucket _sum _count), "summary" => ["", "_sum", "_count"]}
            assert name in Enum.map(Map.get(suffixes, seen.types[seen.now], [""]), &(seen.now <> &1))
            refute Map.has_key?(series, name <> labels)
            {Map.put(series, name <> labels, value), seen}
        end
      end)

    series
  end

  test "each type" do
    text =
      render!([
        metric(name: :c_total, type: :counter, samples: [{%{}, 0}, {%{a: 1}, 2.5}]),
        metric(name: "g", samples: [{%{}, -1}, {%{"x" => :y, b: "z"}, 1.0e-7}]),
        metric(name: "n", samples: [{%{l: 1}, :infinity}, {%{l: 2}, :neg_infinity}, {%{l: 3}, :nan}]),
        metric(
          name: "h",
          type: :histogram,
          samples: [{%{a: "b"}, %{buckets: [{0.1, 1}, {1, 1}, {2.5, 4}], sum: 5.5, count: 6}}]
        ),
        metric(
          name: "s",
          type: :summary,
          samples: [{%{}, %{quantiles: [{0.5, 1}, {0.99, 2.5}], sum: 9, count: 4}}]
        ),
        metric(name: "t", type: :summary, samples: [{%{}, %{quantiles: [{0, 1}]}}]),
        metric(name: "none", samples: [])
      ])

    assert text == """
           # HELP c_total M.
           # TYPE c_total counter
           c_total 0
           c_total{a="1"} 2.5
           # HELP g M.
           # TYPE g gauge
           g -1
           g{b="z",x="y"} 1.0e-7
           # HELP n M.
           # TYPE n gauge
           n{l="1"} +Inf
           n{l="2"} -Inf
           n{l="3"} NaN
           # HELP h M.
           # TYPE h histogram
           h_bucket{a="b",le="0.1"} 1
           h_bucket{a="b",le="1"} 1
           h_bucket{a="b",le="2.5"} 4
           h_bucket{a="b",le="+Inf"} 6
           h_sum{a="b"} 5.5
           h_count{a="b"} 6
           # HELP s M.
           # TYPE s summary
           s{quantile="0.5"} 1
           s{quantile="0.99"} 2.5
           s_sum 9
           s_count 4
           # HELP t M.
           # TYPE t summary
           t{quantile="0"} 1
           """

    assert map_size(read!(text)) == 18
  end

  test "what is in help and labels is escaped" do
    text = render!([metric(help: "a\\b\n\"c\" é\xff", samples: [{%{l: "a\\b\n\"c\" é\xff{},="}, 1}])])

    assert text ==
             ~S(# HELP m a\\b\n"c" é) <>
               "\uFFFD\n# TYPE m gauge\n" <> ~S(m{l="a\\b\n\"c\" é) <> "\uFFFD" <> ~S({},="} 1) <> "\n"

    assert map_size(read!(text)) == 1
  end

  test "a metric given several times is told of once" do
    [a, b] = [metric(samples: [{%{l: 1}, 1}]), metric(help: "Other.", samples: [{%{l: 2}, 2}])]

    assert render!([a, metric(name: "n"), b]) |> String.split("\n") |> Enum.count(&(&1 =~ ~r/^# HELP m M\.$/)) ==
             1

    assert read!(render!([a, b])) == %{~S(m{l="1"}) => "1", ~S(m{l="2"}) => "2"}
  end

  test "what Prometheus would refuse is left out, and the rest is not" do
    histogram = &metric(name: "h", type: :histogram, samples: [{%{}, Map.merge(%{sum: 1, count: 3}, &1)}])

    for bad <- [
          nil,
          %{},
          metric(name: "1m"),
          metric(name: "a-b"),
          metric(name: ""),
          metric(name: "é"),
          metric(name: "m\n"),
          metric(name: {1}),
          metric(type: :untyped),
          metric(help: nil),
          metric(samples: %{}),
          metric(samples: [1]),
          metric(samples: [{%{}, 1} | 2]),
          metric(samples: [{%{}, "1"}]),
          metric(samples: [{%{}, nil}]),
          metric(samples: [{%{}, %{}}]),
          metric(samples: [{%{"a-b" => 1}, 1}]),
          metric(samples: [{%{"__a" => 1}, 1}]),
          metric(samples: [{%{"" => 1}, 1}]),
          metric(samples: [{%{a: {1}}, 1}]),
          metric(samples: [{%{:a => 1, "a" => 2}, 1}]),
          metric(samples: [{%{a: 1}, 1}, {%{a: "1"}, 2}]),
          metric(type: :counter, samples: [{%{}, -1}]),
          metric(type: :summary, samples: [{%{quantile: 1}, %{quantiles: []}}]),
          metric(type: :summary, samples: [{%{}, %{quantiles: [{2, 1}]}}]),
          metric(type: :summary, samples: [{%{}, %{quantiles: [{0.5, 1}, {0.5, 1}]}}]),
          metric(type: :histogram, samples: [{%{le: 1}, %{buckets: [], sum: 0, count: 0}}]),
          histogram.(%{buckets: [{1, 2}, {2, 1}]}),
          histogram.(%{buckets: [{2, 1}, {1, 2}]}),
          histogram.(%{buckets: [{1, 4}]}),
          histogram.(%{buckets: [{:infinity, 4}]}),
          histogram.(%{buckets: [{:infinity, 3}, {9, 3}]}),
          histogram.(%{})
        ] do
      {text, rejected} = Metrics.render([metric(name: "before"), bad, metric(name: "after")])
      assert [{:invalid_metric, %{metric: _, reason: reason}}] = rejected
      assert is_binary(reason)
      assert read!(text) == %{"before" => "1", "after" => "1"}
    end

    assert {_, []} = Metrics.render([histogram.(%{buckets: [{1, 0}, {2, 3}, {:infinity, 3}]})])

    for {first, second} <- [
          {metric(), metric()},
          {metric(), metric(type: :counter, samples: [{%{a: 1}, 1}])},
          {histogram.(%{buckets: []}), metric(name: "h_sum")},
          {metric(name: "h_bucket"), histogram.(%{buckets: []})}
        ] do
      {text, [{:invalid_metric, _}]} = Metrics.render([first, second])
      assert text == render!([first])
    end
  end

  test "what the platform tells fits, and follows the conventions of names" do
    game = :"Elixir.MetricsGame#{System.unique_integer([:positive])}"
    start_supervised!({GamePlatform, name: game, frequency: 4, ups: 100})

    edge = %{connections: 3, accepted: 9, refused: %{origin: 1, vsn: 0}, closed: %{:client => 2, 1006 => 1}}
    metrics = Sources.world(game) ++ Sources.workers() ++ Sources.vm() ++ Sources.edge(edge)
    series = read!(render!(metrics))

    for metric <- metrics do
      assert String.starts_with?(metric.name, "game_platform_")
      assert String.ends_with?(metric.name, "_total") == (metric.type == :counter)
      assert metric.help =~ ~r/\A[A-Z].*\.\z/
    end

    assert %{
             "game_platform_vm_memory_bytes{kind=\"ets\"}" => _,
             "game_platform_vm_uptime_seconds" => uptime,
             "game_platform_edge_connections" => "3",
             "game_platform_edge_accepted_total" => "9",
             "game_platform_edge_refused_total{reason=\"vsn\"}" => "0",
             "game_platform_edge_closed_total{reason=\"1006\"}" => "1"
           } = series

    assert String.to_float(uptime) > 0
    label = ~s({name="#{inspect(game)}"})
    assert series["game_platform_world_cells" <> label] == "162"
    assert series["game_platform_world_target_updates_per_second" <> label] == "100"

    bytes = for {"game_platform_vm_memory_bytes" <> _, value} <- series, do: String.to_integer(value)
    assert length(bytes) == 6 and Enum.all?(bytes, &(&1 > 0))

    for down <- [nil, {:error, :noproc}] do
      assert read!(render!(Sources.edge(down))) == %{"game_platform_edge_up" => "0"}
    end
  end
end
