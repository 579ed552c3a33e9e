defmodule UroDiscord.Setup.Doctor.Facts do
  @moduledoc false
  # What Discord says of the bot, its application, its servers and its channels: asked once, and only by GET.

  alias UroDiscord.Accounts.Guild
  alias UroDiscord.{Config, Error, Rest, Snowflake}
  alias UroDiscord.Setup.Permissions

  # Somebody waits.
  @deadline_ms 15_000
  # Threads have the overwrites of the channel that they are in.
  @threads [10, 11, 12]

  @enforce_keys [:config, :me]
  defstruct [:config, :me, :application, :gateway, :ahead_ms, guilds: %{}, two_factor: [], channels: %{}]

  @type answer :: {:ok, map()} | {:error, Error.t()}

  @typedoc "A server as accounts see it."
  @type guild :: {:ok, Guild.t()} | {:error, Error.t()}

  @typedoc """
  `me` is the bot's user; the others are asked only if that is there. `ahead_ms` is how far Discord's clock is ahead of this machine's.
  `guilds` are those of `accounts:` and those that the channels are in, `two_factor` those of them that want it of moderators.
  """
  @type t :: %__MODULE__{
          config: Config.t(),
          me: answer(),
          application: answer() | nil,
          gateway: answer() | nil,
          ahead_ms: integer() | nil,
          guilds: %{Snowflake.t() => guild()},
          two_factor: [Snowflake.t()],
          channels: %{Snowflake.t() => answer()}
        }

  @spec ask(Config.t()) :: t()
  def ask(%Config{token: nil} = config) do
    error = %Error{kind: :invalid, message: "there is no token to ask it with"}
    %__MODULE__{config: config, me: {:error, error}}
  end

  def ask(config) do
    with {:ok, client} <- Rest.client(config),
         {:ok, %{body: %{"id" => id} = me, headers: headers}} <- call(client, {:raw, :get, nil, "users/@me"}) do
      %__MODULE__{config: config, me: {:ok, me}, ahead_ms: ahead(headers["date"])} |> more(client, id)
    else
      {:ok, _response} ->
        %__MODULE__{config: config, me: {:error, %Error{kind: :response, message: "its answer is no user"}}}

      {:error, error} ->
        %__MODULE__{config: config, me: {:error, error}}
    end
  end

  defp more(facts, client, bot_id) do
    channels = for {_feature, {:channel, id}} <- Permissions.uses(facts.config), uniq: true, do: id

    asked =
      all(
        client,
        [{:application, :get_current_user_application_info}, {:gateway, :get_gateway_bot}] ++ routes(:channel, channels)
      )

    channels = Map.new(channels, &{&1, asked |> Map.fetch!({:channel, &1}) |> whole(client)})
    configured = if facts.config.accounts.directory, do: Enum.map(facts.config.accounts.guilds, & &1.id), else: []
    found = for {_id, {:ok, %{"guild_id" => guild_id}}} <- channels, do: guild_id
    guilds = Enum.uniq(configured ++ found)
    answers = all(client, routes(:guild, guilds) ++ routes(:member, guilds, bot_id))

    %{
      facts
      | application: asked.application,
        gateway: asked.gateway,
        channels: channels,
        guilds: Map.new(guilds, &{&1, guild(answers[{:guild, &1}], answers[{:member, &1}])}),
        two_factor: for({{:guild, id}, {:ok, %{"mfa_level" => 1}}} <- answers, do: id)
    }
  end

  defp routes(:channel, ids), do: for(id <- ids, do: {{:channel, id}, {:get_channel, id}})
  defp routes(:guild, ids), do: for(id <- ids, do: {{:guild, id}, {:raw, :get, nil, "guilds/#{id}"}})
  defp routes(:member, ids, bot_id), do: for(id <- ids, do: {{:member, id}, {:get_member, id, bot_id}})

  # All at once: the client's limiter has them wait for each other where they must.
  defp all(client, routes) do
    refs = for {key, route} <- routes, do: {key, Rest.request(client, route, options())}

    Map.new(refs, fn
      {key, {:ok, ref}} ->
        receive do
          {:uro_discord_rest, ^ref, _} = message -> {key, message |> Rest.answer(ref) |> body()}
        end

      {key, {:error, error}} ->
        {key, {:error, error}}
    end)
  end

  defp call(client, route), do: Rest.call(client, route, options())
  defp options, do: [retry: :safe, deadline_ms: @deadline_ms]

  defp body({:ok, %{body: body}}) when is_map(body), do: {:ok, body}
  defp body({:ok, _response}), do: {:error, %Error{kind: :response, message: "its answer is no object"}}
  defp body({:error, error}), do: {:error, error}

  defp whole({:ok, %{"type" => type, "parent_id" => parent} = thread}, client) when type in @threads do
    with {:ok, %{body: %{} = channel}} <- call(client, {:get_channel, parent}),
         do: {:ok, Map.put(thread, "permission_overwrites", channel["permission_overwrites"])}
  end

  defp whole(answer, _client), do: answer

  defp guild({:ok, guild}, {:ok, member}) do
    with :error <- Guild.read(guild, member), do: {:error, %Error{kind: :response, message: "its answer is no server"}}
  end

  defp guild({:ok, _guild}, {:error, error}), do: {:error, error}
  defp guild({:error, error}, _member), do: {:error, error}

  defp ahead(date) do
    with {:ok, unix_ms} <- UroDiscord.HTTP.Times.date(date),
         do: unix_ms - System.os_time(:millisecond),
         else: (_ -> nil)
  end

  @doc "The bits of what the bot may do in a channel; nil where that is not known, as in a direct message."
  @spec permissions(t(), map()) :: non_neg_integer() | nil
  def permissions(%{me: {:ok, %{"id" => id}}} = facts, %{"guild_id" => guild_id} = channel) do
    with {:ok, guild} <- facts.guilds[guild_id] do
      guild
      |> Guild.permissions()
      |> Permissions.in_channel(guild_id, guild.bot_roles, id, channel["permission_overwrites"] || [])
    else
      _ -> nil
    end
  end

  def permissions(_facts, _channel), do: nil
end
