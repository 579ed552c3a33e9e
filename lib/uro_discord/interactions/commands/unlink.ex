defmodule UroDiscord.Interactions.Commands.Unlink do
  @moduledoc false
  # /unlink: asks once more, and ends the link of whoever clicks.

  @behaviour UroDiscord.Command

  alias UroDiscord.Accounts
  alias UroDiscord.Interactions.Linked

  @not_linked "Your Discord account is not linked with Uro. `/link` links it."

  @impl true
  def command, do: %{name: "unlink", description: "End the link between your Uro account and your Discord account"}

  @impl true
  def component, do: "unlink"

  # In place of the question.
  @impl true
  def answers(%{kind: :component}), do: :update
  def answers(_command), do: :private

  @impl true
  def handle(%{kind: :command, user: %{id: id}}) do
    case Accounts.by_discord(id) do
      {:ok, link} ->
        button = %{
          type: 2,
          style: 4,
          label: "Unlink",
          custom_id: "unlink:#{DateTime.to_unix(link.linked_at, :millisecond)}"
        }

        {:ok,
         content:
           "Your Discord account is linked with **#{Linked.name(link)}** on Uro. When that ends, the roles and the name that you have by it are taken back.",
         components: [%{type: 1, components: [button]}]}

      :error ->
        {:error, @not_linked}

      {:error, error} ->
        {:error, Exception.message(error)}
    end
  end

  # A question of long ago was about that link, and not about one that was made since.
  def handle(%{kind: :component, custom_id: "unlink:" <> linked_at, user: %{id: id}}) do
    with {:ok, link} <- Accounts.by_discord(id),
         ^linked_at <- link.linked_at |> DateTime.to_unix(:millisecond) |> Integer.to_string(),
         {:ok, _link} <- Accounts.unlink(link.user_id, :discord) do
      over("Your Discord account is no longer linked with Uro.")
    else
      {:error, error} -> {:error, Exception.message(error)}
      _ended -> over("That link has ended already.")
    end
  end

  defp over(text) do
    button = %{type: 2, style: 2, label: "Unlinked", custom_id: "unlink:", disabled: true}
    {:ok, content: text, components: [%{type: 1, components: [button]}]}
  end
end
