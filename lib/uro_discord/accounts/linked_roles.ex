defmodule UroDiscord.Accounts.LinkedRoles do
  @moduledoc false

  alias UroDiscord.Runtime

  @spec later(Runtime.t(), String.t()) :: :ok
  def later(_runtime, _user_id), do: :ok
end
