defmodule UroDiscord.Shards.Presence do
  @moduledoc false
  # The visible shards to the bot's presence. It looks at them a moment after a change, however many changes come meanwhile; the
  # bridge keeps to Discord's rate.

  use UroDiscord.Server
  require Logger

  alias UroDiscord.{Config, Desired, Events, Shards}
  alias UroDiscord.Shards.{Template, Text}

  # https://discord.com/developers/docs/events/gateway-events#activity-object-activity-types: a custom status shows `state` alone.
  @custom_status 4
  @text_length 128
  @look_after 200
  @function_timeout 2_000

  @spec start_link(Config.t()) :: GenServer.on_start()
  def start_link(%Config{} = config),
    do: GenServer.start_link(__MODULE__, config, name: __MODULE__)

  @impl true
  def init(config) do
    :ok = Events.subscribe(:shards)
    :ok = Events.subscribe(:status)
    {:ok, %{config: config, text: :unknown, looking?: false, failing?: false}, {:continue, :look}}
  end

  @impl true
  def handle_continue(:look, state), do: {:noreply, look(state)}

  @impl true
  def handle_info({:uro_discord, :shards, _event}, state), do: {:noreply, look_soon(state)}
  def handle_info({:uro_discord, :status, {:shards, _status}}, state), do: {:noreply, look_soon(state)}
  def handle_info({:uro_discord, :status, _other}, state), do: {:noreply, state}
  def handle_info(:look, state), do: {:noreply, look(%{state | looking?: false})}

  defp look_soon(%{looking?: true} = state), do: state

  defp look_soon(state) do
    Process.send_after(self(), :look, @look_after)
    %{state | looking?: true}
  end

  defp look(state) do
    {text, state} = text(Shards.visible(), Shards.source_status(), state)
    if text != state.text, do: Desired.put("presence", text && presence(text))
    %{state | text: text}
  end

  # Nobody knows whether a world is open, so nothing is said.
  defp text([], status, state) when status != :reachable, do: {nil, state}
  defp text([], _status, state), do: {state.config.presence_idle, state}

  defp text(shards, _status, %{config: %{presence: function}} = state) when is_function(function) do
    case call(function, shards) do
      {:ok, text} -> {text, %{state | failing?: false}}
      {:error, reason} -> {counted(Template.default(), shards, state), failing(state, reason)}
    end
  end

  defp text(_shards, _status, %{config: %{presence: nil}} = state), do: {nil, state}
  defp text(shards, _status, state), do: {counted(state.config.presence, shards, state), state}

  defp counted(template, shards, state) do
    uncounted? = Enum.all?(shards, &(&1.players == nil))
    template = if uncounted?, do: state.config.presence_uncounted, else: template
    template && Template.fill(template, shards, @text_length)
  end

  # The host's function, which may crash, take for ever, and return anything.
  defp call(function, shards) do
    {pid, monitor} = spawn_monitor(fn -> exit({:returned, guarded(function, shards)}) end)

    receive do
      {:DOWN, ^monitor, :process, ^pid, {:returned, result}} -> result
      {:DOWN, ^monitor, :process, ^pid, reason} -> {:error, "ended with #{Exception.format_exit(reason)}"}
    after
      @function_timeout ->
        Process.exit(pid, :kill)
        Process.demonitor(monitor, [:flush])
        {:error, "did not return within #{@function_timeout} ms"}
    end
  end

  defp guarded(function, shards) do
    case function.(shards) do
      nil -> {:ok, nil}
      text when is_binary(text) -> {:ok, with("" <- Text.plain(text, @text_length), do: nil)}
      other -> {:error, "returned #{inspect(other, limit: 5, printable_limit: 40)}, which is neither a text nor nil"}
    end
  catch
    kind, reason -> {:error, Exception.format_banner(kind, reason, __STACKTRACE__)}
  end

  defp failing(%{failing?: true} = state, _reason), do: state

  defp failing(state, reason) do
    Logger.error("the function of `presence:` #{reason}; the usual text is shown instead")
    %{state | failing?: true}
  end

  defp presence(text) do
    %{
      "since" => nil,
      "afk" => false,
      "status" => "online",
      # Discord wants a name here and does not show it.
      "activities" => [%{"name" => "Custom Status", "type" => @custom_status, "state" => text}]
    }
  end
end
