defmodule UroDiscord.Notify.Recipient do
  @moduledoc false
  # Where a notification goes: into a channel, or to the Discord account that a Uro user has linked. What is for a user waits in a queue of that
  # user's, under the address `user:` and the user's id. Whose account that is, and which channel leads there, is found out when it is sent
  # (UroDiscord.Notify.Channel): so notify/2 waits for no answer of Discord's, and who has linked another account since then gets it there.

  alias UroDiscord.Accounts.Links
  alias UroDiscord.{Channels, Error, Runtime, Snowflake, Store}

  @user "user:"

  @typedoc "A channel's id, or `user:` and a Uro user's id."
  @type address :: String.t()

  @typedoc "The account that the address was found to mean, and the channel that leads there."
  @type found :: {discord_id :: Snowflake.t(), channel_id :: Snowflake.t()}

  @doc "The address of a channel or a user, as the host names it. A user who has linked no account is an error."
  @spec cast(Runtime.t(), term()) :: {:ok, address()} | {:error, Error.t()}
  def cast(%{store: nil}, {:user, id}) when is_binary(id) and id != "", do: {:ok, @user <> id}

  def cast(%{config: %{accounts: %{directory: nil}}}, {:user, _id}),
    do: {:error, Error.invalid("channel", "users have no Discord accounts here: see `config :uro_discord, accounts:`")}

  def cast(%{store: store}, {:user, id}) when is_binary(id) and id != "" do
    with {:ok, _discord_id} <- linked(store, id), do: {:ok, @user <> id}
  end

  def cast(_runtime, {:user, id}),
    do: {:error, Error.invalid("channel", {:user, id}, "{:user, id} with the id of a user of Uro's, a string")}

  def cast(%{config: config}, channel), do: Channels.cast(config, channel)

  @doc """
  The channel of an address; what was found of it before spares the question. `{:open, discord_id}`: Discord is to be asked, by the request of
  `open/1`.
  """
  @spec channel(Store.t(), address(), found() | nil) ::
          {:ok, Snowflake.t()} | {:open, Snowflake.t()} | {:error, Error.t()}
  def channel(store, @user <> id, found) do
    case {linked(store, id), found} do
      {{:ok, discord_id}, {discord_id, channel_id}} -> {:ok, channel_id}
      {{:ok, discord_id}, _other} -> {:open, discord_id}
      {error, _found} -> error
    end
  end

  def channel(_store, channel_id, _found), do: {:ok, channel_id}

  @doc "The request that opens a direct channel, or finds the one there is."
  @spec open(Snowflake.t()) :: {UroDiscord.Rest.route(), keyword()}
  def open(discord_id), do: {{:raw, :post, nil, "users/@me/channels"}, [json: %{"recipient_id" => discord_id}]}

  # https://discord.com/developers/docs/topics/opcodes-and-status-codes#json
  @cannot_be_written_to 50_007

  @doc "An error, with what is behind it where Discord does not say that."
  @spec explained(Error.t()) :: Error.t()
  def explained(%Error{code: @cannot_be_written_to} = error) do
    more =
      "this user takes no direct messages from the bot: they are off for the servers that both are in, or there is no such server, or the bot is blocked"

    %{error | message: "#{error.message}: #{more}"}
  end

  def explained(error), do: error

  defp linked(store, id) do
    case Links.get(store, id) do
      {:ok, %{discord_id: discord_id}} ->
        {:ok, discord_id}

      :error ->
        {:error, %Error{kind: :not_linked, message: "user #{Error.short(id)} of Uro's has linked no Discord account"}}

      {:error, error} ->
        {:error, error}
    end
  end
end
