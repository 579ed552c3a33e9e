defmodule UroDiscord.Accounts.Following do
  @moduledoc false
  # What follows when a user has changed, or has just been linked (`UroDiscord.Accounts.Queue` calls it): his roles and nicknames, what Discord knows of
  # him for Linked Roles, and what he took as a linked user. What fails of one keeps none of the others from it.

  alias UroDiscord.Accounts.{LinkedRoles, Queue, SelfRoles, Sync}

  @spec follow(String.t(), String.t() | atom()) :: Queue.outcomes()
  def follow(user_id, reason) do
    others = %{"linked roles" => LinkedRoles.push(user_id), "self roles" => SelfRoles.Release.changed(user_id)}
    with {:ok, outcomes} <- Sync.sync(user_id, reason), do: {:ok, Map.merge(outcomes, others)}
  end
end
