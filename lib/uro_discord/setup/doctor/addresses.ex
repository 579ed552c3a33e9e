defmodule UroDiscord.Setup.Doctor.Addresses do
  @moduledoc false
  # The addresses that stand in the Developer Portal, beside those that the configuration means.

  import UroDiscord.Setup.Doctor.Finding

  alias UroDiscord.Accounts.OAuth
  alias UroDiscord.Setup.Doctor.{Facts, Finding}

  # https://discord.com/developers/docs/resources/application#application-object-application-event-webhook-status
  @enabled 2
  @by_discord 3
  @deauthorized "APPLICATION_DEAUTHORIZED"
  @timeout_ms 5_000

  @spec look(Facts.t()) :: [Finding.t()]
  def look(%{application: {:ok, application}, config: config}) do
    reached(config) ++
      callback(application, config) ++
      public_key(application, config) ++
      interactions(application, config) ++ events(application, config) ++ linked_roles(application, config)
  end

  def look(_facts), do: []

  ## Where browsers and Discord find Uro

  # A route that only takes POST says so (405); whatever else answers there is not ours. Asked from here, which is not where Discord is.
  defp reached(%{accounts: %{directory: directory, public_url: url}} = config) when directory != nil and url != nil do
    case UroDiscord.HTTP.get_json(url <> "/webhook-events", ca_file: config.ca_file, timeout_ms: @timeout_ms) do
      {:error, %{status: 405}} ->
        [ok(:public_url, "UroDiscord answers at #{url}")]

      {:error, %{status: status}} when status != nil ->
        [not_ours("what answers at #{url} is not UroDiscord (status #{status})")]

      {:error, error} ->
        [not_ours("nothing answers at #{url} from here: #{Exception.message(error)}")]

      _other ->
        [not_ours("what answers at #{url} is not UroDiscord")]
    end
  end

  defp reached(_config), do: []

  defp not_ours(found),
    do:
      warning(
        :public_url,
        found,
        "start the server; `public_url:` is the address of /discord as a browser has it, with what a proxy takes off (docs/http.md, Where it is). If this machine " <>
          "cannot reach its own public address, open it elsewhere"
      )

  ## Where a login ends

  defp callback(_application, %{accounts: %{directory: nil}}), do: []
  # What is missing is said of the configuration.
  defp callback(_application, %{accounts: %{public_url: nil}}), do: []

  defp callback(application, config) do
    wanted = OAuth.redirect_uri(config)

    case application["redirect_uris"] do
      nil ->
        [
          warning(
            :callback_url,
            "Discord does not tell which are registered",
            "Developer Portal, OAuth2, Redirects: see that #{wanted} is there"
          )
        ]

      registered ->
        if wanted in registered,
          do: [ok(:callback_url, "#{wanted} is registered") | insecure(wanted)],
          else: [unregistered(wanted, registered)]
    end
  end

  defp unregistered(wanted, registered) do
    there = if registered == [], do: "none is", else: "there are #{Enum.join(registered, ", ")}"
    near = Enum.find(registered, &(like(&1) == like(wanted)))

    hint =
      if near,
        do: " #{near} is not the same: Discord compares letter by letter, also http with https and a / at the end.",
        else: ""

    wrong(
      :callback_url,
      "#{wanted} is not registered (#{there}), so that whoever links his account sees Discord's page \"Unknown Error\" or \"Invalid OAuth2 redirect_uri\" " <>
        "and never comes back.#{hint}",
      "Developer Portal, OAuth2, Redirects: add #{wanted} and save; or set accounts: [public_url:] to where Uro is"
    )
  end

  defp like(url), do: url |> String.downcase() |> String.replace(~r{\Ahttps?://|/+\z}, "")

  defp insecure("http://" <> rest) do
    host = URI.parse("http://" <> rest).host

    if host in ["localhost", "127.0.0.1", "::1"],
      do: [],
      else: [
        warning(
          :callback_url,
          "it is http: the code of a login goes over the network in the clear",
          "put TLS in front of Uro, and https into `public_url:`"
        )
      ]
  end

  defp insecure(_url), do: []

  ## The key of what Discord signs

  defp public_key(_application, %{public_key: nil}), do: []

  defp public_key(%{"verify_key" => key}, config) do
    if is_binary(key) and String.downcase(key) == Base.encode16(config.public_key, case: :lower),
      do: [ok(:public_key, "it is the application's")],
      else: [
        wrong(
          :public_key,
          "`public_key:` is not this application's: what Discord sends by HTTP is refused (401)",
          "Developer Portal, General Information, Public Key: put it into DISCORD_PUBLIC_KEY"
        )
      ]
  end

  defp public_key(_application, _config), do: []

  ## Where interactions go

  defp interactions(_application, %{commands: nil}), do: []

  defp interactions(%{"interactions_endpoint_url" => url}, %{interactions: :gateway}) when is_binary(url),
    do: [
      wrong(
        :interactions_url,
        "the application has an Interactions Endpoint URL, #{url}, and `interactions:` is :gateway: Discord sends commands there, and none through the gateway",
        "Developer Portal, General Information: empty Interactions Endpoint URL and save; or set `interactions: :http`"
      )
    ]

  defp interactions(_application, %{interactions: :gateway}),
    do: [ok(:interactions_url, "none is set, and commands come through the gateway")]

  defp interactions(%{"interactions_endpoint_url" => nil}, config),
    do: [
      wrong(
        :interactions_url,
        "`interactions: :http`, and the application has no Interactions Endpoint URL: Discord sends commands through the gateway, where nobody answers",
        "start the server, then Developer Portal, General Information, Interactions Endpoint URL: #{wanted(config, "interactions")}"
      )
    ]

  defp interactions(%{"interactions_endpoint_url" => url}, config),
    do: [same(:interactions_url, url, wanted(config, "interactions"))]

  defp interactions(_application, _config), do: []

  ## Where webhook events go

  defp events(application, config) do
    case {application["event_webhooks_url"], config} do
      {nil, %{accounts: %{directory: nil}}} ->
        []

      {nil, config} ->
        [
          warning(
            :webhook_events_url,
            "there is none: who takes his authorization back in Discord (User Settings, Authorized Apps) stays linked",
            "set `public_key:`, start the server, then Developer Portal, Webhooks: #{wanted(config, "webhook-events")}, Events on, and Application Deauthorized"
          )
        ]

      {url, %{public_key: nil}} ->
        [
          wrong(
            :webhook_events_url,
            "Discord sends events to #{url}, and there is no `public_key:` to check them with",
            "set `public_key:` (Developer Portal, General Information), or empty the URL (Webhooks)"
          )
        ]

      {url, config} ->
        [same(:webhook_events_url, url, wanted(config, "webhook-events")) | events_on(application, config)]
    end
  end

  defp events_on(%{"event_webhooks_status" => status}, _config) when status != @enabled,
    do: [
      wrong(
        :webhook_events_url,
        if(status == @by_discord,
          do: "Discord has turned events off, since the address did not answer as it should",
          else: "events are turned off"
        ),
        "see that the server answers there, then Developer Portal, Webhooks: Events on"
      )
    ]

  defp events_on(%{"event_webhooks_types" => types}, %{accounts: %{directory: directory}})
       when directory != nil and is_list(types) do
    if @deauthorized in types,
      do: [],
      else: [
        warning(
          :webhook_events_url,
          "#{@deauthorized} is not among the events: who takes his authorization back stays linked",
          "Developer Portal, Webhooks, Events: turn on Application Deauthorized"
        )
      ]
  end

  defp events_on(_application, _config), do: []

  ## Where members go who want a Linked Role

  defp linked_roles(_application, %{accounts: %{linked_roles: []}}), do: []
  defp linked_roles(_application, %{accounts: %{public_url: nil}}), do: []

  defp linked_roles(%{"role_connections_verification_url" => url}, config) when is_binary(url),
    do: [same(:linked_roles_url, url, wanted(config, "link"))]

  defp linked_roles(_application, config),
    do: [
      wrong(
        :linked_roles_url,
        "`linked_roles:` are on, and the application has no Linked Roles Verification URL: members have nowhere to connect",
        "Developer Portal, General Information, Linked Roles Verification URL: #{wanted(config, "link")}"
      )
    ]

  defp same(check, url, url), do: ok(check, "it is #{url}")

  # Without `public_url:` it is not known where the server is.
  defp same(check, url, wanted) do
    path = wanted |> String.split("/") |> List.last()

    cond do
      not String.starts_with?(wanted, "http") and String.ends_with?(url, "/" <> path) ->
        ok(check, "it is #{url}, which ends as it should")

      true ->
        wrong(
          check,
          "it is #{url}, and should be #{wanted}",
          "put that into the Developer Portal; what is there now is another server, or another path"
        )
    end
  end

  defp wanted(%{accounts: %{public_url: url}}, path) when is_binary(url), do: "#{url}/#{path}"
  defp wanted(_config, path), do: "…/discord/#{path}"
end
