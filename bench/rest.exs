# What a REST request costs on top of the network: GET /users/@me of discord-sim over loopback, one after the other, by the
# NIF and by OTP's :httpc.
alias UroDiscord.{DiscordSim, Rest}

# No part of what is measured; from Elixir 1.15 on Mix hides it unless it is asked for.
if function_exported?(Mix, :ensure_application!, 1), do: apply(Mix, :ensure_application!, [:inets])
{:ok, _} = Application.ensure_all_started(:inets)
sim = DiscordSim.start!()
# A route has 10 a second, times this: more than any machine gets through.
DiscordSim.post(sim, "/settings", %{rate_limit_factor: 1_000_000})
# As behind a rest_proxy, our limiter leaves the 50 requests a second to somebody else; they would be what is measured.
proxy = String.replace_suffix(sim.info["api"], "/api/v10", "")
{:ok, config} = sim |> DiscordSim.config() |> Keyword.put(:rest_proxy, proxy) |> UroDiscord.Config.new()
{:ok, rest} = Rest.client(config)
times = Bench.size(5_000, 200)
url = String.to_charlist(sim.info["api"] <> "/users/@me")
headers = [{~c"authorization", String.to_charlist("Bot " <> sim.info["token"])}]

Bench.title("REST: GET /users/@me over loopback")

for {name, fun} <- [
      {"UroDiscord.Rest (NIF)",
       fn -> {:ok, %{body: %{"id" => _}}} = Rest.call(rest, {:raw, :get, nil, "users/@me"}) end},
      {":httpc, and json_decode/1",
       fn ->
         {:ok, {{_, 200, _}, _, body}} = :httpc.request(:get, {url, headers}, [], body_format: :binary)

         {:ok, %{"id" => _}} = UroDiscord.JSON.decode(body)
       end}
    ] do
  Bench.sample(div(times, 10), fun)
  samples = Bench.sample(times, fun)

  Bench.row(name, [
    {"p50", Bench.percentile(samples, 50), "us"},
    {"p99", Bench.percentile(samples, 99), "us"}
  ])
end

DiscordSim.stop(sim)
