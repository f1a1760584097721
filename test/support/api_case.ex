defmodule GamePlatform.APICase do
  @moduledoc "Tests that send requests to an instance of their own, with the options of `@tag game: […]`."

  use ExUnit.CaseTemplate

  using do
    quote do
      import ExUnit.CaptureLog, only: [with_log: 1]
      import GamePlatform.{APIClient, Eventually}

      @moduletag :capture_log
    end
  end

  setup context do
    game = Module.concat(context.module, "Game#{context.line}")
    opts = [name: game, frequency: 16, ups: 100, backend: :nif]
    start_supervised!({GamePlatform, Keyword.merge(opts, context[:game] || [])})
    %{game: game}
  end
end
