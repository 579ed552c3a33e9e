defmodule UroDiscord.BodyReader do
  @moduledoc """
  A body reader for `Plug.Parsers` that keeps the body of requests to UroDiscord as it came, for their signatures. For who
  cannot have `UroDiscord.Plug` above the parsers:

      plug Plug.Parsers,
        parsers: [:urlencoded, :multipart, :json],
        body_reader: {UroDiscord.BodyReader, :read_body, ["/discord"]},
        json_decoder: Phoenix.json_library()

  The last argument is the path that UroDiscord is at, as `UroDiscord.Plug` has it: the path as this application gets it. It is `/discord` if
  there is none.
  """

  @compile {:no_warn_undefined, [Plug.Conn]}

  alias UroDiscord.Web.Mount

  @key :uro_discord_body

  @doc "As `Plug.Conn.read_body/2`, with a copy kept where the path is UroDiscord's."
  @spec read_body(struct(), keyword(), String.t()) :: {:ok | :more, binary(), struct()} | {:error, term()}
  def read_body(conn, options, at \\ "/discord") do
    case Plug.Conn.read_body(conn, options) do
      {status, part, conn} when status in [:ok, :more] ->
        {status, part, keep(conn, part, Mount.segments(at))}

      error ->
        error
    end
  end

  @doc false
  @spec read(struct()) :: binary() | nil
  def read(conn) do
    with parts when is_list(parts) <- conn.private[@key], do: IO.iodata_to_binary(parts)
  end

  defp keep(conn, part, at) do
    case Mount.under(conn, at) do
      {:ok, _path} -> Plug.Conn.put_private(conn, @key, [conn.private[@key] || [], part])
      :error -> conn
    end
  end
end
