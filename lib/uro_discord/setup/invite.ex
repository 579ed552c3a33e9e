defmodule UroDiscord.Setup.Invite do
  @moduledoc """
  The link by which a server's admin adds the bot, with the least permissions that the enabled features need.

  `mix uro_discord.invite` prints it. In a release, where there is no mix:

      bin/uro eval 'UroDiscord.Setup.Invite.run()'

  Nothing is asked of Discord, and UroDiscord need not run.
  """

  alias UroDiscord.{Config, ConfigError, Runtime, Snowflake}
  alias UroDiscord.Setup.{Permissions, Settings}

  @authorize "https://discord.com/oauth2/authorize"
  @scopes "bot applications.commands"

  @doc "Prints the link, and of each permission what it is for. Options: `:guild_id`, of the server that the link is for. Raises as `text/1` does."
  @spec run(keyword()) :: :ok
  def run(options \\ []), do: options |> text() |> IO.puts()

  @doc """
  What `run/1` prints. Raises `UroDiscord.ConfigError` where neither `client_id:` of `accounts:` nor a token, whose first part is the bot's id, says which application
  it is.
  """
  @spec text(keyword()) :: String.t()
  def text(options \\ []) do
    {config, problems} = Settings.read([])

    case application_id(config) do
      nil -> raise ConfigError, problems: problems
      id -> text(config, id, options)
    end
  end

  defp text(config, id, options) do
    needs = Permissions.needs(config)
    {there, role} = Enum.split_with(needs, &(&1.given == :there))

    Enum.join(
      [
        url(config, id, options),
        "",
        "The scopes are bot and applications.commands. Permissions:",
        lines(role, &called/1)
      ] ++
        if(there == [],
          do: [],
          else: [
            "",
            "Not in the link, as they would go for all channels; give them to the bot's role in these channels only:",
            lines(there, &"#{called(&1)} in #{place(config, &1)}")
          ]
        ),
      "\n"
    )
  end

  defp called(need), do: Permissions.called(need.permission)

  defp place(config, %{in: {:channel, id}}) do
    case Enum.find(config.channels, &match?({_name, ^id}, &1)) do
      {name, _id} -> "#{inspect(name)} (#{id})"
      nil -> id
    end
  end

  defp lines([], _title), do: "  none: no feature that is on needs one"

  defp lines(needs, title) do
    needs
    |> Enum.group_by(title, &"#{&1.called}: #{&1.why}")
    |> Enum.map_join("\n", fn {title, reasons} -> "  #{title} (#{reasons |> Enum.uniq() |> Enum.join("; ")})" end)
  end

  @doc """
  The link. Options: `:guild_id`, to choose that server in Discord's form, and no other.

      iex> config = UroDiscord.Config.new!(enabled: false, announcements: [channel: "1100000000000000001"])
      iex> UroDiscord.Setup.Invite.url(config, "1300000000000000001")
      "https://discord.com/oauth2/authorize?client_id=1300000000000000001&scope=bot+applications.commands&permissions=68608"
  """
  @spec url(Config.t(), Snowflake.t(), keyword()) :: String.t()
  def url(config, application_id, options \\ []) do
    guild =
      case options[:guild_id] do
        nil -> []
        id -> [guild_id: id, disable_guild_select: true]
      end

    query = [client_id: application_id, scope: @scopes, permissions: permissions(config)] ++ guild
    "#{authorize(config)}?#{URI.encode_query(query)}"
  end

  defp authorize(%{accounts: %{oauth_url: url}}) when is_binary(url), do: url
  defp authorize(_config), do: @authorize

  @doc "The bits that the link asks for."
  @spec permissions(Config.t()) :: non_neg_integer()
  def permissions(config) do
    Permissions.bits(for need <- Permissions.needs(config), need.given != :there, uniq: true, do: need.permission)
  end

  @doc "The application's id: as configured, or the bot's, which is the same since 2017; nil without a token."
  @spec application_id(Config.t()) :: Snowflake.t() | nil
  def application_id(%{accounts: %{client_id: id}}) when is_binary(id), do: id
  def application_id(%{token: nil}), do: nil
  def application_id(config), do: Runtime.bot_id(config)
end
