defmodule UroDiscord.TestHost do
  @moduledoc "A host whose users (those of TestDirectory) may log in by Discord, and are known by the cookie `uro`."
  @behaviour UroDiscord.Accounts.Directory

  @impl true
  defdelegate get(id), to: UroDiscord.TestDirectory
  @impl true
  defdelegate get_many(ids), to: UroDiscord.TestDirectory

  @doc "Nobody logs in by Discord."
  def clear, do: for({{__MODULE__, _} = key, _} <- :persistent_term.get(), do: :persistent_term.erase(key))

  @impl true
  def discord_identity(discord_id) do
    with nil <- :persistent_term.get({__MODULE__, discord_id}, nil), do: :error, else: (id -> {:ok, id})
  end

  @impl true
  def discord_identities(id),
    do: {:ok, for({{__MODULE__, discord_id}, ^id} <- :persistent_term.get(), is_binary(discord_id), do: discord_id)}

  @doc "Calls a function `:before` or `:after` the host is told of a login."
  def meanwhile(moment, function), do: :persistent_term.put({__MODULE__, moment}, function)

  defp happens(moment), do: :persistent_term.get({__MODULE__, moment}, fn -> :ok end).()

  @impl true
  def put_identity(id, discord_id) do
    happens(:before)

    case discord_identity(discord_id) do
      {:ok, other} when other != id ->
        {:error, :taken}

      _free ->
        :ok = :persistent_term.put({__MODULE__, discord_id}, id)
        happens(:after)
        :ok
    end
  end

  @impl true
  def delete_identity(id, discord_id) do
    held({:login, id})
    if discord_identity(discord_id) == {:ok, id}, do: :persistent_term.erase({__MODULE__, discord_id})
    :ok
  end

  @doc "For `on_unlinked:`: whoever is registered by this module's name is told."
  def unlinked(link, reason) do
    held({:host, link.user_id})
    with pid when is_pid(pid) <- Process.whereis(__MODULE__), do: send(pid, {:unlinked, link.user_id, reason})
  end

  @doc "Whoever comes there stays for ever: `{:login, id}` is the end of a login, `{:host, id}` the telling of that of a link."
  def hold(place), do: :persistent_term.put({__MODULE__, place}, :open)

  @doc "Whether somebody is held there."
  def held?(place), do: :persistent_term.get({__MODULE__, place}, nil) == :held

  defp held(place) do
    if :persistent_term.get({__MODULE__, place}, nil) do
      :persistent_term.put({__MODULE__, place}, :held)
      Process.sleep(:infinity)
    end
  end

  @doc "For `current_user:`."
  def current_user(%UroDiscord.Accounts.Visitor{cookies: cookies}) do
    case cookies do
      %{"uro" => "raise"} -> raise "the session is #{cookies["uro"]}"
      %{"uro" => "exit"} -> exit({:timeout, {GenServer, :call, [:repo, "the session is #{cookies["uro"]}"]}})
      %{"uro" => "nonsense"} -> {:ok, nil}
      %{"uro" => id} -> {:ok, id}
      %{} -> :error
    end
  end

  @doc "For `may_add_bot:`."
  def admin?(visitor), do: current_user(visitor) == {:ok, "admin"}
end
