defmodule UroDiscord.Interactions.Linked do
  @moduledoc false
  # What commands say of links.

  alias UroDiscord.Accounts.{Directory, Link}
  alias UroDiscord.Runtime
  alias UroDiscord.Shards.Text

  @name 48

  @doc "What the user is called on Uro, made inert: people choose it themselves."
  @spec name(Link.t()) :: String.t()
  def name(link) do
    {:ok, %{config: config}} = Runtime.fetch()

    case Directory.user(config, link.user_id) do
      {:ok, user} -> Text.markdown(user.display_name || user.username || link.user_id, @name)
      _unknown -> Text.markdown(link.user_id, @name)
    end
  end
end
