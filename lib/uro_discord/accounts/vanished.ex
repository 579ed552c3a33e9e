defmodule UroDiscord.Accounts.Vanished do
  @moduledoc false
  # Linked users whom the directory does not know. One answer may be wrong, as of a database that was put back: the link ends where it says so again some time
  # later. Until then it is noted since when. An answer without most of those who were asked for is not believed (`UroDiscord.Accounts.Directory`).

  alias UroDiscord.Accounts.{Directory, Link, Links, Unlinking}
  alias UroDiscord.{Clock, Error, Runtime}

  @after_ms 3_600_000

  @doc "The directory knows him (again)."
  @spec back(Runtime.t(), Link.t()) :: :ok | {:error, Error.t()}
  def back(%{store: store}, link), do: Links.put_missing(store, link.discord_id, nil)

  @doc "It does not. `{:over, link}`: this link is to end, by `unlink/1`."
  @spec away(Runtime.t(), Link.t()) :: :ok | {:over, Link.t()} | {:error, Error.t()}
  def away(%{store: store}, %{missing_at: nil} = link),
    do: Links.put_missing(store, link.discord_id, Clock.now())

  def away(_runtime, link),
    do: if(DateTime.compare(link.missing_at, long_ago()) == :gt, do: :ok, else: {:over, link})

  @doc "Ends the link of one who has been away for long enough."
  @spec unlink(Link.t()) :: Unlinking.result()
  def unlink(link), do: Unlinking.unlink_account(link.discord_id, :not_found, {:missing_at, long_ago()})

  @doc """
  Ends the link of an account whose owner has just proved to Discord that it is his, if the directory does not know the user to whom it belongs: he would be
  in his own way for ever. `:ok` where the account is free then.
  """
  @spec make_way(Runtime.t(), Link.t()) :: :ok | :taken | {:error, Error.t()}
  def make_way(%{config: config}, link) do
    with :not_found <- Directory.user(config, link.user_id) do
      case Unlinking.unlink_account(link.discord_id, :not_found) do
        {:error, error} -> {:error, error}
        _ended -> :ok
      end
    else
      {:ok, _user} -> :taken
      {:error, error} -> {:error, error}
    end
  end

  defp long_ago, do: DateTime.add(Clock.now(), -@after_ms, :millisecond)
end
