Code.require_file("random_message.ex", __DIR__)

defmodule UroDiscord.Notify.AcceptedTest do
  @moduledoc false
  # What is accepted here is accepted by discord-sim too, whose checks are another's reading of the same docs.

  use UroDiscord.Case
  alias UroDiscord.Delivery
  alias UroDiscord.Notify.{Message, RandomMessage}

  setup do
    sim = start_sim!()
    DiscordSim.post(sim, "/settings", %{rate_limit_factor: 10_000})
    start_uro_discord!(sim)
    %{sim: sim}
  end

  defp deliver!(message) do
    assert {:ok, delivery} = UroDiscord.notify(:builds, message)
    assert {:ok, %Delivery{status: :delivered} = delivery} = UroDiscord.await(delivery)
    delivery
  end

  test "a message with all there is", %{sim: sim} do
    %{message_id: first} = deliver!("first")

    deliver!(
      content: "second",
      reply_to: first,
      silent: true,
      embeds: [
        %{
          title: "t",
          url: "https://example.com",
          timestamp: ~U[2024-05-06 07:08:09.123456Z],
          color: 0xFFFFFF,
          footer: %{text: "f", icon_url: "attachment://a.png"},
          image: %{url: "attachment://a.png"},
          author: %{name: "a"},
          fields: [%{name: "n", value: "v", inline: true}]
        }
      ],
      components: [
        %{type: 1, components: [%{type: 2, style: 5, label: "l", url: "https://example.com"}]},
        %{type: 1, components: [%{type: 3, custom_id: "s", options: [%{label: "l", value: "v"}]}]}
      ],
      files: [%{name: "a.png", data: "PNG", description: "A picture", content_type: "image/png"}]
    )

    deliver!(components: [%{type: 17, components: [%{type: 10, content: "third"}, %{type: 14}]}])

    assert [_, second, third] = DiscordSim.messages(sim, "builds")
    assert second["message_reference"]["message_id"] == first
    assert second["flags"] == 0x1000
    assert [%{"footer" => %{"text" => "f"}, "fields" => [_]}] = second["embeds"]
    assert [%{"components" => [%{"type" => 2}]}, %{"components" => [%{"type" => 3}]}] = second["components"]
    assert [%{"filename" => "a.png", "size" => 3, "description" => "A picture"}] = second["attachments"]
    assert third["flags"] == 0x8000
    assert [%{"components" => [%{"content" => "third"}, _]}] = third["components"]
  end

  test "a picture whose name Discord changes is still the embed's", %{sim: sim} do
    deliver!(
      embeds: [%{title: "Map", image: %{url: "attachment://Karte der Welt (ü).png"}}],
      files: [{"Karte der Welt (ü).png", "PNG"}]
    )

    assert [%{"attachments" => [%{"filename" => name}], "embeds" => [%{"image" => %{"url" => url}}]}] =
             DiscordSim.messages(sim, "builds")

    assert url == "attachment://" <> name
  end

  test "a reply to a message that is gone is a message", %{sim: sim} do
    deliver!(content: "late", reply_to: "1100000000000000001")
    assert [%{"content" => "late"}] = DiscordSim.messages(sim, "builds")
  end

  test "the parts of a long text, in their order", %{sim: sim} do
    text = for n <- 1..1_000, do: "Sentence number #{n}. "
    deliver!(content: Enum.join(text), overflow: :split)

    contents = sim |> DiscordSim.messages("builds") |> Enum.map(& &1["content"])
    assert length(contents) > 5
    assert Enum.join(contents, " ") == text |> Enum.join() |> String.trim()
  end

  test "random messages" do
    :rand.seed(:exsss, ExUnit.configuration()[:seed])
    accepted = for _ <- 1..1_000, message = RandomMessage.message(), match?({:ok, _}, Message.new(message)), do: message
    assert length(accepted) > 100
    for message <- accepted, do: assert({_message, %Delivery{}} = {message, deliver!(message)})
  end
end
