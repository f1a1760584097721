defmodule GamePlatform.LogTest do
  use ExUnit.Case, async: true

  alias GamePlatform.{JSON, Log}
  alias GamePlatform.Log.Formatter

  doctest GamePlatform.Log

  @time 1_700_000_000_123_456
  @jwt "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJwIn0.c2lnbmF0dXJlc2lnbmF0dXJl"

  defp format(message, format, meta \\ %{}, level \\ :info) do
    {Formatter, config} = Formatter.new(format, [:request_id, :world, :level])
    :ok = Formatter.check_config(config)
    Formatter.format(%{level: level, msg: message, meta: Map.put_new(meta, :time, @time)}, config)
  end

  defp json(message, meta \\ %{}, level \\ :info) do
    line = format(message, :json, meta, level)
    assert String.ends_with?(line, "}\n") and length(String.split(line, "\n")) == 2
    {:ok, entry} = JSON.decode(line)
    entry
  end

  # One that cannot be inspected.
  defp broken, do: Map.put(%{}, :__struct__, MapSet)

  # What may come from anywhere, with a part of what is to be seen of it.
  defp odd do
    deep = Enum.reduce(1..10_000, [], fn _, inner -> [inner] end)

    [
      {{:string, "plain"}, "plain"},
      {{:string, ["chars ", ?a, [?é | "x"]]}, "chars aéx"},
      {{:string, "bad \xff\xfe byte"}, "bad \uFFFD\uFFFD byte"},
      {{:string, ["bad ", <<200>>, " byte"]}, "bad \uFFFD byte"},
      {{:string, [0x1F600, <<255>>]}, "128512"},
      {{:string, [:atom | 3]}, ":atom"},
      {{:string, [0xD800]}, "55296"},
      {{:string, 42}, "42"},
      {{:string, deep}, ""},
      {{:string, "quote \" slash \\ tab \t nul \0 escape \e[31m"}, "quote \""},
      {{"~ts and ~p", ["é", {:a, "b"}]}, "é and {a,"},
      {{"~p", []}, "~p"},
      {{~c"~s", [:not_a_string, 1]}, "~s"},
      {{:report, %{a: {1, self()}}}, "#PID<"},
      {{:report, [a: broken()]}, ""},
      {{:report, :no_report}, ":no_report"},
      {:no_message, "no_message"},
      {{1, 2, 3}, "{1, 2, 3}"}
    ]
  end

  test "an entry in JSON" do
    meta = %{request_id: "r-1", world: :overworld, level: "mine", other: 1}

    assert format({:string, "hello\n"}, :json, meta, :warning) ==
             ~s({"time":"2023-11-14T22:13:20.123Z","level":"warning","message":"hello","request_id":"r-1","world":"overworld"}\n)

    assert json({:string, "a\nb"})["message"] == "a\nb"
    assert json({:string, "x"}, %{}, :warn)["level"] == "warning"
    assert %{"world" => 7} = json({:string, "x"}, %{world: 7})
    refute Map.has_key?(json({:string, "x"}, %{world: nil}), "world")
  end

  test "an entry for people" do
    line = format({:string, "first\nsecond\e[0m\n"}, :pretty, %{request_id: "a\nb", world: {1, 2}})

    assert line =~
             ~r/\A\d\d:\d\d:\d\d\.123 \[info\] request_id=a\\nb world=\{1, 2\} first\n  second\\x1B\[0m\n\z/
  end

  test "nothing makes it fail, and no input forges an entry" do
    for {message, seen} <- odd() do
      assert json(message)["message"] =~ seen
      pretty = format(message, :pretty)
      assert String.valid?(pretty)
      assert Enum.all?(tl(String.split(String.trim_trailing(pretty), "\n")), &String.starts_with?(&1, "  "))
    end

    for {value, _} <- odd(),
        value <- [value, elem({value}, 0), broken(), <<1::3>>, [1 | 2], <<255>>, fn -> 1 end] do
      assert %{"message" => "m", "world" => _} = json({:string, "m"}, %{world: value})
      assert format({:string, "m"}, :pretty, %{world: value}) =~ "world="
    end

    assert %{"time" => "20" <> _} = json({:string, "m"}, %{time: :noon})
    assert %{"message" => message} = json({:report, %{a: 1}}, %{report_cb: fn _ -> raise "no" end})
    assert message =~ "report_cb"
  end

  test "reports are written as they say" do
    assert json({:report, %{a: 1}}, %{report_cb: fn %{a: a} -> {"a is ~p", [a]} end})["message"] == "a is 1"
    assert json({:report, %{a: 1}}, %{report_cb: fn %{a: 1}, %{} -> ["one"] end})["message"] == "one"
  end

  test "what is long is cut between characters" do
    for text <- [String.duplicate("é", 1_000_000), "x" <> String.duplicate("é", 1_000_000)] do
      %{"message" => message} = json({:string, text})
      assert byte_size(message) < 17_000
      assert String.ends_with?(message, "é (truncated)")
    end
  end

  describe "redact" do
    test "takes secrets out, wherever they are" do
      for {text, expected} <- [
            {"?token=a%2Eb&x=1", "?token=[redacted]&x=1"},
            {"GET /socket?vsn=2.0.0&token=#{@jwt} HTTP/1.1",
             "GET /socket?vsn=2.0.0&token=[redacted] HTTP/1.1"},
            {"access_token=x;refresh-token=y", "access_token=[redacted];refresh-token=[redacted]"},
            {"JWT_SECRET=hush now", "JWT_SECRET=[redacted] now"},
            {"authorization: Bearer abc.def", "authorization: Bearer [redacted]"},
            {"seen #{@jwt}, twice: #{@jwt}.", "seen [redacted], twice: [redacted]."},
            {~s(%{"token" => "a\\"b", "x" => "y"}), ~s(%{"token" => "[redacted]", "x" => "y"})},
            {~s({"token":"abc"}), ~s({"token":"[redacted]"})},
            {~s({:jwt_secret, "abc"}), ~s({:jwt_secret, "[redacted]"})},
            {~s({"cookie", "a=b"}), ~s({"cookie", "[redacted]"})},
            {"\xfftoken=\xff\xfe&", "\xfftoken=[redacted]&"},
            {"tokens are fine, secrets too: eyJ", "tokens are fine, secrets too: eyJ"},
            {"", ""}
          ] do
        assert Log.redact(text) == expected
      end
    end

    test "holds for long and for hostile text" do
      long = String.duplicate("s3cr3t", 10_000)

      for text <- ["token=", "token: \"", "Bearer ", "eyJabcdef."],
          do: refute(Log.redact(text <> long) =~ "s3cr3t")

      escaped = String.duplicate("s3\\\"", 20_000)
      refute Log.redact("token: \"" <> escaped) =~ "s3"

      for piece <- ["eyJ-", "token", "bearer ", "token\" ", "a", "token=&", "eyJaaaaa."] do
        text = String.duplicate(piece, 64_000)
        {us, _} = :timer.tc(fn -> Log.redact(text) end)
        assert us < 5_000_000
      end
    end

    test "is done to every entry" do
      for format <- [:json, :pretty] do
        line =
          format({:string, "got #{@jwt}"}, format, %{world: "?token=#{@jwt}", request_id: {:token, @jwt}})

        refute line =~ "eyJ"
        assert line =~ "got [redacted]"
      end

      # Cut, but not before it was known for what it is.
      refute json({:string, String.duplicate("x", 16_300) <> " " <> @jwt})["message"] =~ "eyJ"
    end
  end

  test "install is told of options that do not fit" do
    assert {:error, {:invalid_option, %{option: :log_format}}} = Log.install(log_format: :xml)
    assert {:error, {:invalid_option, %{option: :metadata}}} = Log.install(metadata: ["request_id"])
    assert {:error, {:invalid_option, %{option: :colour}}} = Log.install(colour: true)
    assert {:error, {:invalid_option, %{option: :opts}}} = Log.install(%{})
  end

  # In another VM, because there is one console.
  test "install changes what the console prints" do
    script = """
    require Logger
    :ok = GamePlatform.Log.install(log_format: :json, metadata: [:request_id])
    Logger.info("one", request_id: "r1", other: 1)
    Logger.warning(["tw", ?o, <<255>>])
    :logger.notice("thr~s", ["ee"])
    {:ok, task} = Task.start(fn -> receive do :go -> raise "four" end end)
    Process.monitor(task)
    send(task, :go)
    receive do {:DOWN, _, _, _, _} -> :ok end
    Logger.flush()
    :ok = GamePlatform.Log.install(log_format: :pretty)
    Logger.error("five token=abc", request_id: "r5")
    Logger.flush()
    """

    paths = for path <- :code.get_path(), path = to_string(path), path =~ "_build", do: ["-pa", path]
    {output, 0} = System.cmd("elixir", List.flatten(paths) ++ ["-e", script], stderr_to_stdout: true)
    lines = output |> String.split("\n", trim: true) |> Enum.reject(&(&1 =~ "warning: "))
    {objects, pretty} = Enum.split_with(lines, &String.starts_with?(&1, "{"))

    assert [one, two, three, four] = Enum.map(objects, fn line -> line |> JSON.decode() |> elem(1) end)
    assert %{"level" => "info", "message" => "one", "request_id" => "r1", "time" => time} = one
    assert map_size(one) == 4
    assert {:ok, %DateTime{microsecond: {_, 3}}, 0} = DateTime.from_iso8601(time)
    assert DateTime.diff(DateTime.utc_now(), elem(DateTime.from_iso8601(time), 1)) in 0..60
    assert %{"level" => "warning", "message" => "two\uFFFD"} = two
    assert %{"level" => "notice", "message" => "three"} = three
    assert %{"level" => "error", "message" => "Task #PID" <> rest} = four
    assert rest =~ "(RuntimeError) four"
    assert [line] = pretty
    assert line =~ ~r/\A\d\d:\d\d:\d\d\.\d\d\d \[error\] request_id=r5 five token=\[redacted\]\z/
  end
end
