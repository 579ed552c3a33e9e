defmodule UroDiscord.Accounts.Following do
  @moduledoc false
  # What follows when a user has changed, or has just been linked (`UroDiscord.Accounts.Queue` calls it): his roles and nicknames; then the roles that he took
  # himself, and what Discord knows of him for Linked Roles. Where one of these fails, the others are done all the same.

  alias UroDiscord.Accounts.{LinkedRoles, Queue, SelfRoles, Sync}

  @spec follow(String.t(), String.t() | atom(), :high | :normal) :: Queue.outcomes()
  def follow(user_id, reason, priority) do
    synced = Sync.sync(user_id, reason, priority: priority)

    others = %{
      "self roles" => SelfRoles.Release.changed(user_id, priority),
      "linked roles" => LinkedRoles.push(user_id)
    }

    with {:ok, outcomes} <- synced, do: {:ok, Map.merge(outcomes, others)}
  end
end
