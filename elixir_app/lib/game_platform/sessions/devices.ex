defmodule GamePlatform.Sessions.Devices do
  @moduledoc false
  # The devices of a player: how far each has got in the mailbox, and when and how it was heard of last. No process, no
  # clock: times are given, in seconds.

  @most 8

  @type seq :: non_neg_integer
  @type device :: %{acked: seq, seen: integer, http: integer | nil, socket: {pid, reference} | nil}
  @type t :: %{optional(String.t()) => device}

  @doc "How many a player may have."
  @spec most() :: pos_integer
  def most, do: @most

  @doc """
  Notes that a device was heard of, over HTTP or by its socket. `start` is where one begins that is new. If there are
  too many then, the one that was not heard of for longest is forgotten.
  """
  @spec heard(t, String.t(), seq, integer, :http | {pid, reference}) :: t
  def heard(devices, id, start, now, via) do
    device = Map.get(devices, id, %{acked: start, seen: now, http: nil, socket: nil})
    device = if via == :http, do: %{device | http: now}, else: %{device | socket: via}
    devices |> Map.delete(id) |> make_room() |> Map.put(id, %{device | seen: now})
  end

  defp make_room(devices) when map_size(devices) < @most, do: devices

  defp make_room(devices) do
    {oldest, _} = Enum.min_by(devices, fn {_, device} -> {device.socket != nil, device.seen} end)
    Map.delete(devices, oldest)
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

  defp alive?(%{socket: socket, seen: seen}, since), do: socket != nil or seen > since

  @doc "A socket has ended: its device is heard of for the last time."
  @spec socket_down(t, reference, integer) :: t
  def socket_down(devices, monitor, now) do
    Map.new(devices, fn
      {id, %{socket: {_, ^monitor}} = device} -> {id, %{device | socket: nil, seen: now}}
      entry -> entry
    end)
  end
end
