defmodule GamePlatform.Native do
  @moduledoc false
  # Every NIF stub. The prefix of a name is the Rust file it lives in (`native/nif/src`). Only the room
  # `compute`, `GamePlatform.JSON` and the data directory of the room `persistence` call these.

  @on_load :load

  @doc false
  def load do
    path = :game_platform |> Application.app_dir("priv/native/gp_nif") |> String.to_charlist()

    case :erlang.load_nif(path, 0) do
      :ok ->
        :persistent_term.erase({__MODULE__, :load_error})

      {:error, {_reason, text}} ->
        # The module stays loaded, so that callers get an error that says what to do.
        :persistent_term.put({__MODULE__, :load_error}, List.to_string(text))
    end

    :ok
  end

  @doc false
  # `:ok`, or why the native library is not there.
  def status do
    case :persistent_term.get({__MODULE__, :load_error}, nil) do
      nil ->
        :ok

      text ->
        {:error,
         {:native_not_loaded, %{reason: text, hint: "run `mix compile --force` and start the VM again"}}}
    end
  end

  def field_area(_frequency, _cell, _radius), do: nif()
  def field_keyframe(_frequency, _tick, _kinds, _amounts, _chunks), do: nif()
  def field_patch(_kinds, _amounts, _message), do: nif()
  def field_split(_diff, _chunks), do: nif()

  def hash_blake3(_data), do: nif()

  def json_decode(_text), do: nif()
  def json_decode_dirty(_text), do: nif()
  def json_encode(_term), do: nif()
  def json_encode_dirty(_term), do: nif()

  def lock_release(_lock), do: nif()
  def lock_take(_path), do: nif()

  def native_info, do: nif()
  def native_nothing, do: nif()
  def native_nothing_dirty, do: nif()

  def picture_png(_frequency, _kinds, _amounts, _view), do: nif()

  def ring_abort(_ring, _reason), do: nif()
  def ring_call(_ring, _ref, _op, _words, _within_ns), do: nif()
  def ring_cancel(_ring, _ref), do: nif()
  def ring_echo(_ring, _ref, _data), do: nif()
  def ring_handover(_ring, _fd), do: nif()
  def ring_info(_ring), do: nif()
  def ring_new(_owner), do: nif()
  def ring_ping(_ring, _ref), do: nif()
  def ring_progress(_ring), do: nif()

  def ruleset_parse(_text), do: nif()

  def snapshot_compare(_a, _b), do: nif()
  def snapshot_encode(_capture, _ruleset), do: nif()
  def snapshot_info(_snapshot), do: nif()

  def snapshot_pack(_frequency, _seed, _tick, _ruleset, _digest, _kinds, _amounts, _objects), do: nif()

  def snapshot_unpack(_snapshot), do: nif()

  def world_act(_world, _tick, _batch), do: nif()
  def world_advance(_world, _target, _slice_us), do: nif()
  def world_bytes(_frequency), do: nif()
  def world_capture(_world, _pid, _ref), do: nif()
  def world_cells(_world, _ids), do: nif()
  def world_cells_many(_world, _ids), do: nif()
  def world_check(_world), do: nif()
  def world_close(_world), do: nif()
  def world_diff(_world, _since), do: nif()
  def world_digest(_world), do: nif()
  def world_fence(_world), do: nif()
  def world_fill(_world, _kinds, _amounts), do: nif()
  def world_generate(_world, _slice_us), do: nif()
  def world_handover(_world, _ring, _id), do: nif()
  def world_handover_extents(_world, _ring, _id, _count), do: nif()
  def world_new(_frequency, _seed, _ruleset, _threads, _shared), do: nif()
  def world_outcomes(_world, _since), do: nif()
  def world_planes(_world), do: nif()
  def world_players(_world), do: nif()
  def world_replace(_world, _other), do: nif()
  def world_reserve(_world, _actions), do: nif()
  def world_restore(_world, _snapshot), do: nif()
  def world_sites(_world, _ids), do: nif()
  def world_sites_many(_world, _ids), do: nif()
  def world_tick(_world), do: nif()

  defp nif, do: :erlang.nif_error(:nif_not_loaded)
end
