defmodule UroDiscord.LinkingCase do
  @moduledoc """
  Tests of linking: discord-sim, UroDiscord with a listener and accounts, once for a module, and people with browsers. `start!/2` is for `setup_all`.
  """

  use ExUnit.CaseTemplate
  import UroDiscord.Case
  import UroDiscord.FreePort

  alias UroDiscord.{Browser, DiscordSim, Runtime, Store, Stores, TestDirectory, TestHost}

  using do
    quote do
      import ExUnit.CaptureLog
      import UroDiscord.Case
      import UroDiscord.FreePort
      import UroDiscord.LinkingCase
      alias UroDiscord.{Accounts, Browser, DiscordSim, Peer, TestDirectory, TestHost}
      alias UroDiscord.Accounts.Link
    end
  end

  # As at the start: nobody is linked, or has begun a login.
  setup do
    TestHost.clear()
    for id <- ~w(ada bob eve admin), do: TestDirectory.put(id, display_name: String.capitalize(id))
    TestDirectory.put("mallory", locked?: true)
    {:ok, %{store: store}} = Runtime.fetch()
    tables = ~w(uro_discord_links uro_discord_ended_links uro_discord_link_states uro_discord_members)
    {:ok, _} = Store.run(store, for(table <- tables, do: {"DELETE FROM #{table}", []}), :write)
    :ets.delete_all_objects(UroDiscord.Web.RateLimit)
    :ok
  end

  @doc "Starts it with this store, these of `accounts:` (or a function that makes them for a simulator), and these options. Returns the tests' context."
  def start!(adapter, accounts \\ [], options \\ []) do
    sim = start_sim!()
    accounts = accounts(sim, if(is_function(accounts), do: accounts.(sim), else: accounts))
    start_uro_discord!(sim, Stores.options!(adapter) ++ accounts ++ options)
    true = eventually(fn -> match?({:ok, %{web: %{state: :listening}}}, UroDiscord.status()) end)
    %{sim: sim, url: accounts[:accounts][:public_url], accounts: accounts[:accounts]}
  end

  defp accounts(sim, more) do
    port = free_port()

    ours = [
      directory: TestHost,
      client_secret: sim.info["client_secret"],
      oauth_url: sim.info["oauth"],
      public_url: "http://127.0.0.1:#{port}/discord",
      current_user: {TestHost, :current_user},
      may_add_bot: {TestHost, :admin?}
    ]

    [web: [port: port], accounts: Keyword.merge(ours, more)]
  end

  @doc "A browser in which somebody is logged in at Uro."
  def browser(user), do: Browser.new(%{"uro" => user})

  @doc "Agrees at Discord as somebody, and is sent back with a code; the way back is not gone."
  def agree(browser, person, answer \\ "true") do
    %{response: %{status: 303}} = browser
    url = browser.response.headers["location"] <> "&as=#{person}"
    shown = Browser.get(browser, url)
    200 = shown.response.status
    answered = Browser.post(shown, url, body: "authorize=#{answer}")
    true = answered.response.status in [302, 303]
    answered
  end

  @doc "Links a user with an account, all the way."
  def link(url, user, person) do
    linked = user |> browser() |> Browser.get(url <> "/link") |> agree(person) |> Browser.follow()
    200 = linked.response.status
    linked
  end

  def account(sim, person), do: TestDirectory.person(sim, person)
  def body(browser), do: browser.response.body
  def status(browser), do: browser.response.status
end
