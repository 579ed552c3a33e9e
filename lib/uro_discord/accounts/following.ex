defmodule UroDiscord.Accounts.Following do
  @moduledoc false
  # What follows when a user has changed, or has just been linked (`UroDiscord.Accounts.Queue` calls it): his roles and nicknames, and what Discord knows of
  # him for Linked Roles. One does not wait for the other.

  alias UroDiscord.Accounts.{LinkedRoles, Queue, Sync}

  @spec follow(String.t(), String.t() | atom()) :: Queue.outcomes()
  def follow(user_id, reason) do
    told = LinkedRoles.push(user_id)
    with {:ok, outcomes} <- Sync.sync(user_id, reason), do: {:ok, Map.put(outcomes, "linked roles", told)}
  end
end
