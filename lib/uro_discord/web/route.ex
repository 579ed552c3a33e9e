defmodule UroDiscord.Web.Route do
  @moduledoc false
  # Who answers under one path of `UroDiscord.Web`. It is asked twice: before the body is read, so that nobody can have us
  # read what he may not send, and with the body.

  alias UroDiscord.{Runtime, Web}

  @doc """
  May this request go on? Its head is all there is yet. `params` are the named segments of the path. What it returns goes to
  `handle/2`.
  """
  @callback open(Web.Request.t(), params :: %{atom() => String.t()}, Runtime.t()) :: {:ok, term()} | Web.Response.t()

  @doc "The answer, now that the body is there."
  @callback handle(Web.Request.t(), opened :: term()) :: Web.Response.t()
end
