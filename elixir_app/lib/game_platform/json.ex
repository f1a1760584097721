defmodule GamePlatform.JSON do
  @moduledoc """
  JSON text and terms.

  Objects become maps with string keys, `null` becomes `nil`. Atoms other than `nil`, `true` and `false`
  are written as strings. Text and terms nested deeper than 127 are refused.

      iex> GamePlatform.JSON.encode(%{"tick" => 3, "cells" => [1.5, nil]})
      {:ok, ~S({"cells":[1.5,null],"tick":3})}

      iex> GamePlatform.JSON.decode(~S({"a": [1, 2]}))
      {:ok, %{"a" => [1, 2]}}

      iex> {:error, {:invalid_json, _reason}} = GamePlatform.JSON.decode("[1,")
  """
  alias GamePlatform.Native

  # Longer texts are read on a dirty scheduler, which takes some microseconds to get.
  @short 8_192

  @doc "Reads JSON text."
  @spec decode(binary) :: {:ok, term} | {:error, {:invalid_json, String.t()}}
  def decode(text) when is_binary(text) and byte_size(text) <= @short, do: Native.json_decode(text)
  def decode(text) when is_binary(text), do: Native.json_decode_dirty(text)

  @doc "Writes a term as JSON, keys in order."
  @spec encode(term) :: {:ok, String.t()} | {:error, {:invalid_term, String.t()}}
  def encode(term) do
    with :too_large <- Native.json_encode(term), do: Native.json_encode_dirty(term)
  end

  @doc "Like `encode/1`, raising `ArgumentError`."
  @spec encode!(term) :: String.t()
  def encode!(term) do
    case encode(term) do
      {:ok, text} -> text
      {:error, {:invalid_term, reason}} -> raise ArgumentError, reason
    end
  end

  @doc """
  Writes any term as JSON on one line, without fail: for logs and reports.

  What has no JSON form is written as the text that `inspect/1` gives, a byte that is no UTF-8 as U+FFFD, and
  what is very long or deep is cut. It needs no native code.

      iex> GamePlatform.JSON.encode_any(%{status: :down, reason: {:exit, "b\\xFFd"}, load: [0.5]})
      ~S({"load":[0.5],"reason":"{:exit, <<98, 255, 100>>}","status":"down"})
  """
  @spec encode_any(term) :: String.t()
  def encode_any(term), do: __MODULE__.Any.encode(term)
end
