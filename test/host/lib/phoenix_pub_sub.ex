defmodule Phoenix.PubSub do
  @moduledoc "As much of it as the host and UroDiscord use. The real one comes from Hex, which tests go without."

  def child_spec(name: name), do: Registry.child_spec(keys: :duplicate, name: name)

  def subscribe(pubsub, topic) do
    {:ok, _pid} = Registry.register(pubsub, topic, nil)
    :ok
  end

  def broadcast(pubsub, topic, message) do
    Registry.dispatch(pubsub, topic, fn subscribers ->
      for {pid, nil} <- subscribers, do: send(pid, message)
    end)
  end
end
