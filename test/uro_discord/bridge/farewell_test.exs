defmodule UroDiscord.Bridge.FarewellTest do
  use ExUnit.Case, async: true

  alias UroDiscord.Bridge
  alias UroDiscord.Bridge.Farewell

  # An owner whose bridge takes its time to end.
  defmodule Slow do
    use UroDiscord.Server

    def start_link(name), do: GenServer.start_link(__MODULE__, name, name: Bridge.server(name))
    @impl true
    def init(name), do: {:ok, name}
    @impl true
    def handle_call(:let_go, from, name) do
      Process.send_after(self(), {:gone, from}, 500)
      {:noreply, name}
    end

    @impl true
    def handle_info({:gone, from}, name) do
      GenServer.reply(from, :ok)
      {:noreply, name}
    end
  end

  test "all bridges end at the same time" do
    names = for n <- 1..8, do: :"slow#{n}@farewell"
    for name <- names, do: start_supervised!(%{id: name, start: {Slow, :start_link, [name]}})
    # One that is not there.
    bridges = for name <- [:nobody@farewell | names], do: %{name: name}
    start_supervised!({Farewell, %UroDiscord.Config{enabled: true, bridges: bridges}})
    {us, :ok} = :timer.tc(fn -> stop_supervised(Farewell) end)
    assert us in 500_000..3_000_000
  end
end
