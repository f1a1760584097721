defmodule GamePlatformWeb.WorldChannel.Area do
  @moduledoc false
  # What of a world a client is told of: `:all`, or chunks around a cell.

  alias GamePlatform.Compute

  # A whole world is told of up to so many cells, which are two megabytes of keyframe.
  @most_cells 700_000
  # Where one who only watches begins in a larger one.
  @home 0
  @radius 48
  @most_radius 256

  def first(%{cells: cells}, _) when cells <= @most_cells, do: :all

  def first(world, home) do
    {:ok, chunks} = Compute.chunks_around(world.frequency, home || @home, @radius)
    chunks
  end

  # What a client asks for; `{:error, field, sentence}` if that cannot be.
  def parse(%{"all" => true}, %{cells: cells}) when cells <= @most_cells, do: {:ok, :all}

  def parse(%{"all" => true}, world),
    do: {:error, "all", "this world has #{world.cells} cells: at most #{@most_cells} are told of at once"}

  # Chunks are counted cell by cell.
  def parse(%{"radius" => radius}, _) when not (is_integer(radius) and radius in 0..@most_radius),
    do: {:error, "radius", "expected an integer in 0..#{@most_radius}"}

  def parse(%{"cell" => cell} = payload, world) do
    with {:error, {_, %{option: field, expected: expected}}} <-
           Compute.chunks_around(world.frequency, cell, Map.get(payload, "radius", @radius)),
         do: {:error, Atom.to_string(field), "expected #{expected}"}
  end

  def parse(_, _), do: {:error, "cell", "give all: true, or a cell and a radius"}
end
