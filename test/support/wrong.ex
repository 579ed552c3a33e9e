defmodule UroDiscord.Wrong do
  @moduledoc """
  Wrong set-ups of a discord-sim: what it answers to a GET is taken from it, changed, and answered from then on, over the same socket.
  """

  alias UroDiscord.{DiscordSim, HttpClient, JSON}

  @doc "From now on the answer at this path of the API is what `change` makes of what it is."
  @spec answer(DiscordSim.t(), String.t(), (map() -> map())) :: :ok
  def answer(sim, path, change) do
    headers = [{"authorization", "Bot " <> sim.info["token"]}]
    url = sim.info["api"] <> path
    {200, _headers, json} = HttpClient.call(url, "GET", URI.parse(url).path, headers, "")
    {:ok, term} = JSON.decode(json)
    rule(sim, path, %{status: 200, body: change.(term)})
  end

  @doc "From now on it is refused."
  @spec refuse(DiscordSim.t(), String.t(), pos_integer(), non_neg_integer()) :: :ok
  def refuse(sim, path, status, code),
    do: rule(sim, path, %{status: status, body: %{code: code, message: "refused with #{code}"}})

  @doc "What is added to the answer: headers, or whatever else a rule of `POST /faults` has."
  @spec rule(DiscordSim.t(), String.t(), map()) :: :ok
  def rule(sim, path, rule) do
    # The first that matches applies: what is said last goes first.
    rules = DiscordSim.get(sim, "/faults")
    DiscordSim.delete(sim, "/faults")
    rule = Map.merge(%{method: "GET", route: path, times: 1_000}, rule)
    DiscordSim.post(sim, "/faults", [rule | rules])
    :ok
  end

  @doc "All is as it was."
  @spec none(DiscordSim.t()) :: :ok
  def none(sim) do
    DiscordSim.delete(sim, "/faults")
    :ok
  end
end
