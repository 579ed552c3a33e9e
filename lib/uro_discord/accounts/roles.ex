defmodule UroDiscord.Accounts.Roles do
  @moduledoc false
  # Makes roles that rules name and that are not there, where `create_roles: true` allows it. One at a time for each guild, among all nodes, and only after a
  # look at what Discord has by then: so none is made twice.

  require Logger
  alias UroDiscord.Accounts.{Guild, Guilds, Plan, Turns}
  alias UroDiscord.{Error, Rest, Runtime}

  @doc "The guild with the roles that a plan wants made. One that cannot be made is missing; in a guild that is lost nothing can be done."
  @spec make(Guild.t(), Plan.t(), keyword()) :: {:ok, Guild.t()} | {:error, Error.t()}
  def make(guild, %{create: []}, _options), do: {:ok, guild}

  def make(guild, plan, options) do
    with {:error, error} <- create(guild, plan.create, options) do
      if Error.final?(error) and not Guilds.lost?(error), do: {:ok, guild}, else: {:error, error}
    end
  end

  defp create(guild, names, options) do
    Turns.run("roles/#{guild.id}", fn ->
      # Somebody may have made them while this one waited.
      with {:ok, guild} <- Guilds.fetch(guild.id),
           do: Enum.reduce_while(names, {:ok, guild}, &create_one(&1, &2, options))
    end)
  end

  defp create_one(name, {:ok, guild}, options) do
    with :error <- Guild.named(guild, name),
         nil <- Guilds.noted_refusal(guild, {:role, name}, :create),
         # Another node may have.
         {:ok, guild} <- Guilds.fetch_now(guild.id),
         :error <- Guild.named(guild, name),
         {:ok, role} <- request(guild, name, options) do
      Logger.info("accounts: the role #{inspect(name)} was made in the server #{guild.id}")
      {:cont, Guilds.put_role(guild, role)}
    else
      # It is there.
      {:ok, _id} -> {:cont, {:ok, guild}}
      {:refused, error} -> {:halt, {:error, error}}
      {:error, error} -> {:halt, {:error, error}}
    end
  end

  defp request(guild, name, options) do
    {:ok, %{rest: rest}} = Runtime.fetch_enabled()
    # What @everyone may, everybody may anyhow; without this, a role may what @everyone could when it was made.
    json = %{"name" => name, "permissions" => "0", "mentionable" => false}

    case Rest.call(rest, {:create_role, guild.id}, [json: json, reason: "Uro: a rule names it"] ++ options) do
      {:ok, %{body: %{"id" => _id} = role}} ->
        {:ok, role}

      {:ok, _other} ->
        {:error, %Error{kind: :response, message: "Discord's new role is not as it should be"}}

      {:error, error} ->
        if Error.final?(error), do: Guilds.note_refusal(guild, {:role, name}, :create, error)
        {:error, error}
    end
  end
end
