defmodule GamePlatformWeb.Admin.Metrics do
  @moduledoc """
  Metrics as Prometheus reads them: text format 0.0.4.

      iex> {text, []} =
      ...>   GamePlatformWeb.Admin.Metrics.render([
      ...>     %{name: "jobs_total", type: :counter, help: "Jobs done.", samples: [{%{queue: "a"}, 3}]}
      ...>   ])
      iex> text
      ~S'''
      # HELP jobs_total Jobs done.
      # TYPE jobs_total counter
      jobs_total{queue="a"} 3
      '''

  A sample is a map of labels and a value: a number, `:infinity`, `:neg_infinity` or `:nan`. Counters are not
  negative. A `:histogram` has values `%{buckets: [{upper_bound, count}], sum: n, count: n}`, whose counts include
  those of the buckets before; the bucket `+Inf` is added. A `:summary` has `%{quantiles: [{0..1, value}]}` and may
  have `:sum` and `:count`.
  """

  alias GamePlatform.Text

  @type name :: atom | String.t()
  @type labels :: %{optional(name) => String.Chars.t()}
  @type number_value :: number | :infinity | :neg_infinity | :nan
  @type metric :: %{
          name: name,
          type: :counter | :gauge | :histogram | :summary,
          help: String.t(),
          samples: [{labels, number_value | map}]
        }
  @type rejected :: {:invalid_metric, %{metric: term, reason: String.t()}}

  @types [:counter, :gauge, :histogram, :summary]
  @reserved %{histogram: "le", summary: "quantile"}

  @doc """
  The text, and what was left out of it because Prometheus would refuse the whole for it: what is not as above,
  names that do not fit, a series given twice, a metric given again as another type.

  The samples of a metric that is given several times come together; its first help counts.
  """
  @spec render([metric]) :: {String.t(), [rejected]}
  def render(metrics) do
    {families, rejected} = Enum.reduce(metrics, {[], []}, &add/2)
    text = families |> Enum.reverse() |> Enum.map(&family/1) |> IO.iodata_to_binary()
    {text, Enum.reverse(rejected)}
  end

  defp add(metric, {families, rejected}) do
    metric = checked(metric)
    {others, same} = Enum.split_with(families, &(&1.name != metric.name))
    taken = others |> Enum.flat_map(& &1.names) |> MapSet.new()

    cond do
      metric.samples == [] -> {families, rejected}
      name = Enum.find(metric.names, &(&1 in taken)) -> throw("#{name} is the name of another metric")
      same == [] -> {[unique(metric) | families], rejected}
      hd(same).type != metric.type -> throw("it was a #{hd(same).type} before")
      true -> {replace(families, unique(joined(hd(same), metric))), rejected}
    end
  catch
    :throw, reason -> {families, [invalid(metric, reason) | rejected]}
    # An improper list, or whatever else a source may come up with.
    :error, _ -> {families, [invalid(metric, "it cannot be read") | rejected]}
  end

  defp invalid(metric, reason), do: {:invalid_metric, %{metric: shown(metric), reason: reason}}

  defp shown(%{name: name}), do: name
  defp shown(metric), do: metric

  defp joined(first, second), do: %{first | samples: first.samples ++ second.samples}
  defp replace(families, family), do: Enum.map(families, &if(&1.name == family.name, do: family, else: &1))

  defp unique(metric) do
    labels = Enum.map(metric.samples, &elem(&1, 0))
    if Enum.uniq(labels) == labels, do: metric, else: throw("a series is there twice")
  end

  defp checked(%{name: name, type: type, help: help, samples: samples})
       when is_list(samples) and is_binary(help) do
    name = text(name)
    unless name =~ ~r/\A[a-zA-Z_:][a-zA-Z0-9_:]*\z/, do: throw("the name does not fit")
    unless type in @types, do: throw("the type is none of #{Enum.join(@types, ", ")}")

    %{
      name: name,
      type: type,
      help: Text.utf8(help),
      names: names(type, name),
      samples: Enum.map(samples, &sample(&1, type))
    }
  end

  defp checked(_), do: throw("a metric has name, type, help and samples")

  defp names(:histogram, name), do: [name, name <> "_bucket", name <> "_sum", name <> "_count"]
  defp names(:summary, name), do: [name, name <> "_sum", name <> "_count"]
  defp names(_, name), do: [name]

  defp sample({labels, value}, type) when is_map(labels) do
    pairs = labels |> Enum.map(fn {name, value} -> {label(name, type), text(value)} end) |> Enum.sort()
    names = Enum.map(pairs, &elem(&1, 0))
    if Enum.uniq(names) != names, do: throw("a label is there twice")
    {pairs, value(type, value)}
  end

  defp sample(_, _), do: throw("a sample is a map of labels and a value")

  defp label(name, type) do
    name = text(name)

    if name =~ ~r/\A(?!__)[a-zA-Z_][a-zA-Z0-9_]*\z/ and name != @reserved[type],
      do: name,
      else: throw("the label #{inspect(name)} does not fit")
  end

  defp text(text) when is_binary(text), do: Text.utf8(text)
  defp text(atom) when is_atom(atom), do: Atom.to_string(atom)
  defp text(number) when is_number(number), do: to_string(number)
  defp text(_), do: throw("names and labels are strings, atoms or numbers")

  defp value(:counter, n) when is_number(n) and n < 0, do: throw("a counter is not negative")
  defp value(type, n) when type in [:counter, :gauge], do: number(n)

  defp value(:histogram, %{buckets: buckets, sum: sum, count: count})
       when is_list(buckets) and is_integer(count) do
    {buckets, last} = Enum.split_while(buckets, &(not match?({:infinity, _}, &1)))
    unless last in [[], [{:infinity, count}]], do: throw("the bucket of infinity has all and is the last")

    unless Enum.all?(buckets, &match?({bound, n} when is_number(bound) and is_integer(n), &1)) and
             ordered?(Enum.map(buckets, &elem(&1, 0)), &</2) and
             ordered?([0 | Enum.map(buckets, &elem(&1, 1))] ++ [count], &<=/2),
           do: throw("the bounds of buckets rise, and their counts do not fall")

    %{rows: Enum.map(buckets ++ [{:infinity, count}], &bound/1), sum: number(sum), count: number(count)}
  end

  defp value(:summary, %{quantiles: quantiles} = value) when is_list(quantiles) do
    unless Enum.all?(quantiles, &match?({q, _} when is_number(q) and q >= 0 and q <= 1, &1)) and
             ordered?(Enum.map(quantiles, &elem(&1, 0)), &</2),
           do: throw("quantiles rise from 0 to 1")

    %{
      rows: Enum.map(quantiles, &bound/1),
      sum: value[:sum] && number(value.sum),
      count: value[:count] && number(value.count)
    }
  end

  defp value(_, _), do: throw("the value does not fit the type")

  defp bound({bound, value}), do: {number(bound), number(value)}

  defp ordered?(numbers, before?) do
    numbers |> Enum.chunk_every(2, 1, :discard) |> Enum.all?(fn [a, b] -> before?.(a, b) end)
  end

  defp number(n) when is_integer(n), do: Integer.to_string(n)
  defp number(n) when is_float(n), do: Float.to_string(n)
  defp number(:infinity), do: "+Inf"
  defp number(:neg_infinity), do: "-Inf"
  defp number(:nan), do: "NaN"
  defp number(_), do: throw("a value is a number")

  defp family(%{name: name, type: type, help: help, samples: samples}) do
    [
      ["# HELP ", name, ?\s, escape(help, ["\\", "\n"]), ?\n],
      ["# TYPE ", name, ?\s, Atom.to_string(type), ?\n],
      Enum.map(samples, fn {labels, value} -> series(type, name, labels, value) end)
    ]
  end

  defp series(type, name, labels, %{rows: rows, sum: sum, count: count}) do
    row_name = if type == :histogram, do: name <> "_bucket", else: name

    [
      Enum.map(rows, fn {bound, value} -> row(row_name, labels ++ [{@reserved[type], bound}], value) end),
      if(sum, do: row(name <> "_sum", labels, sum), else: []),
      if(count, do: row(name <> "_count", labels, count), else: [])
    ]
  end

  defp series(_, name, labels, value), do: row(name, labels, value)

  defp row(name, [], value), do: [name, ?\s, value, ?\n]

  defp row(name, labels, value) do
    pairs = for {name, value} <- labels, do: [name, "=\"", escape(value, ["\\", "\n", "\""]), ?"]
    [name, ?{, Enum.intersperse(pairs, ?,), "} ", value, ?\n]
  end

  defp escape(text, characters) do
    String.replace(text, characters, fn
      "\n" -> "\\n"
      character -> "\\" <> character
    end)
  end
end
