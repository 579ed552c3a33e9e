defmodule UroDiscord.Shards.PubSubTest do
  # test/host has the PubSub that starts after us.
  use UroDiscord.Case
  import ExUnit.CaptureLog

  alias UroDiscord.Shards

  defmodule Adapter do
    use GenServer

    def start_link({test, mood}), do: GenServer.start_link(__MODULE__, {test, mood}, name: __MODULE__)
    @impl true
    def init(state), do: {:ok, state}
    @impl true
    def handle_call({topic, message}, _from, {test, :well} = state) do
      send(test, {topic, message})
      {:reply, :ok, state}
    end

    def handle_call(_request, _from, {test, :hangs} = state) do
      send(test, :asked)
      {:noreply, state}
    end
  end

  # Phoenix is the host's; this is what it does where the adapter asks a process. Other tests find that it is not there.
  setup do
    broadcast = quote(do: def(broadcast(pubsub, topic, message), do: GenServer.call(pubsub, {topic, message}, 100)))
    Module.create(Phoenix.PubSub, broadcast, Macro.Env.location(__ENV__))

    on_exit(fn ->
      :code.delete(Phoenix.PubSub)
      :code.purge(Phoenix.PubSub)
    end)
  end

  test "an adapter that hangs, or ends, costs no event, and the order stays" do
    start_supervised!({UroDiscord, enabled: false})
    start_supervised!({Adapter, {self(), :hangs}}, id: :hangs)
    pid = start_supervised!({Shards.PubSub, Adapter})

    capture_log(fn ->
      for id <- 1..3, do: :ok = Shards.put(id: id)
      assert_receive :asked, 5_000
      stop_supervised!(:hangs)
      start_supervised!({Adapter, {self(), :well}}, id: :well)

      for id <- ~w(1 2 3) do
        assert_receive {"uro_discord:shards", {:uro_discord, :shards, {:opened, %{id: came}}}}, 5_000
        assert came == id
      end
    end)

    assert GenServer.whereis(Shards.PubSub) == pid
  end
end
