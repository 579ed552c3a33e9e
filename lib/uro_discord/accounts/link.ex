defmodule UroDiscord.Accounts.Link do
  @moduledoc """
  A Uro user and the Discord account that is his. `username` is Discord's, as it is shown: `"@name"`, or `"name#1234"` of an old account. `left_at` is
  when he was found to be in none of the servers any more; nil while he is in one.
  """

  @enforce_keys [:user_id, :discord_id, :username, :linked_at]
  defstruct [:user_id, :discord_id, :username, :linked_at, :left_at]

  @type t :: %__MODULE__{
          user_id: String.t(),
          discord_id: UroDiscord.Snowflake.t(),
          username: String.t(),
          linked_at: DateTime.t(),
          left_at: DateTime.t() | nil
        }
end
