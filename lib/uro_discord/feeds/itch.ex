defmodule UroDiscord.Feeds.Itch do
  @moduledoc false
  # New builds on itch.io. It has no webhooks: its wharf API, which butler uses, is polled.
  # `GET /wharf/channels?target=user/game` has, for each channel, the `head` build, and `pending` while one is processed.

  alias UroDiscord.Feeds.{Event, Payload}
  import Payload, only: [get: 2, id: 2, need: 1, text: 2]

  @doc "The builds that a listing of channels has."
  @spec builds(term(), String.t()) :: [{:ok, Event.t()} | {:error, String.t()}]
  def builds(listing, target) do
    case get(listing, ["channels"]) do
      %{} = channels ->
        for {name, channel} <- Enum.sort(channels), build <- ["head", "pending"], found = get(channel, [build]) do
          build(found, name, channel, target)
        end

      # An empty PHP-like list is what a game without channels has.
      [] ->
        []

      _ ->
        [{:error, "has no channels"}]
    end
  end

  # https://itch.io/docs/butler: started, queued, processing, completed, failed.
  defp state("completed"), do: :passed
  defp state("failed"), do: :failed
  defp state("processing"), do: :running
  defp state(state) when state in ["started", "queued"], do: :queued
  # A head build without a state is one that is there.
  defp state(nil), do: :passed
  defp state(_other), do: nil

  defp build(build, channel, details, target) do
    id = id(build, ["id"])
    state = state(get(build, ["state"]))

    with :ok <- need(id: id, state: state) do
      version = text(build, ["user_version"]) || id(build, ["version"])

      {:ok,
       %Event{
         key: "itch/build/#{target}/#{id}",
         position: Event.position([text(build, ["updated_at"])], state),
         kind: :build,
         state: state,
         project: target,
         branch: channel,
         title: Enum.join(["Build" | List.wrap(version)], " "),
         url: page(target),
         text: text(details, ["upload", "filename"]) || text(details, ["upload", "display_name"])
       }}
    end
  end

  defp page(target) do
    case String.split(target, "/") do
      [user, game] -> "https://#{user}.itch.io/#{game}"
      _ -> nil
    end
  end
end
