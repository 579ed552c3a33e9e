defmodule UroDiscord.Case do
  @moduledoc """
  Tests against the real thing: discord-sim, the NIF and the bridge. UroDiscord runs once in a VM, so these are not async.

  `start_uro_discord!/2` starts it against a simulator and subscribes the test to `:status`; `wait_for/2` waits for one of
  its events.
  """

  use ExUnit.CaseTemplate
  alias UroDiscord.DiscordSim

  using do
    quote do
      import UroDiscord.Case
      alias UroDiscord.DiscordSim
    end
  end

  def start_sim!(arguments \\ []) do
    sim = DiscordSim.start!(arguments)
    ExUnit.Callbacks.on_exit(fn -> DiscordSim.stop(sim) end)
    sim
  end

  def start_uro_discord!(sim, options \\ []) do
    config = sim |> DiscordSim.config() |> Keyword.merge(options)
    ExUnit.Callbacks.start_supervised!({UroDiscord, config})
    UroDiscord.subscribe(:status)
    :ok
  end

  @doc "Starts it and waits until Discord's gateway is connected."
  def start_connected!(sim, options \\ []) do
    start_uro_discord!(sim, options)
    {:ok, %{gateway: %{shards: shards}}} = UroDiscord.status()

    case shards do
      %{0 => %{state: :active} = fact} -> fact
      _ -> wait_for(&match?({:gateway, 0, %{state: :active}}, &1)) |> elem(2)
    end
  end

  @doc """
  Somebody of the simulator's people is in this voice channel from now on, by its name there (nil: in none). Returns when portals know it, and says as what id.
  """
  def enters(sim, person, channel \\ "world") do
    %{"id" => id} = sim.info["users"][person]
    there = channel && sim.info["channels"][channel]
    member = %{user: %{id: id, username: person, global_name: nil, bot: false}, nick: nil, roles: []}
    state = %{guild_id: sim.info["guild_id"], channel_id: there, user_id: id, session_id: person, member: member}
    DiscordSim.post(sim, "/dispatch", %{type: "VOICE_STATE_UPDATE", data: state})

    ExUnit.Assertions.assert(
      eventually(fn ->
        case UroDiscord.Portal.Members.in_channel(sim.info["guild_id"], there || sim.info["channels"]["world"]) do
          {:ok, users} -> id in users == (there != nil)
          :unknown -> false
        end
      end)
    )

    id
  end

  @doc "Waits until the source of shards is `:reachable`, or `:unreachable`, for the reason that this returns."
  def wait_for_source(state) do
    case UroDiscord.Shards.source_status() do
      ^state ->
        state

      {^state, reason} ->
        reason

      _ ->
        wait_for(&(match?({:shards, ^state}, &1) or match?({:shards, {^state, _}}, &1)))
        |> then(fn _ -> wait_for_source(state) end)
    end
  end

  @doc "The next `:status` event that `matches?` likes; those before it are passed over."
  def wait_for(matches?, timeout \\ 15_000),
    do: wait_until(matches?, System.monotonic_time(:millisecond) + timeout)

  defp wait_until(matches?, deadline) do
    receive do
      {:uro_discord, :status, event} ->
        if matches?.(event), do: event, else: wait_until(matches?, deadline)
    after
      max(deadline - System.monotonic_time(:millisecond), 0) ->
        ExUnit.Assertions.flunk("no such :status event came; #{inspect(UroDiscord.status())}")
    end
  end

  @doc """
  Asks until the answer is true, and returns it; false after a while. For what has no event to wait for, such as the operating system's own
  books. It asks every 50 ms, so often that a busy machine has 15 s, as for an event.
  """
  def eventually(true?, tries \\ 300) do
    cond do
      value = true?.() -> value
      tries == 0 -> false
      true -> Process.sleep(50) && eventually(true?, tries - 1)
    end
  end
end
