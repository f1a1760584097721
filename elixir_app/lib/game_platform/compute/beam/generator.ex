defmodule GamePlatform.Compute.Beam.Generator do
  @moduledoc false
  # The first state of a world: value noise in integers.

  import Bitwise
  alias GamePlatform.Compute.Beam.{Random, Topology}

  # Icosahedron vertices in 1/65536 of the radius; 65536 is the centre.
  @north {65536, 65536, 131_072}
  @south {65536, 65536, 0}
  @upper {{124_153, 65536, 94845}, {83650, 121_284, 94845}, {18114, 99990, 94845}, {18114, 31082, 94845},
          {83650, 9788, 94845}}
  @lower {{112_958, 99990, 36227}, {47422, 121_284, 36227}, {6919, 65536, 36227}, {47422, 9788, 36227},
          {112_958, 31082, 36227}}

  # The cells of a row as [{id, {kind, amount}}]. `lattice` remembers noise from row to row; it begins empty.
  def row(%{"gen" => nil}, _seed, f, row, lattice) do
    {for(id <- Topology.row_cells(f, row), do: {id, {0, 0}}), lattice}
  end

  def row(ruleset, seed, f, row, lattice) do
    Enum.map_reduce(Topology.row_cells(f, row), lattice, fn id, lattice ->
      {cell, lattice} = cell(ruleset, seed, position(f, Topology.place(f, id)), lattice)
      {{id, cell}, lattice}
    end)
  end

  # In 1/256 of (roughly) a cell.
  def position(f, :north_pole), do: scale(@north, f)
  def position(f, :south_pole), do: scale(@south, f)

  def position(f, {d, i, j}) do
    {o, p, q, r} = corners(d)

    {weights, corners} =
      if i + j <= f, do: {[f - i - j, i, j], [o, p, q]}, else: {[i + j - f, f - j, f - i], [r, p, q]}

    for axis <- 0..2 do
      sum = Enum.zip(weights, corners) |> Enum.map(fn {w, v} -> w * elem(v, axis) end) |> Enum.sum()
      sum >>> 8
    end
  end

  defp scale(vertex, f), do: for(v <- Tuple.to_list(vertex), do: (v * f) >>> 8)

  defp corners(d) do
    {k, next} = {rem(d, 5), rem(d + 1, 5)}

    if d < 5 do
      {@north, elem(@upper, k), elem(@upper, next), elem(@lower, k)}
    else
      {elem(@upper, next), elem(@lower, k), elem(@lower, next), @south}
    end
  end

  defp cell(%{"gen" => gen, "kinds" => kinds}, seed, p, lattice) do
    cap = fn kind -> Enum.at(kinds, kind)["cap"] end
    {e, lattice} = noise(seed, 1, p, 14, 5, lattice)

    if e < gen["sea"] do
      {{1, clamp((gen["sea"] - e) >>> 4, 1, cap.(1))}, lattice}
    else
      {v, lattice} = noise(seed, 2, p, 12, 3, lattice)
      {m, lattice} = noise(seed, 3, p, 12, 3, lattice)
      {c, lattice} = noise(seed, 4, p, 12, 3, lattice)
      h = (e - gen["sea"]) >>> 4

      cell =
        cond do
          abs(v - 32768) < gen["vein"] and m > gen["ore"] -> {4, min(gen["ore_amount"] + (h <<< 2), cap.(4))}
          e < gen["sea"] + gen["shore"] and m > gen["moss"] -> shore(m, gen["thicket"], cap.(3))
          c > gen["crystal"] -> {5, 1 + rem(v, 32)}
          c < gen["ember"] -> {6, 20}
          m > gen["peat"] -> {7, 100}
          true -> {0, rem(v >>> 3, 16)}
        end

      {cell, lattice}
    end
  end

  defp shore(m, thicket, cap) when m > thicket, do: {3, min(64 + ((m - thicket) >>> 6), cap)}
  defp shore(_, _, _), do: {2, 8}

  defp clamp(x, low, high), do: x |> max(low) |> min(high)

  # Octaves from coarse to fine, each half as strong as the one before; 0..65535.
  defp noise(seed, salt, p, top, n, lattice) do
    {sum, lattice} =
      Enum.reduce(0..(n - 1), {0, lattice}, fn o, {sum, lattice} ->
        {value, lattice} = octave({seed, salt, o}, p, top - o, lattice)
        {sum + (value <<< (n - 1 - o)), lattice}
      end)

    {div(sum, (1 <<< n) - 1), lattice}
  end

  defp octave(stream, p, shift, lattice) do
    cube = for x <- p, do: x >>> shift

    [u, v, w] =
      for x <- p do
        within = rem(x, 1 <<< shift)
        t = (within * 4096) >>> shift
        (t * t * (12288 - 2 * t)) >>> 24
      end

    {c, lattice} = corner_values(stream, cube, lattice)
    y0 = lerp(lerp(elem(c, 0), elem(c, 1), u), lerp(elem(c, 2), elem(c, 3), u), v)
    y1 = lerp(lerp(elem(c, 4), elem(c, 5), u), lerp(elem(c, 6), elem(c, 7), u), v)
    {lerp(y0, y1, w), lattice}
  end

  defp lerp(a, b, u), do: a + (((b - a) * u) >>> 12)

  # The eight lattice values of a cube, x fastest; remembered, because many cells share a cube.
  defp corner_values({seed, salt, o} = stream, [x, y, z] = cube, lattice) do
    case lattice do
      %{{^stream, ^cube} => corners} ->
        {corners, lattice}

      _ ->
        s = Random.key(seed, salt, o, 2)

        corners =
          for dz <- 0..1, dy <- 0..1, dx <- 0..1 do
            at = bxor(bxor(x + dx, (y + dy) <<< 21), (z + dz) <<< 42)
            Random.mix64(bxor(s, at)) >>> 48
          end

        corners = List.to_tuple(corners)
        {corners, Map.put(lattice, {stream, cube}, corners)}
    end
  end
end
