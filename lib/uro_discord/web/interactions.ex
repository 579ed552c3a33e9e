defmodule UroDiscord.Web.Interactions do
  @moduledoc false
  # POST /interactions: Discord's interactions endpoint. Whatever is wrong with a signature is answered with 401.

  @behaviour UroDiscord.Web.Route

  alias UroDiscord.{Interaction, JSON}
  alias UroDiscord.Interactions.{Dispatcher, ReplayGuard}
  alias UroDiscord.Web.{Response, Signed}

  @ping 1
  # Discord has given up by then.
  @answer_ms 2_900

  @impl true
  def open(_request, _params, %{config: %{interactions: :gateway}}) do
    message =
      "interactions come through the gateway here; `config :uro_discord, interactions: :http` has them come this way"

    Response.error(404, "not_configured", message)
  end

  def open(request, _params, runtime), do: Signed.open(request, runtime)

  @impl true
  def handle(request, signed) do
    with :ok <- Signed.check(signed, request.body),
         {:ok, given} <- decoded(JSON.decode(request.body)),
         do: answer(given, signed.config)
  end

  defp answer(%{"type" => @ping}, _config), do: Response.json(200, %{type: 1})

  defp answer(given, config) do
    case Interaction.new(given) do
      {:ok, interaction} ->
        if ReplayGuard.new?(interaction.id), do: run(interaction, config), else: Signed.refuse("this came before")

      {:error, reason} ->
        Response.bad_request(reason)
    end
  end

  defp run(interaction, config) do
    # An alias is void when we stop waiting: a late answer is dropped, not left in the mailbox.
    waiting = :erlang.alias()

    Dispatcher.answer(interaction, config, fn response ->
      send(waiting, {waiting, response})
      :ok
    end)

    receive do
      {^waiting, response} -> Response.json(200, response)
    after
      @answer_ms ->
        :erlang.unalias(waiting)
        Response.later("no answer in time")
    end
  end

  defp decoded({:ok, given}), do: {:ok, given}
  defp decoded({:error, reason}), do: Response.error(400, "invalid_json", reason)
end
