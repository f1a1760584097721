defmodule GamePlatform.Compute.Node.Batches do
  @moduledoc false
  # The actions of every tick since the state that a world whose memory is lost is made again from. When they are more
  # than fits, none are kept but those of the last tick, which a worker that takes over needs: then such a world is
  # lost, until there is a later state to begin from.

  alias GamePlatform.Compute.Worker
  alias GamePlatform.Native

  @max_bytes 64 * 1_048_576

  # The last one first. `lost` is the last tick whose batch is not kept.
  defstruct list: [], bytes: 0, lost: nil, max_bytes: @max_bytes

  def new(max_bytes \\ @max_bytes), do: %__MODULE__{max_bytes: max_bytes}

  @doc "In place of what was given for the same tick or a later one."
  def put(%{list: [{last, old} | list]} = batches, tick, batch) when last >= tick,
    do: put(%{batches | list: list, bytes: batches.bytes - byte_size(old)}, tick, batch)

  def put(batches, tick, batch) do
    bytes = batches.bytes + byte_size(batch)

    if bytes <= batches.max_bytes,
      do: %{batches | list: [{tick, batch} | batches.list], bytes: bytes},
      else: forget(batches, tick, batch)
  end

  defp forget(batches, tick, batch) do
    lost = if batches.list == [], do: batches.lost, else: batches.list |> hd() |> elem(0)
    %{batches | list: [{tick, batch}], bytes: byte_size(batch), lost: lost}
  end

  @doc "Forgets those before a tick, because a world can be made again from there."
  def since(%{list: list, lost: lost} = batches, tick) do
    list = Enum.take_while(list, fn {at, _} -> at >= tick end)
    bytes = list |> Enum.map(fn {_, batch} -> byte_size(batch) end) |> Enum.sum()
    %{batches | list: list, bytes: bytes, lost: if(lost != nil and lost >= tick, do: lost)}
  end

  @doc "The batch of a tick, if it is the last one that was given."
  def at(%{list: [{tick, batch} | _]}, tick), do: batch
  def at(_, _), do: nil

  @doc "All batches from the first tick on."
  def past(%{lost: nil, list: list}), do: {:ok, Enum.reverse(list)}
  def past(_), do: {:error, :corrupt_peer}

  @doc """
  Hands a batch to the worker `up`, which has the world open. It was asked nothing unusual, so if it refuses, it is
  confused, or its memory is.
  """
  def give(%{id: id} = state, up, tick, <<actions::16-little, _::binary>> = batch) do
    with {:ok, _} <- grow(state, up, actions),
         {:error, sentence} when is_binary(sentence) <- Worker.call(up, {:act, id, tick, batch}),
         do: {:error, :corrupt_peer}
  end

  @doc """
  Makes room for what that many actions may make, and hands it to the worker `up`: `{:ok, n}`, with the number of new
  extents. The worker makes none itself.
  """
  def grow(%{handle: handle, id: id}, up, actions) do
    with {:ok, extents} when extents > 0 <- Native.world_reserve(handle, actions),
         :ok <- Native.world_handover_extents(handle, up.ring, id, extents),
         :ok <- Worker.call(up, {:extend_world, id}) do
      {:ok, extents}
    else
      {:error, sentence} when is_binary(sentence) -> {:error, :corrupt_peer}
      answer -> answer
    end
  end
end
