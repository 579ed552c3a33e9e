defmodule UroDiscord.Interactions.Commands.Link do
  @moduledoc false
  # /link: the way to link a Uro account with the Discord account of whoever asks. What it answers with is for that account only, and nobody else sees it.

  @behaviour UroDiscord.Command

  alias UroDiscord.Accounts
  alias UroDiscord.Accounts.Linking
  alias UroDiscord.Interactions.Linked

  @impl true
  def command, do: %{name: "link", description: "Link your Uro account with your Discord account"}

  @impl true
  def handle(%{user: %{id: id}} = interaction) do
    with :error <- Accounts.by_discord(id), :error <- adopted(interaction), {:ok, url} <- Accounts.link_url(id) do
      button = %{type: 2, style: 5, label: "Link your account", url: url}

      {:ok,
       content:
         "This is the way for you alone, once and within half an hour: log in to Uro there, then agree on Discord's page. Whoever else opens it can link nothing " <>
           "with your Discord account.",
       components: [%{type: 1, components: [button]}]}
    else
      {:ok, link} -> {:ok, "Your Discord account is linked with **#{Linked.name(link)}** on Uro. `/unlink` ends that."}
      :locked -> {:error, "Your account on Uro is locked, and cannot be linked."}
      {:error, error} -> {:error, Exception.message(error)}
    end
  end

  # Who logs in to Uro by this account has shown already that both are his.
  defp adopted(%{data: data}) do
    case Linking.adopt(get_in(data, ["member", "user"]) || data["user"]) do
      {:clash, _whose, _link} -> :error
      answer -> answer
    end
  end
end
