defmodule UroDiscord.Notify.MessageTest do
  use ExUnit.Case, async: true
  alias UroDiscord.{Error, JSON}
  alias UroDiscord.Notify.Message

  doctest Message
  doctest UroDiscord.Notify.Message.FileName
  doctest UroDiscord.Notify.Producer
  doctest UroDiscord.Clock

  @id "1100000000000000001"

  defp new!(input) do
    assert {:ok, [message]} = Message.new(input)
    message
  end

  defp refused(input) do
    assert {:error, %Error{kind: :invalid} = error} = Message.new(input)
    {error.field, error.message}
  end

  test "a string, a keyword list, and maps with either kind of keys are the same" do
    message = new!("hi")
    assert message == new!(content: "hi")
    assert message == new!(%{content: "hi"})
    assert message == new!(%{"content" => "hi", "embeds" => nil})
  end

  test "what it is made of goes where Create Message wants it" do
    assert new!(
             content: "hi",
             reply_to: 1_100_000_000_000_000_001,
             silent: true,
             suppress_embeds: true,
             tts: true,
             crosspost: true,
             expires_in: 60_000,
             files: [%{name: "a.txt", data: "a", description: "An a"}, {"b.bin", <<0>>}]
           ) == %Message{
             body: %{
               "content" => "hi",
               "message_reference" => %{"message_id" => @id, "fail_if_not_exists" => false},
               "flags" => 0x1004,
               "tts" => true,
               "allowed_mentions" => %{"parse" => []},
               "attachments" => [
                 %{"id" => 0, "filename" => "a.txt", "description" => "An a"},
                 %{"id" => 1, "filename" => "b.bin"}
               ]
             },
             files: [
               %{name: "a.txt", content_type: nil, data: "a"},
               %{name: "b.bin", content_type: nil, data: <<0>>}
             ],
             crosspost: true,
             expires_in: 60_000
           }
  end

  test "what is false or empty is not sent" do
    assert new!(content: "hi", silent: false, tts: false, embeds: [], components: [], files: []) ==
             new!("hi")
  end

  test "a component of V2 sets the flag, and leaves no place for content and embeds" do
    text = %{type: 10, content: "hi"}
    assert new!(components: [text], silent: true).body["flags"] == 0x9000

    assert {"content", "cannot go with Components V2" <> _} = refused(content: "hi", components: [text])

    assert {"embeds", "cannot go with Components V2" <> _} = refused(embeds: [%{title: "hi"}], components: [text])

    # For a poll or stickers there is no field at all.
    assert {"stickers", _} = refused(stickers: [@id], components: [text])
  end

  for {name, input, field, message} <- [
        {"nothing", [], "content", "is empty, and there is nothing else to send"},
        {"white space", " \n\t", "content", "is empty, and there is nothing else to send"},
        {"no text", [content: 5], "content", "is 5; it may be a string"},
        {"no UTF-8", <<"abc", 0xFF>>, "content", "is not valid UTF-8 (4 bytes)"},
        {"a misspelt key", [contents: "hi"], "contents", "is not a field of a message; did you mean content?"},
        {"an unknown key", %{"zzz" => 1}, "zzz",
         "is not a field of a message; there are content, embeds, components, files, reply_to, " <>
           "allowed_mentions, crosspost, silent, suppress_embeds, tts, expires_in, overflow"},
        {"a key that is no name", %{{1, 2} => 1, content: "hi"}, "{1, 2}",
         "is not a field of a message; there are content, embeds, components, files, reply_to, " <>
           "allowed_mentions, crosspost, silent, suppress_embeds, tts, expires_in, overflow"},
        {"a key in both forms", %{"content" => "a", content: "b"}, "content", "is there twice"},
        {"a key twice", [content: "a", content: "b"], "content", "is there twice"},
        {"a tuple", {:content, "hi"}, nil, "is {:content, \"hi\"}; it may be a string, a keyword list or a map"},
        {"a list of strings", ["hi"], nil, "is [\"hi\"]; it may be a map or keyword list (a message)"},
        {"an improper list", [{:content, "hi"} | :tail], nil,
         "is [{:content, \"hi\"} | :tail]; it may be a map or keyword list (a message)"},
        {"a struct", URI.parse("https://example.com"), nil, ~r/\Ais %URI{.*; it may be a map or keyword list/},
        {"a bad snowflake", [content: "hi", reply_to: "123"], "reply_to",
         "is \"123\"; it may be an id (17 to 20 digits)"},
        {"no boolean", [content: "hi", silent: "yes"], "silent", "is \"yes\"; it may be true or false"},
        {"no time", [content: "hi", expires_in: 0], "expires_in", "is 0; it may be an integer from 1 to 31536000000"},
        {"a fraction of a ms", [content: "hi", expires_in: 1.5], "expires_in",
         "is 1.5; it may be an integer from 1 to 31536000000"},
        {"too long a time", [content: "hi", expires_in: 31_536_000_001], "expires_in",
         "is 31536000001; it may be an integer from 1 to 31536000000"},
        {"an unknown overflow", [content: "hi", overflow: :cut], "overflow",
         "is :cut; it may be one of error, split, truncate"}
      ] do
    test "refused: #{name}" do
      {field, message} = refused(unquote(Macro.escape(input)))
      assert field == unquote(field)
      assert message =~ unquote(Macro.escape(message))
    end
  end

  test "an error shows little of what came" do
    huge = String.duplicate("secret ", 10_000)

    for input <- [
          [content: {huge}],
          [content: "hi", reply_to: huge],
          [content: "hi", reply_to: String.to_integer(String.duplicate("9", 5_000))],
          %{huge => 1},
          [embeds: [%{title: "hi", url: String.slice(huge, 0, 2_000)}]],
          [embeds: [%{title: "hi", url: %{huge => huge}}]]
        ] do
      {field, message} = refused(input)
      assert String.length(field) < 100
      assert String.length(message) < 300
    end
  end

  describe "the length of content" do
    test "is at most 2000" do
      assert new!(String.duplicate("a", 2_000))

      assert refused(String.duplicate("a", 2_001)) ==
               {"content", "has 2001 characters; 2000 is the limit (overflow: :split or :truncate would send it)"}
    end

    test "is counted in code points, not in graphemes, UTF-16 units or bytes" do
      assert new!(String.duplicate("😀", 2_000))

      # A family is one grapheme of seven code points.
      assert {"content", "has 2002 characters" <> _} = refused(String.duplicate("👨‍👩‍👧‍👦", 286))
    end
  end

  describe "overflow" do
    @long String.duplicate("A sentence of some words. ", 200)

    test ":truncate shortens it" do
      content = new!(content: @long, overflow: :truncate).body["content"]
      assert String.length(content) <= 2_000
      assert String.ends_with?(content, "…")
      assert String.starts_with?(@long, String.trim_trailing(content, "…"))
    end

    test ":split begins with the reply and ends with what shows below the text" do
      assert {:ok, [first, second, third]} =
               Message.new(
                 content: @long,
                 overflow: :split,
                 reply_to: @id,
                 embeds: [%{title: "below"}],
                 components: [
                   %{
                     type: 1,
                     components: [%{type: 2, style: 1, label: "below", custom_id: "below"}]
                   }
                 ],
                 files: [{"a", "a"}],
                 silent: true,
                 crosspost: true,
                 expires_in: 5,
                 allowed_mentions: [:users]
               )

      assert Enum.map([first, second, third], &Map.has_key?(&1.body, "message_reference")) ==
               [true, false, false]

      for key <- ["embeds", "components", "attachments"] do
        assert Enum.map([first, second, third], &Map.has_key?(&1.body, key)) ==
                 [false, false, true]
      end

      assert Enum.map([first, second, third], &length(&1.files)) == [0, 0, 1]

      for message <- [first, second, third] do
        assert %{"flags" => 0x1000, "allowed_mentions" => %{"parse" => ["users"]}} = message.body
        assert %{crosspost: true, expires_in: 5} = message
      end

      assert Enum.map_join([first, second, third], " ", & &1.body["content"]) ==
               String.trim(@long)
    end

    test ":split has a limit too" do
      assert {:ok, messages} = Message.new(content: String.duplicate("a", 100_000), overflow: :split)

      assert length(messages) == 50

      assert refused(content: String.duplicate("a", 100_001), overflow: :split) ==
               {"content", "has 100001 characters; 100000 is the limit"}
    end

    test "does nothing where there is none" do
      for overflow <- [:error, :split, :truncate, "split"],
          do: assert(new!(content: "hi", overflow: overflow) == new!("hi"))
    end
  end

  test "what is accepted can be written as JSON and read again" do
    message =
      new!(
        content: "\0 \" \\ \u2028 😀 \u{10FFFF}",
        embeds: [
          %{
            title: "t",
            color: 0xFFFFFF,
            timestamp: ~U[2024-01-01 00:00:00.123Z],
            fields: [%{name: "n", value: "v", inline: true}]
          }
        ],
        allowed_mentions: [users: [@id], replied_user: false]
      )

    assert {:ok, json} = JSON.encode(message.body)
    assert JSON.decode(json) == {:ok, message.body}
  end
end
