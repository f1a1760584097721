defmodule GamePlatform.CurlTest do
  # What the README shows at a shell, typed at a shell. WRITE_CURL=1 puts into the README what is printed.
  use ExUnit.Case, async: true

  alias GamePlatform.Console

  @moduletag :tmp_dir
  @moduletag :capture_log

  # What is another number or name each time.
  @numbers ~r/"(expires_at|tick|seq|next|amount|progress)":\d+/
  @secrets ~r/"(session_id|token)":"[^"]*/

  test "the README's session by curl", %{tmp_dir: dir} do
    assert System.find_executable("curl"), "curl is missing: run scripts/setup --tests, or install it"
    # As `make run` starts it.
    start_supervised!({GamePlatform, name: __MODULE__.Game, data_dir: dir, edge: [port: 0]})
    {:ok, port} = GamePlatform.port(__MODULE__.Game)
    session = Console.session("README.md", "### By curl")
    assert length(session) > 8

    commands = for {command, _} <- session, do: String.replace(command, "localhost:4000", "localhost:#{port}")
    printed = Console.run(commands)
    if System.get_env("WRITE_CURL"), do: write(session, printed)

    for {{command, wanted}, found} <- Enum.zip(session, printed),
        do: assert(stable(found) == stable(wanted), "#{command}\nprints\n#{found}")
  end

  defp stable(text) do
    text = Regex.replace(@numbers, text, ~S("\1":0))
    Regex.replace(@secrets, text, ~S("\1":"))
  end

  defp write(session, printed) do
    text =
      session
      |> Enum.zip(printed)
      |> Enum.reduce(File.read!("README.md"), fn {{command, wanted}, found}, text ->
        typed = "$ " <> String.replace(command, "\n", "\n> ")
        before = if wanted == "", do: typed, else: typed <> "\n" <> wanted

        String.replace(
          text,
          before <> "\n",
          Enum.join([typed | List.wrap(if(found != "", do: found))], "\n") <> "\n"
        )
      end)

    File.write!("README.md", text)
  end
end
