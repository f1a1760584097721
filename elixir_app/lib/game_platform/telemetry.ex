defmodule GamePlatform.Telemetry do
  @moduledoc """
  What the platform reports while it runs.

  If the host application has the library `:telemetry`, each event goes to `:telemetry.execute/3` and
  handlers attach as usual; without it nothing happens. `events/0` lists them all:

  * `[:game_platform, :compute, :advance, :start | :progress | :stop]`: a call of
    `GamePlatform.Compute.advance/3` began, is under way (at most once a second), ended.
  * `[:game_platform, :compute, :submit]`: actions came, of which so many were accepted and refused.
  * `[:game_platform, :world, :tick, :stop]`: a world server has done a tick.
  * `[:game_platform, :world, :publish]`: clients were told a step of the world, of so many bytes.
  * `[:game_platform, :snapshot, :stop]`: a snapshot of so many bytes is on the disk.
  * `[:game_platform, :native_node, :up | :down]`: a native program serves, after the `duration` of its start; it
    is dead, after having served for `uptime`.
  * `[:game_platform, :socket, :connect]`: a client was `:accepted` or `:refused`.
  * `[:game_platform, :channel, :join | :handle_in]`: a channel has answered a join (`what` is `:ok` or `:error`) or
    an event (`what` is its name).
  * `[:game_platform, :api, :request]`: a request over HTTP was answered; `route` is as in the OpenAPI description.

  Durations are in native time units (`System.convert_time_unit/3`).
  """

  @events [
    {[:compute, :advance, :start], [:monotonic_time], [:backend, :frequency, :target, :tick]},
    {[:compute, :advance, :progress], [:duration], [:backend, :frequency, :target, :tick]},
    {[:compute, :advance, :stop], [:duration], [:backend, :frequency, :target, :tick]},
    {[:compute, :submit], [:accepted, :refused], [:backend, :frequency]},
    {[:world, :tick, :stop], [:duration, :missed], [:backend, :frequency, :server, :tick]},
    {[:world, :publish], [:bytes, :duration], [:tick, :topic]},
    {[:snapshot, :stop], [:bytes, :duration], [:tick, :world]},
    {[:native_node, :up], [:duration], [:generation, :os_pid, :program]},
    {[:native_node, :down], [:uptime], [:generation, :os_pid, :program, :reason]},
    {[:socket, :connect], [:count], [:handler, :result, :transport]},
    {[:channel, :join], [:duration], [:channel, :topic, :what]},
    {[:channel, :handle_in], [:duration], [:channel, :topic, :what]},
    {[:api, :request], [:duration], [:method, :route, :status]}
  ]

  @doc "Each event with the keys of its measurements and of its metadata."
  @spec events() :: [%{event: [atom], measurements: [atom], metadata: [atom]}]
  def events do
    for {event, measurements, metadata} <- @events do
      %{event: [:game_platform | event], measurements: measurements, metadata: metadata}
    end
  end

  @doc false
  # Loads the library if the host has it; done once by whoever will report.
  def prepare, do: Code.ensure_loaded(:telemetry)

  @doc false
  def execute(event, measurements, metadata) do
    if function_exported?(:telemetry, :execute, 3) do
      apply(:telemetry, :execute, [[:game_platform | event], measurements, metadata])
    end

    :ok
  end
end
