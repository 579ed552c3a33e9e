defmodule UroDiscord.Accounts.Member do
  @moduledoc false
  # A member of a guild, as Discord says he is.

  alias UroDiscord.Snowflake

  @enforce_keys [:guild_id, :id]
  defstruct [:guild_id, :id, :nick, :username, roles: [], read_at: nil]

  @typedoc "`read_at` is when Discord said so, in ms of the monotonic clock; nil where nobody knows."
  @type t :: %__MODULE__{
          guild_id: Snowflake.t(),
          id: Snowflake.t(),
          nick: String.t() | nil,
          username: String.t() | nil,
          roles: [Snowflake.t()],
          read_at: integer() | nil
        }

  @doc "The same, said just now."
  @spec read_now(term(), Snowflake.t()) :: {:ok, t()} | :error
  def read_now(json, guild_id) do
    with {:ok, member} <- read(json, guild_id), do: {:ok, %{member | read_at: System.monotonic_time(:millisecond)}}
  end

  @doc """
  From Discord's JSON, of REST and of the gateway.

      iex> alias UroDiscord.Accounts.Member
      iex> Member.read(%{"user" => %{"id" => "5", "username" => "ada", "discriminator" => "0"}, "roles" => ["9"], "nick" => nil}, "1")
      {:ok, %Member{guild_id: "1", id: "5", username: "@ada", roles: ["9"]}}
  """
  @spec read(term(), Snowflake.t()) :: {:ok, t()} | :error
  def read(%{"user" => %{"id" => id} = user, "roles" => roles} = member, guild_id)
      when is_binary(id) and is_list(roles) do
    {:ok,
     %__MODULE__{
       guild_id: guild_id,
       id: id,
       nick: member["nick"],
       username: username(user),
       roles: roles
     }}
  end

  def read(_other, _guild_id), do: :error

  @doc """
  What Discord shows of an account: names that were not changed since 2023 have four digits.

      iex> alias UroDiscord.Accounts.Member
      iex> for number <- ["0", "0000", "", nil, "0042"], do: Member.username(%{"username" => "ada", "discriminator" => number})
      ["@ada", "@ada", "@ada", "@ada", "ada#0042"]
      iex> {Member.username(%{"username" => "ada"}), Member.username(%{})}
      {"@ada", nil}
  """
  @spec username(map()) :: String.t() | nil
  def username(%{"username" => name} = user) when is_binary(name) do
    case user["discriminator"] do
      none when none in [nil, "", "0", "0000"] -> "@#{name}"
      digits -> "#{name}##{digits}"
    end
  end

  def username(_user), do: nil
end
