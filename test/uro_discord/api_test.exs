defmodule UroDiscord.ApiTest do
  # Every public function, before UroDiscord is started and with `enabled: false`: an error that says so, or a value that is true
  # there too. They are found by their documentation, so that one which comes later is asked as well.
  use UroDiscord.Case

  alias UroDiscord.{Delivery, Error, Interaction, Keys, Notify, Portal, Secret, Shards, Voice}

  @id "1100000000000000001"

  # Of these modules every function works on what it is given, or (BodyReader and Plug) on a connection of the host's.
  @pure [
    UroDiscord.Config,
    UroDiscord.Feeds.Event,
    UroDiscord.Snowflake,
    UroDiscord.Store,
    Notify.Message,
    Notify.Split,
    Shards.Announcements,
    Shards.Template,
    Shards.Text,
    UroDiscord.BodyReader,
    UroDiscord.Plug,
    UroDiscord.Accounts.Mapping,
    UroDiscord.Accounts.Nickname,
    UroDiscord.Accounts.UroDirectory,
    # These read the configuration, and say what is wrong with it.
    UroDiscord.Apart,
    UroDiscord.Setup.Doctor,
    UroDiscord.Setup.Invite
  ]

  # What each is called with; `:pure` needs nothing running.
  defp calls do
    delivery = %Delivery{id: "d", channel_id: @id, status: :queued}
    event = %{subscriber: self(), shard: 0, session: "s", seq: 1}

    interaction = %Interaction{
      id: @id,
      application_id: @id,
      token: Secret.wrap("t"),
      kind: :command,
      user: %{id: @id, name: "bob"},
      data: %{}
    }

    %{
      {UroDiscord, :ack, 1} => [event],
      {UroDiscord, :await, 2} => [delivery, 100],
      {UroDiscord, :dead_letters, 1} => [[]],
      {UroDiscord, :delete, 1} => [delivery],
      {UroDiscord, :edit, 2} => [delivery, "x"],
      {UroDiscord, :notify, 2} => [@id, "x"],
      {UroDiscord, :notify!, 2} => [@id, "x"],
      {UroDiscord, :retry, 1} => ["d"],
      {UroDiscord, :start_link, 1} => :pure,
      {UroDiscord, :status, 0} => [],
      {UroDiscord, :subscribe, 2} => [{:gateway, "GUILD_CREATE"}, []],
      {UroDiscord, :unsubscribe, 1} => [:shards],
      {UroDiscord.Gateway.Leader, :held?, 0} => [],
      {Interaction, :edit, 2} => [interaction, "x"],
      {UroDiscord.Accounts, :by_discord, 1} => [@id],
      {UroDiscord.Accounts, :link, 1} => ["u"],
      {UroDiscord.Accounts, :link_url, 1} => [@id],
      {UroDiscord.Accounts, :links, 1} => [[]],
      {UroDiscord.Accounts, :sync, 1} => ["u"],
      {UroDiscord.Accounts, :unlink, 2} => ["u", :user],
      {UroDiscord.Accounts.Preview, :all, 0} => [],
      {UroDiscord.Accounts.Tasks, :run, 2} => [:groups, []],
      # It prints that.
      {UroDiscord.Accounts.Preview, :print, 0} => :pure,
      {UroDiscord.Bridges, :drain, 2} => [:local, true],
      {UroDiscord.Bridges, :status, 0} => [],
      {UroDiscord.Bridges, :undrain, 1} => [:local],
      {Keys, :list, 1} => [nil],
      {Keys, :new, 3} => ["ci", [channels: ["*"]], nil],
      {Keys, :revoke, 2} => ["ci", nil],
      {Keys, :rotate, 3} => ["ci", [], nil],
      {Portal, :camera, 2} => ["lobby", "world:ada"],
      {Portal, :stop, 2} => ["lobby", "world:ada"],
      {Portal, :stop, 3} => ["lobby", "world:ada", false],
      {Portal, :close, 1} => ["lobby"],
      {Portal, :gain, 3} => ["lobby", "world:ada", 2],
      {Portal, :list, 0} => [],
      {Portal, :mute, 3} => ["lobby", "world:ada", true],
      {Portal, :open, 2} => [@id, []],
      {Portal, :status, 1} => ["lobby"],
      {Portal, :token, 2} => ["lobby", [role: :peer, who: "ada"]],
      {Portal, :url, 2} => ["lobby", :peer],
      {Shards, :delete, 1} => ["7"],
      {Shards, :hidden, 0} => [],
      {Shards, :hide, 1} => ["*casino*"],
      {Shards, :list, 0} => [],
      {Shards, :put, 1} => [[id: "7", name: "Plaza"]],
      {Shards, :source_status, 0} => [],
      {Shards, :unhide, 1} => ["*casino*"],
      {Shards, :visible, 0} => [],
      {Voice, :join, 3} => [@id, @id, []],
      {Voice, :leave, 1} => [@id],
      {Voice, :play, 3} => [@id, nil, []],
      {Voice, :status, 1} => [@id]
    }
  end

  # Values that are true where nothing runs.
  @quiet %{
    {UroDiscord.Gateway.Leader, :held?, 0} => false,
    {UroDiscord, :unsubscribe, 1} => :ok,
    {Shards, :list, 0} => [],
    {Shards, :visible, 0} => [],
    {Shards, :source_status, 0} => :starting
  }

  # And where it is disabled.
  @disabled %{
    {UroDiscord, :ack, 1} => :ok,
    {UroDiscord, :status, 0} => {:ok, %{enabled: false}},
    {UroDiscord, :subscribe, 2} => :ok,
    {Shards, :put, 1} => :ok,
    {Shards, :delete, 1} => :ok,
    {Shards, :source_status, 0} => :reachable
  }

  defp public do
    for module <- Application.spec(:uro_discord, :modules) -- @pure,
        to_string(module.module_info(:compile)[:source]) =~ "/lib/",
        {:docs_v1, _, _, _, moduledoc, _, docs} when moduledoc != :hidden <- [Code.fetch_docs(module)],
        # The boundary to the NIF is not for hosts.
        not String.starts_with?(inspect(module), ["Inspect.", "Mix.", "UroDiscord.Native"]),
        {{:function, name, arity}, _, _, doc, _} when doc != :hidden <- docs,
        name not in [:child_spec, :exception, :message],
        do: {module, name, arity}
  end

  defp call({module, name, _arity}, arguments) do
    apply(module, name, arguments)
  rescue
    # notify!/2 and its like.
    error in Error -> {:error, error}
  end

  defp each_says(kind, quiet) do
    calls = calls()

    for function <- public() do
      case Map.fetch(calls, function) do
        {:ok, :pure} ->
          :ok

        {:ok, arguments} ->
          result = call(function, arguments)

          case Map.fetch(quiet, function) do
            {:ok, value} -> assert {function, result} == {function, value}
            :error -> assert {^function, {:error, %Error{kind: ^kind}}} = {function, result}
          end

        :error ->
          flunk("#{inspect(function)} is new: say here what it is called with")
      end
    end
  end

  test "before it is started" do
    assert length(public()) > 25
    each_says(:not_started, @quiet)
  end

  test "with enabled: false" do
    start_supervised!({UroDiscord, enabled: false})
    quiet = Map.merge(@quiet, @disabled)
    dropped = Map.keys(calls()) |> Enum.filter(&match?({UroDiscord, name, 2} when name in [:notify, :notify!], &1))
    assert {:ok, %Delivery{status: :dropped}} = UroDiscord.notify(@id, "x")
    assert %Delivery{status: :dropped} = UroDiscord.notify!(@id, "x")
    # One of a time when it was enabled, which the host has kept.
    kept = %Delivery{id: "d", channel_id: @id, status: :delivered, message_id: @id}
    assert {:error, %Error{kind: :disabled}} = UroDiscord.edit(kept, "x")
    assert {:error, %Error{kind: :disabled}} = UroDiscord.delete(kept)
    without_notify = Map.drop(calls(), dropped)
    assert map_size(without_notify) == map_size(calls()) - 2

    for {function, arguments} <- without_notify, arguments != :pure do
      result = call(function, arguments)
      # What it has put is not there for the next one.
      if match?({Shards, :put, 1}, function), do: :ok = Shards.delete("7")

      case Map.fetch(quiet, function) do
        {:ok, value} -> assert {function, result} == {function, value}
        :error -> assert {^function, {:error, %Error{kind: :disabled}}} = {function, result}
      end
    end
  end

  describe "subscribe/2 refuses" do
    setup do
      sim = start_sim!()
      start_connected!(sim, gateway: [events: ["CHANNEL_CREATE"]])
      :ok
    end

    test "at once what could never say anything, and says what there is" do
      for {topic, options, field, says} <- [
            {:shard, [], "topic", "is :shard; it may be :shards, :status"},
            {"shards", [], "topic", ~s(is "shards"; it may be)},
            {{:gateway, :message_create}, [], "topic", ~s(did you mean "MESSAGE_CREATE"?)},
            {{:gateway, "MESAGE_CREATE"}, [], "topic", ~s(did you mean "MESSAGE_CREATE"?)},
            {{:gateway, %{}}, [], "topic", "is not a dispatch of Discord's gateway"},
            {{:gateway, "MESSAGE_CREATE"}, [], "topic", "comes only with :guild_messages or :direct_messages"},
            {{:webhook, "APPLICATION_DEAUTHORISED"}, [], "topic", ~s(did you mean "APPLICATION_DEAUTHORIZED"?)},
            {{:webhook, "APPLICATION_DEAUTHORIZED"}, [], "topic", "public_key:"},
            {:voice, [], "topic", ":guild_voice_states"},
            {:portal, [], "topic", "portal: [key: …]"},
            {:shards, [acks: true], "options", ":acks is not an option"},
            {:shards, [ack: :yes], "ack", "true or false"},
            {:shards, :ack, "options", "[ack: true]"},
            {:shards, [ack: true], "ack", "only events of Discord's gateway"},
            {{:gateway, "GUILD_CREATE"}, [ack: true], "ack", ~s(gateway: [events: ["CHANNEL_CREATE", "GUILD_CREATE"]])}
          ] do
        assert {:error, %Error{kind: :invalid, field: ^field} = error} = UroDiscord.subscribe(topic, options)
        assert Exception.message(error) =~ says
      end

      assert {:error, %Error{kind: :invalid, field: "event"}} = UroDiscord.ack(%{type: "CHANNEL_CREATE"})
      assert :ok = UroDiscord.subscribe({:gateway, "GUILD_CREATE"})
      assert :ok = UroDiscord.subscribe({:gateway, "CHANNEL_CREATE"}, ack: true)
      assert :ok = UroDiscord.unsubscribe({:gateway, :never})
      assert {:ok, %{bridge: %{state: :up, restarts: 0}}} = UroDiscord.status()
    end
  end

  test "what it was started with is in no report of a supervisor, and neither is a wrong option" do
    secret = "s3cret of mine"
    spec = UroDiscord.child_spec(token: secret)
    refute inspect(spec, structs: false) =~ secret
    refute "~p" |> :io_lib.format([spec]) |> IO.iodata_to_binary() =~ secret

    error = catch_error(UroDiscord.start_link(secret))
    refute Exception.message(error) =~ secret
    assert Exception.message(error) =~ "the options are not a keyword list"
  end
end
