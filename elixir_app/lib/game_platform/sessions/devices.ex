defmodule GamePlatform.Sessions.Devices do
  @moduledoc false
  # The devices of a player: how far each has got in the mailbox, and when and how it was heard of last. No process, no
  # clock: times are given, in seconds.

  @most 8

  @type seq :: non_neg_integer
  @typedoc "`sockets`: the channels that live, each with the monitor by which their end is known."
  @type device :: %{acked: seq, seen: integer, http: integer | nil, sockets: %{pid => reference}}
  @type t :: %{optional(String.t()) => device}

  @doc "How many a player may have beside those with a socket that lives."
  @spec most() :: pos_integer
  def most, do: @most

  @doc """
  Notes that a device was heard of, over HTTP or by the channel of a socket, of which it may have several. `start` is
  where one begins that is new. If there are too many then without a socket, the one that was not heard of for longest is
  forgotten: first one that has only had a socket.
  """
  @spec heard(t, String.t(), seq, integer, :http | {pid, reference}) :: t
  def heard(devices, id, start, now, via) do
    device = Map.get(devices, id, %{acked: start, seen: now, http: nil, sockets: %{}})
    devices = Map.delete(devices, id)

    case via do
      {pid, monitor} ->
        Map.put(devices, id, %{device | sockets: Map.put(device.sockets, pid, monitor), seen: now})

      :http ->
        devices = if device.sockets == %{}, do: at_most(devices, @most - 1), else: devices
        Map.put(devices, id, %{device | http: now, seen: now})
    end
  end

  defp at_most(devices, most) do
    without = for {id, %{sockets: sockets} = device} when sockets == %{} <- devices, do: {id, device}

    if length(without) > most do
      {oldest, _} = Enum.min_by(without, fn {_, device} -> {device.http != nil, device.seen} end)
      Map.delete(devices, oldest)
    else
      devices
    end
  end

  @doc "A device has all up to `seq`. One that is not known has nothing to say."
  @spec acked(t, String.t(), seq) :: t
  def acked(devices, id, seq) do
    case devices do
      %{^id => %{acked: acked} = device} when seq > acked -> %{devices | id => %{device | acked: seq}}
      _ -> devices
    end
  end

  @doc """
  What all devices have that were heard of after `since`, or nil if none was. Those with a socket are heard of now.

      iex> alias GamePlatform.Sessions.Devices
      iex> devices = %{} |> Devices.heard("phone", 5, 100, :http) |> Devices.heard("desk", 9, 200, :http)
      iex> {Devices.all_have(devices, 50), Devices.all_have(devices, 150), Devices.all_have(devices, 250)}
      {5, 9, nil}
  """
  @spec all_have(t, integer) :: seq | nil
  def all_have(devices, since) do
    devices
    |> Enum.filter(fn {_, device} -> alive?(device, since) end)
    |> Enum.map(fn {_, device} -> device.acked end)
    |> Enum.min(fn -> nil end)
  end

  @spec any?(t, integer) :: boolean
  def any?(devices, since), do: Enum.any?(devices, fn {_, device} -> alive?(device, since) end)

  @doc "Whether a device was heard of over HTTP after `since`."
  @spec http?(t, integer) :: boolean
  def http?(devices, since),
    do: Enum.any?(devices, fn {_, %{http: http}} -> http != nil and http > since end)

  defp alive?(%{sockets: sockets, seen: seen}, since), do: sockets != %{} or seen > since

  @doc "A channel has ended: with the last one, its device is heard of for the last time."
  @spec socket_down(t, pid, integer) :: t
  def socket_down(devices, pid, now) do
    devices
    |> Map.new(fn
      {id, %{sockets: %{^pid => _}} = device} ->
        {id, %{device | sockets: Map.delete(device.sockets, pid), seen: now}}

      entry ->
        entry
    end)
    |> at_most(@most)
  end
end
