defmodule GamePlatform.Compute.Beam.Random do
  @moduledoc false
  # Counter-based random numbers, all arithmetic modulo 2^64 or 2^16.

  import Bitwise

  # The finaliser of SplitMix64.
  def mix64(x) do
    x = low64(bxor(x, x >>> 30) * 0xBF58476D1CE4E5B9)
    x = low64(bxor(x, x >>> 27) * 0x94D049BB133111EB)
    bxor(x, x >>> 31)
  end

  # A key for the place {a, b}; `salt` says what it is used for.
  def key(seed, a, b, salt) do
    stream = mix64(low64(seed + salt * 0x9E3779B97F4A7C15))
    place = bxor(low64(a * 0xD1B54A32D192ED03), low64(b * 0x9E3779B97F4A7C15))
    mix64(bxor(stream, mix64(place)))
  end

  def mix16(x) do
    x = low16(bxor(x, x >>> 8) * 0x88B5)
    x = low16(bxor(x, x >>> 7) * 0xDB2D)
    bxor(x, x >>> 9)
  end

  # The four dice z0..z3, 0..15 each, of column `j` in the row with this key.
  def dice(key, j) do
    m = j >>> 1
    x = bxor(mix16(low16(m + key)), low16(key >>> 32))
    y = bxor(mix16(low16(m + (key >>> 16))), low16(key >>> 48))
    # An even column has the low bytes, an odd one the high bytes.
    [a, b] = if rem(j, 2) == 0, do: [rem(x, 256), rem(y, 256)], else: [div(x, 256), div(y, 256)]
    [rem(a, 16), div(a, 16), rem(b, 16), div(b, 16)]
  end

  defp low64(x), do: x &&& 0xFFFF_FFFF_FFFF_FFFF
  defp low16(x), do: x &&& 0xFFFF
end
