# What bench/accounts.exs asks for, as a host would write it: a directory, rules, and the task over everybody, as `mix uro_discord.update_all_groups` runs it.
# Without the gateway, through which a node that serves would have put right what happens in between. See bench/program.ex for when it says what.

alias UroDiscord.Accounts.Links
alias UroDiscord.{Apart, Runtime}

defmodule Bench.Directory do
  @moduledoc false
  @behaviour UroDiscord.Accounts.Directory

  @impl true
  def get(id), do: {:ok, user(id)}

  @impl true
  def get_many(ids), do: {:ok, Map.new(ids, &{&1, user(&1)})}

  def lock(id), do: :persistent_term.put({__MODULE__, id}, true)

  defp user(id) do
    number = String.to_integer(id)
    rare = if rem(number, 100) == 0, do: ["rare"], else: []
    groups = ["g#{rem(number, 3)}", "g#{rem(number + 1, 3)}" | rare]

    %UroDiscord.Accounts.User{
      id: id,
      display_name: "User #{id}",
      groups: groups,
      locked?: :persistent_term.get({__MODULE__, id}, false)
    }
  end
end

defmodule Bench.Lines do
  @moduledoc false
  def serve do
    case IO.gets("") |> to_string() |> String.split() do
      ["sync"] ->
        {:ok, summary} = UroDiscord.Accounts.Tasks.run(:groups)
        {:ok, json} = UroDiscord.JSON.encode(%{summary | who: Enum.map(summary.who, &Tuple.to_list/1)})
        IO.puts("synced #{json}")
        serve()

      ["lock", id] ->
        Bench.Directory.lock(id)
        IO.puts("locked")
        serve()

      _end ->
        :ok
    end
  end
end

{:ok, _} = Application.ensure_all_started(:uro_discord)
groups = for name <- ["g0", "g1", "g2", "rare"], do: {{:group, name}, {:named, name}}

Application.put_all_env(
  uro_discord: [
    token: System.fetch_env!("DISCORD_TOKEN"),
    api_url: System.fetch_env!("DISCORD_API"),
    database: System.fetch_env!("DATABASE"),
    intents: [:guilds, :guild_members],
    accounts: [
      directory: Bench.Directory,
      client_secret: "not-used-in-this-bench",
      public_url: "http://127.0.0.1/discord",
      guilds: [
        [id: System.fetch_env!("DISCORD_GUILD_ID"), roles: [{:linked, {:named, "Member"}} | groups], create_roles: true]
      ],
      tasks: [retry_pause: String.to_integer(System.fetch_env!("RETRY_PAUSE"))]
    ]
  ]
)

:ok = Apart.start()
{:ok, %{store: store}} = Runtime.fetch()

# Several at once, as each is on the disk when it returns.
link = fn {discord_id, number} -> {:ok, :new, _} = Links.put(store, "#{number}", String.trim(discord_id), "@member") end
members = "MEMBERS" |> System.fetch_env!() |> File.stream!() |> Stream.with_index()
members |> Task.async_stream(link, max_concurrency: 256) |> Stream.run()

IO.puts("ready")
Bench.Lines.serve()
