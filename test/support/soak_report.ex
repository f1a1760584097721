defmodule GamePlatform.SoakReport do
  @moduledoc "What the soak runs of one `make soak` came to, in `docs/soak.md`."

  @report "docs/soak.md"

  @doc "To be called in `setup_all`: when the tests of the module are over, the report is written."
  def begin do
    # Not linked: it outlives the tests.
    case Agent.start(fn -> %{notes: %{}, started: System.monotonic_time(:second)} end, name: __MODULE__) do
      {:ok, _} -> :ok
      {:error, {:already_started, _}} -> :ok
    end

    ExUnit.Callbacks.on_exit(&write/0)
  end

  @doc "Says what a test came to; later ones of the same key replace it."
  def note(key, text), do: Agent.update(__MODULE__, &put_in(&1.notes[key], text))

  defp write do
    %{notes: notes, started: started} = Agent.get(__MODULE__, & &1)
    lines = for {_, text} <- Enum.sort(notes), do: "- #{text}\n"

    File.write!(@report, """
    # Soak

    What `make soak` last did (`test/soak`). Each world is compared with an undisturbed one of `backend: :nif`.

    #{lines}
    #{Date.utc_today()}, #{System.monotonic_time(:second) - started} s, #{machine()}
    """)
  end

  defp machine do
    text = File.read!("/proc/cpuinfo")

    model =
      case Regex.run(~r/model name\s*: (.*)/, text) do
        [_, name] -> name
        nil -> :erlang.system_info(:system_architecture)
      end

    "#{System.schedulers_online()} cores (#{model}), OTP #{System.otp_release()}, Elixir #{System.version()}"
  end
end
