defmodule UroDiscord.Gateway.Identify do
  @moduledoc false
  # The shards that wait to identify, and those that may. Part of `UroDiscord.Gateway.Leader`, which stores the budget before it tells the
  # bridge of a permission; the process gets `:identify` when it is time to `proceed/1`, and Discord's answer.

  require Logger

  alias UroDiscord.{Error, Rest}
  alias UroDiscord.Gateway.Budget

  # Until Discord is asked again for its limit, if it did not answer.
  @ask_again_ms 5_000
  # Shards wait for each other, but not for longer than this.
  @often_ms 15_000

  @enforce_keys [:floor]
  defstruct [
    :floor,
    :rest,
    budget: %Budget{},
    waiting: MapSet.new(),
    permitted: [],
    # The request for Discord's limit.
    asking: nil,
    timer: nil,
    # Why nobody may identify.
    stopped: nil
  ]

  @type t :: %__MODULE__{
          floor: non_neg_integer(),
          rest: Rest.client() | nil,
          budget: Budget.t(),
          waiting: MapSet.t(non_neg_integer()),
          permitted: [non_neg_integer()],
          asking: reference() | nil,
          timer: reference() | nil,
          stopped: :refused | :unauthorized | nil
        }

  @typedoc "What the shards that still wait are waiting for."
  @type next :: :nothing | :ask | {:wait, pos_integer()} | {:refused, integer()}

  @doc "The bridge says that a shard waits. One that was permitted and did not identify has spent nothing."
  @spec waiting(t(), non_neg_integer()) :: t()
  def waiting(identify, shard),
    do: %{identify | budget: Budget.unused(identify.budget, shard), waiting: MapSet.put(identify.waiting, shard)}

  @doc "The bridge says that a shard identifies."
  @spec identifying(t(), non_neg_integer(), integer()) :: t()
  def identifying(identify, shard, now),
    do: %{
      identify
      | budget: Budget.identifying(identify.budget, shard, now),
        waiting: MapSet.delete(identify.waiting, shard)
    }

  @doc "The bridge of these shards ended, and with it whoever waited."
  @spec bridge_ended(t(), :all | MapSet.t(non_neg_integer())) :: t()
  def bridge_ended(identify, :all),
    do: %{identify | budget: Budget.settle(identify.budget), waiting: MapSet.new(), permitted: []}

  def bridge_ended(identify, shards),
    do: %{
      identify
      | budget: Budget.settle(identify.budget, shards),
        waiting: MapSet.difference(identify.waiting, shards),
        permitted: Enum.reject(identify.permitted, &(&1 in shards))
    }

  @doc "Permits what the budget allows now, in the order of the shards."
  @spec step(t(), integer()) :: {next(), t()}
  def step(identify, now), do: identify.waiting |> Enum.sort() |> Enum.reduce({:nothing, identify}, &step(&1, &2, now))

  defp step(shard, {next, identify}, now) do
    case Budget.next(identify.budget, shard, identify.floor, now) do
      :ok ->
        {next,
         %{
           identify
           | budget: Budget.spend(identify.budget, shard, now),
             waiting: MapSet.delete(identify.waiting, shard),
             permitted: identify.permitted ++ [shard]
         }}

      other ->
        {first(next, other), identify}
    end
  end

  defp first(:nothing, other), do: other
  defp first({:wait, ms}, {:wait, other}), do: {:wait, min(ms, other)}
  # A limit that is known anew changes what everyone waits for.
  defp first(:ask, _other), do: :ask
  defp first(_next, :ask), do: :ask
  defp first({:wait, ms}, _refused), do: {:wait, ms}
  defp first(refused, _other), do: refused

  @doc "Takes the permits that are in the store by now."
  @spec granted(t(), [non_neg_integer()]) :: {[non_neg_integer()], t()}
  def granted(identify, stored) do
    {granted, permitted} = Enum.split_with(identify.permitted, &(&1 in stored))
    {granted, %{identify | permitted: permitted}}
  end

  @doc "Permits what can be, and sees to it that the others come to their turn."
  @spec proceed(t()) :: t()
  def proceed(identify) do
    if identify.timer, do: Process.cancel_timer(identify.timer)
    {next, identify} = step(%{identify | timer: nil}, now())

    case next do
      :nothing -> identify
      :ask -> ask(identify)
      {:wait, ms} -> wait(identify, ms)
      {:refused, until} -> refused(identify, until)
    end
  end

  defp wait(identify, ms) do
    if ms > @often_ms, do: Logger.warning("the gateway identifies in #{div(ms, 1000)} s: it had to do so often of late")
    again_in(identify, ms)
  end

  defp refused(identify, until) do
    message =
      "#{identify.budget.limit.remaining} identifies are left, and gateway: [identify_floor:] is #{identify.floor}: Discord takes the " <>
        "token away from a bot that uses them up. The gateway goes on at #{DateTime.from_unix!(until, :millisecond)}; find out what else " <>
        "uses this token, or why sessions end"

    identify |> again_in(max(until - now(), 0) + 1_000) |> stopped(:refused, message)
  end

  defp again_in(identify, ms), do: %{identify | timer: Process.send_after(self(), :identify, ms)}

  @doc "Asks Discord for its limit, which also says how many shards there should be."
  @spec ask(t()) :: t()
  def ask(%{asking: nil} = identify) do
    {:ok, ref} = Rest.request(identify.rest, :get_gateway_bot, retry: :safe, deadline_ms: 15_000)
    %{identify | asking: ref}
  end

  def ask(identify), do: identify

  @doc "Takes a message that may be Discord's answer: what it recommends, and whoever may identify by that."
  @spec answered(t(), term()) :: {:recommended, pos_integer(), t()} | {:failed, t()} | :unrelated
  def answered(%{asking: nil}, _message), do: :unrelated

  def answered(%{asking: ref} = identify, message) do
    case Rest.answer(message, ref) do
      :unrelated -> :unrelated
      {:ok, %{body: body}} -> limit(%{identify | asking: nil}, Budget.answered(identify.budget, body, now()))
      {:error, error} -> {:failed, failed(%{identify | asking: nil}, error)}
    end
  end

  defp limit(identify, {:ok, budget}),
    do: {:recommended, budget.limit.shards, proceed(%{identify | budget: budget, stopped: nil})}

  defp limit(identify, :error) do
    error = %Error{kind: :response, message: "its answer has no session_start_limit"}
    {:failed, failed(identify, error)}
  end

  # Discord has said so by mistake too, so it is asked again as rarely as the REST client lets one go to see.
  defp failed(identify, %Error{kind: :unauthorized} = error) do
    ask_again(error)

    stopped(
      identify,
      :unauthorized,
      "Discord does not accept the bot's token (401), so the gateway is not connected. Set :token to the one on the Bot page of " <>
        "the developer portal and restart"
    )
  end

  defp failed(identify, error) do
    Logger.warning("Discord does not say how many identifies are left: #{Exception.message(error)}; it is asked again")
    ask_again(error)
    identify
  end

  defp ask_again(error), do: Process.send_after(self(), :ask, max(error.retry_after_ms || 0, @ask_again_ms))

  # Said once.
  defp stopped(%{stopped: why} = identify, why, _message), do: identify

  defp stopped(identify, why, message) do
    Logger.error(message)
    %{identify | stopped: why}
  end

  @doc "`identifies` of `UroDiscord.status/0`."
  @spec status(t()) :: map()
  def status(%{budget: %{limit: limit}} = identify) do
    %{
      state: identify.stopped || :ok,
      remaining: limit && limit.remaining,
      reset_at: limit && DateTime.from_unix!(limit.reset_at, :millisecond),
      waiting: Enum.sort(identify.waiting)
    }
  end

  defp now, do: System.os_time(:millisecond)
end
