defmodule GamePlatformWeb.Admin.Response do
  @moduledoc false
  # `{status, headers, body}`, and its bytes.

  alias GamePlatform.JSON

  @reasons %{
    200 => "OK",
    400 => "Bad Request",
    404 => "Not Found",
    405 => "Method Not Allowed",
    408 => "Request Timeout",
    411 => "Length Required",
    413 => "Content Too Large",
    414 => "URI Too Long",
    431 => "Request Header Fields Too Large",
    503 => "Service Unavailable",
    505 => "HTTP Version Not Supported"
  }

  def error(status, code, message, headers \\ []) do
    body = JSON.encode_any(%{error: %{code: code, message: message}}) <> "\n"
    retry = if code == "too_many_connections", do: [{"Retry-After", "1"}], else: []
    {status, [{"Content-Type", "application/json"} | retry ++ headers], body}
  end

  # `head: true` leaves the body out, as the answer to HEAD has it.
  def encode({status, headers, body}, opts) do
    headers =
      headers ++
        [
          {"Content-Length", Integer.to_string(IO.iodata_length(body))},
          {"Date", Calendar.strftime(DateTime.utc_now(), "%a, %d %b %Y %H:%M:%S GMT")},
          {"Cache-Control", "no-store"},
          {"X-Content-Type-Options", "nosniff"},
          {"Connection", if(opts[:close], do: "close", else: "keep-alive")}
        ]

    [
      ["HTTP/1.1 ", Integer.to_string(status), ?\s, Map.fetch!(@reasons, status), "\r\n"],
      for({name, value} <- headers, do: [name, ": ", value, "\r\n"]),
      "\r\n",
      if(opts[:head], do: [], else: body)
    ]
  end
end
