defmodule UroDiscord.Accounts.Members do
  @moduledoc false
  # The members of a guild, as Discord lists them: a page of 1,000 costs one request. It takes the intent `:guild_members`, which is switched on in the
  # developer portal too.

  alias UroDiscord.Accounts.Member
  alias UroDiscord.{Error, Rest, Runtime, Snowflake}

  @page 1_000
  # Unknown member, unknown user.
  @left [10_007, 10_013]

  @doc """
  A page, ordered by id, of those with an id after this one (nil: from the beginning). One with fewer than 1,000 is the last.

  Options: `:priority`.
  """
  @spec page(Snowflake.t(), Snowflake.t() | nil, keyword()) :: {:ok, [Member.t()]} | {:error, Error.t()}
  def page(guild_id, after_id, options \\ []) do
    read_at = System.monotonic_time(:millisecond)
    options = [retry: :safe, priority: Keyword.get(options, :priority, :low)]

    with {:ok, %{rest: rest}} <- Runtime.fetch_enabled(),
         {:ok, %{body: list}} <- Rest.call(rest, {:get_guild_members, guild_id, after_id, @page}, options) do
      read = for json <- List.wrap(list), do: Member.read(json, guild_id)

      if is_list(list) and :error not in read,
        do: {:ok, for({:ok, member} <- read, do: %{member | read_at: read_at})},
        else: {:error, %Error{kind: :response, message: "Discord's list of members is not as it should be"}}
    end
  end

  @doc "All pages, each asked for when it is needed: `{:ok, members}`, and after an `{:error, error}` none."
  @spec stream(Snowflake.t(), keyword()) :: Enumerable.t()
  def stream(guild_id, options \\ []) do
    Stream.unfold({:after, nil}, fn
      :done ->
        nil

      {:after, id} ->
        case page(guild_id, id, options) do
          {:ok, members} when length(members) < @page -> {{:ok, members}, :done}
          {:ok, members} -> {{:ok, members}, {:after, List.last(members).id}}
          error -> {error, :done}
        end
    end)
  end

  @doc "One member, as he is now; `:left` where there is none. Options: `:priority`, `:deadline_ms`."
  @spec fetch(Snowflake.t(), Snowflake.t(), keyword()) :: {:ok, Member.t()} | :left | {:error, Error.t()}
  def fetch(guild_id, id, options \\ []) do
    options = Keyword.merge([retry: :safe, priority: :normal], options)

    with {:ok, %{rest: rest}} <- Runtime.fetch_enabled(),
         {:ok, %{body: json}} <- Rest.call(rest, {:get_member, guild_id, id}, options) do
      with :error <- Member.read_now(json, guild_id),
           do: {:error, %Error{kind: :response, message: "Discord's member #{id} is not as it should be"}}
    else
      {:error, error} -> if left?(error), do: :left, else: {:error, error}
    end
  end

  @doc "Whether Discord has refused something since there is no such member."
  @spec left?(Error.t()) :: boolean()
  def left?(%Error{code: code}), do: code in @left
end
