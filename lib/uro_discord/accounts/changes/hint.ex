defmodule UroDiscord.Accounts.Changes.Hint do
  @moduledoc false
  # Tells of writes to the tables in which a host keeps its users, by the `:telemetry` of Ecto, when the host has both. It runs in whatever process writes,
  # and may cost it nothing: users who were written are put into a table, and one message tells of all until that is taken.

  @compile {:no_warn_undefined, [:telemetry]}

  # Of more than these nobody asks who they are.
  @most 10_000

  @type t :: %{id: term(), told: :atomics.atomics_ref(), users: :ets.table()} | nil

  @doc "From now on the calling process gets `:hint`. Nil where there is nothing that would tell."
  @spec attach(%{telemetry_prefix: [atom()], tables: %{String.t() => String.t()}} | nil) :: t()
  def attach(nil), do: nil

  def attach(%{telemetry_prefix: prefix, tables: tables}) do
    _ = Code.ensure_loaded(:telemetry)

    if function_exported?(:telemetry, :attach, 4) do
      id = {__MODULE__, prefix}
      hint = %{id: id, told: :atomics.new(1, []), users: :ets.new(__MODULE__, [:public, write_concurrency: true])}
      # That of one that was killed.
      _ = :telemetry.detach(id)
      :ok = :telemetry.attach(id, prefix ++ [:query], &__MODULE__.handle/4, {self(), hint, tables})
      hint
    end
  end

  @spec detach(t()) :: :ok
  def detach(nil), do: :ok

  def detach(hint) do
    _ = :telemetry.detach(hint.id)
    :ok
  end

  @doc "Who was written since this was asked last, and whether there were writes of which nobody can tell whom they were about."
  @spec take(t()) :: {[String.t()], boolean()}
  def take(hint) do
    :atomics.put(hint.told, 1, 0)
    written = for {who} <- :ets.tab2list(hint.users), [{who}] <- [:ets.take(hint.users, who)], do: who
    {for({:user, id} <- written, do: id), :anybody in written}
  end

  @doc false
  # Ecto's event: https://hexdocs.pm/ecto/Ecto.Repo.html#module-telemetry-events
  def handle(_event, _measurements, metadata, {pid, hint, tables}) do
    with %{source: table, query: sql} when is_map_key(tables, table) and is_binary(sql) <- metadata,
         false <- reads?(sql) do
      full? = :ets.info(hint.users, :size) >= @most

      case users(sql, metadata[:params], tables[table]) do
        [_ | _] = ids when not full? -> :ets.insert(hint.users, for(id <- ids, do: {{:user, id}}))
        _unknown_or_too_many -> :ets.insert(hint.users, {:anybody})
      end

      if :atomics.exchange(hint.told, 1, 1) == 0, do: send(pid, :hint)
    end

    :ok
  rescue
    # Its table ends with the process that wants to know.
    ArgumentError -> :ok
  end

  defp reads?(sql), do: sql |> String.trim_leading() |> binary_start(6) |> String.upcase() == "SELECT"
  defp binary_start(text, size), do: binary_part(text, 0, min(size, byte_size(text)))

  @doc """
  Whom a statement of Ecto's writes, where the column with the user's id is one of its parameters. 16 bytes are a UUID as databases take it, or a text: then
  it may be either.

      iex> alias UroDiscord.Accounts.Changes.Hint
      iex> Hint.users(~S|UPDATE "users" SET "display_name" = $1 WHERE "id" = $2|, ["Ada", "7"], "id")
      ["7"]
      iex> Hint.users(~S|INSERT INTO "rules" ("is_admin","user_id") VALUES ($1,$2)|, [true, <<1::128>>], "user_id")
      ["00000000-0000-0000-0000-000000000001"]
      iex> Hint.users(~S|UPDATE "rules" SET "is_admin" = $1 WHERE "id" = $2|, [true, 5], "user_id")
      []
  """
  @spec users(String.t(), [term()] | nil, String.t()) :: [String.t()]
  def users(sql, parameters, column) when is_list(parameters) do
    with number when is_integer(number) <- compared(sql, column) || inserted(sql, column),
         {:ok, value} <- Enum.fetch(parameters, number - 1),
         do: ids(value),
         else: (_unknown -> [])
  end

  def users(_sql, _none, _column), do: []

  # Behind WHERE: before it stands what it is set to.
  defp compared(sql, column) do
    with [_set, where] <- String.split(sql, " WHERE ", parts: 2),
         [_all, number] <- Regex.run(~r/"#{Regex.escape(column)}" = \$(\d{1,5})/, where),
         do: String.to_integer(number),
         else: (_no -> nil)
  end

  defp inserted(sql, column) do
    with [_all, columns, values] <- Regex.run(~r/\AINSERT INTO [^(]+\(([^)]*)\) VALUES \(([^)]*)\)/, sql),
         place when place != nil <-
           columns |> String.split(",") |> Enum.find_index(&(String.trim(&1) == ~s|"#{column}"|)),
         "$" <> number <- values |> String.split(",") |> Enum.at(place) |> String.trim(),
         {number, ""} <- Integer.parse(number),
         do: number,
         else: (_no -> nil)
  end

  defp ids(id) when is_integer(id), do: [Integer.to_string(id)]

  defp ids(<<a::binary-4, b::binary-2, c::binary-2, d::binary-2, e::binary-6>> = id) do
    uuid = Enum.map_join([a, b, c, d, e], "-", &Base.encode16(&1, case: :lower))
    if String.printable?(id), do: [id, uuid], else: [uuid]
  end

  defp ids(id) when is_binary(id), do: if(String.valid?(id), do: [id], else: [])
  defp ids(_other), do: []
end
