defmodule UroDiscord.Notify.Message.Mentions do
  @moduledoc false
  # Whom a message may ping: https://discord.com/developers/docs/resources/message#allowed-mentions-object. Nobody, unless
  # the caller says so: Discord's own default is everybody who is named in the text.

  alias UroDiscord.Notify.Message.Shape

  @kinds {:list, 0, 3, {:one_of, ["users", "roles", "everyone"]}}
  @ids 100

  @shape {:object, "allowed_mentions",
          [
            {"parse", @kinds},
            {"users", {:list, 0, @ids, :snowflake}},
            {"roles", {:list, 0, @ids, :snowflake}},
            {"replied_user", :boolean}
          ]}

  @doc "What a message has when nothing is said about it."
  @spec none() :: map()
  def none, do: %{"parse" => []}

  @doc "From the kinds that may be pinged (`[:users, :roles, :everyone]`), or a keyword list or map as Discord has it."
  @spec cast(term(), Shape.path()) :: {:ok, map()} | {:error, UroDiscord.Error.t()}
  def cast(value, path) do
    shape = if is_list(value) and not Keyword.keyword?(value), do: @kinds, else: @shape

    with {:ok, given} <- Shape.cast(value, shape, path),
         given = if(is_list(given), do: %{"parse" => given}, else: given),
         # Discord refuses a list with the same entry twice.
         allowed = Map.new(given, fn {key, value} -> {key, unique(value)} end),
         :ok <- exclusive(allowed, "users", path),
         :ok <- exclusive(allowed, "roles", path),
         do: {:ok, Map.merge(none(), allowed)}
  end

  defp unique(list) when is_list(list), do: Enum.uniq(list)
  defp unique(boolean), do: boolean

  defp exclusive(allowed, kind, path) do
    if kind in Map.get(allowed, "parse", []) and Map.get(allowed, kind, []) != [],
      do: Shape.invalid([kind | path], "lists ids while parse has #{kind}; only one of them may"),
      else: :ok
  end
end
