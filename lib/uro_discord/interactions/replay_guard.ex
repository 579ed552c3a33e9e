defmodule UroDiscord.Interactions.ReplayGuard do
  @moduledoc false
  # What came already: ids of interactions, and webhook events, which Discord may send again. The newest are remembered; who sends
  # an old one again is found out by its timestamp (`Interactions.Signature`). Kept in ETS for whoever asks; this process owns it.

  use UroDiscord.Server

  # More than Discord signs for anybody in the time that a signature is good.
  @remembered 50_000
  # A unique integer is above minus this.
  @beyond Integer.pow(2, 64)

  @spec start_link(term()) :: GenServer.on_start()
  def start_link(_argument), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  @doc "Whether this comes for the first time. Of many who ask at once, one is told so."
  @spec new?(term(), pos_integer()) :: boolean()
  def new?(key, remembered \\ @remembered) do
    number = System.unique_integer([:monotonic])

    if :ets.insert_new(__MODULE__, {{:key, key}, number}) do
      :ets.insert(__MODULE__, {{:number, number}, key})
      if :ets.info(__MODULE__, :size) > 2 * remembered, do: forget_oldest()
      true
    else
      false
    end
  end

  defp forget_oldest do
    with {:number, _} = oldest <- :ets.next(__MODULE__, {:number, -@beyond}),
         [{_, key}] <- :ets.take(__MODULE__, oldest),
         do: :ets.delete(__MODULE__, {:key, key})
  end

  @impl true
  def init(nil), do: {:ok, :ets.new(__MODULE__, [:named_table, :ordered_set, :public, write_concurrency: true])}
end
