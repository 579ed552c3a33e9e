defmodule UroDiscord.Web.Mount do
  @moduledoc false
  # Where a host has put `UroDiscord.Plug`, by the one rule that `UroDiscord.BodyReader` follows too.

  @doc """
  What follows `at` in the path as it came. That is `request_path`: the others, `script_name` and `path_info`, are what an endpoint and
  routers make of it.
  """
  @spec under(struct(), [String.t()]) :: {:ok, [String.t()]} | :error
  def under(conn, at) do
    case conn.request_path |> segments() |> Enum.split(length(at)) do
      {^at, path} -> {:ok, path}
      _other -> :error
    end
  end

  @spec segments(String.t()) :: [String.t()]
  def segments(path), do: String.split(path, "/", trim: true)
end
