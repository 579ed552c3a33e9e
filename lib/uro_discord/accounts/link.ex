defmodule UroDiscord.Accounts.Link do
  @moduledoc """
  A Uro user and the Discord account that is his. `username` is Discord's, as it is shown: `"@name"`, or `"name#1234"` of an old account.

  `agreed_at` is when he last agreed to it at Discord. `left_at` is when he was found to be in none of the servers any more; nil while he is in one.
  `joined?` is false where he could be brought into none of them, and was in none since. `missing_at` is when the directory first said that there
  is no such user; nil while there is.
  """

  @enforce_keys [:user_id, :discord_id, :username, :linked_at]
  defstruct @enforce_keys ++ [:agreed_at, :left_at, :missing_at, joined?: true]

  @type t :: %__MODULE__{
          user_id: String.t(),
          discord_id: UroDiscord.Snowflake.t(),
          username: String.t(),
          linked_at: DateTime.t(),
          agreed_at: DateTime.t() | nil,
          left_at: DateTime.t() | nil,
          missing_at: DateTime.t() | nil,
          joined?: boolean()
        }
end
