defmodule GamePlatform.Compute.Beam.Random do
  @moduledoc false
  # Counter-based random numbers, all arithmetic modulo 2^64 or 2^16.

  import Bitwise

  @mask64 0xFFFF_FFFF_FFFF_FFFF
  @mask16 0xFFFF

  # The finaliser of SplitMix64.
  def mix64(x) do
    x = bxor(x, x >>> 30) * 0xBF58476D1CE4E5B9 &&& @mask64
    x = bxor(x, x >>> 27) * 0x94D049BB133111EB &&& @mask64
    bxor(x, x >>> 31)
  end

  # A key for the place {a, b}; `salt` says what it is used for.
  def key(seed, a, b, salt) do
    stream = mix64(seed + salt * 0x9E3779B97F4A7C15 &&& @mask64)
    place = bxor(a * 0xD1B54A32D192ED03 &&& @mask64, b * 0x9E3779B97F4A7C15 &&& @mask64)
    mix64(bxor(stream, mix64(place)))
  end

  def mix16(x) do
    x = bxor(x, x >>> 8) * 0x88B5 &&& @mask16
    x = bxor(x, x >>> 7) * 0xDB2D &&& @mask16
    bxor(x, x >>> 9)
  end

  # The four dice z0..z3, 0..15 each, of column `j` in the row with this key.
  def dice(key, j) do
    m = j >>> 1
    x = bxor(mix16(m + key &&& @mask16), key >>> 32 &&& @mask16)
    y = bxor(mix16(m + (key >>> 16) &&& @mask16), key >>> 48)
    shift = (j &&& 1) * 8
    {a, b} = {x >>> shift &&& 0xFF, y >>> shift &&& 0xFF}
    [a &&& 15, a >>> 4, b &&& 15, b >>> 4]
  end
end
