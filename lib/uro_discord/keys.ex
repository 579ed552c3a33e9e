defmodule UroDiscord.Keys do
  @moduledoc """
  The keys of the HTTP API: who may post to which channels with `curl`. `mix uro_discord.keys.new` and its like are these
  functions for a shell.

  A key has a name, the channels it may post to, and how many requests a minute it has. It is shown once, when it is made;
  kept is its SHA-256. That is enough: a slow hash protects secrets that can be guessed, and nobody guesses 256 random bits.

  What a key posted belongs to its name, so that a rotated key goes on where the old one was.
  """

  alias UroDiscord.{Config, Error, JSON, Runtime, Store}

  @enforce_keys [:name, :channels, :per_minute, :state, :created_at, :expires_at]
  defstruct @enforce_keys

  @typedoc ~s(`channels` are aliases and ids, or `["*"]` for all. `state` is `:active`, `:expired` or `:revoked`.)
  @type t :: %__MODULE__{
          name: String.t(),
          channels: [String.t()],
          per_minute: pos_integer(),
          state: :active | :expired | :revoked,
          created_at: DateTime.t(),
          expires_at: DateTime.t() | nil
        }

  @typedoc "Where keys are kept, and the configuration that names channels: the running UroDiscord's, if not given."
  @type place :: %{store: Store.t(), config: Config.t()}

  @per_minute 60
  @day_ms 24 * 60 * 60 * 1000

  # So that a scanner for leaked secrets can tell what it found.
  @prefix "urod_"
  @columns "name, channels, per_minute, created_at, expires_at, revoked_at"
  @active "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1)"

  @doc """
  Makes a key and returns it, the only time that it is shown. Options: `:channels`, required, a list of aliases or ids, or
  `["*"]`; `:per_minute`, how many requests it may make (#{@per_minute}).
  """
  @spec new(String.t(), keyword(), place() | nil) :: {:ok, String.t()} | {:error, Error.t()}
  def new(name, options, place \\ nil) do
    with {:ok, %{store: store, config: config}} <- place(place),
         :ok <- name(name),
         {:ok, channels} <- channels(config, options[:channels]),
         {:ok, per_minute} <- per_minute(Keyword.get(options, :per_minute, @per_minute)) do
      {key, id, hash} = generate()

      sql = """
      INSERT INTO uro_discord_keys (id, name, current_name, hash, channels, per_minute, created_at)
      VALUES ($1, $2, $2, $3, $4, $5, $6)
      """

      case Store.run(store, [{sql, [id, name, hash, channels, per_minute, now()]}], :write) do
        {:ok, _} ->
          {:ok, key}

        {:error, %Error{kind: :conflict}} ->
          {:error, Error.invalid("name", "there is a key #{inspect(name)} already: rotate or revoke it")}

        {:error, error} ->
          {:error, error}
      end
    end
  end

  @doc "All keys that were made, also those that are no longer good, without what is secret."
  @spec list(place() | nil) :: {:ok, [t()]} | {:error, Error.t()}
  def list(place \\ nil) do
    sql = "SELECT #{@columns} FROM uro_discord_keys ORDER BY name, created_at"

    with {:ok, %{store: store}} <- place(place),
         {:ok, [%{rows: rows}]} <- Store.run(store, [{sql, []}], :read),
         do: {:ok, Enum.map(rows, &key/1)}
  end

  @doc "Ends every key of this name, at once."
  @spec revoke(String.t(), place() | nil) :: :ok | {:error, Error.t()}
  def revoke(name, place \\ nil) do
    statements = [
      # Waits for a rotation that is under way, whose key the next statement then sees.
      {"UPDATE uro_discord_keys SET name = name WHERE current_name = $1", [name]},
      {"UPDATE uro_discord_keys SET revoked_at = $1, current_name = NULL WHERE name = $2 AND #{@active}", [now(), name]}
    ]

    with {:ok, %{store: store}} <- place(place),
         {:ok, [_, %{num_rows: changed}]} <- Store.run(store, statements, :write),
         do: if(changed > 0, do: :ok, else: unknown(name))
  end

  @doc """
  Makes another key of this name, for the same channels, and returns it. The old one is good for `:overlap_ms` more (a day),
  so that there is time to bring the new one to where it is used.
  """
  @spec rotate(String.t(), keyword(), place() | nil) :: {:ok, String.t()} | {:error, Error.t()}
  def rotate(name, options \\ [], place \\ nil) do
    {key, id, hash} = generate()
    now = now()

    statements = [
      {"""
       INSERT INTO uro_discord_keys (id, name, hash, channels, per_minute, created_at)
       SELECT CAST($1 AS TEXT), name, CAST($2 AS TEXT), channels, per_minute, CAST($3 AS BIGINT) FROM uro_discord_keys
       WHERE current_name = $4
       """, [id, hash, now, name]},
      # $1 is when the overlap ends: those that end earlier anyway stay as they are.
      {"UPDATE uro_discord_keys SET expires_at = $1, current_name = NULL WHERE name = $2 AND id <> $3 AND #{@active}",
       [now + Keyword.get(options, :overlap_ms, @day_ms), name, id]},
      {"UPDATE uro_discord_keys SET current_name = name WHERE id = $1", [id]},
      # Where the keys were revoked meanwhile, for which the one before had to wait, this one goes, too.
      {"""
       DELETE FROM uro_discord_keys WHERE id = $1 AND NOT EXISTS
         (SELECT 1 FROM uro_discord_keys WHERE name = $2 AND id <> $1 AND revoked_at IS NULL)
       """, [id, name]}
    ]

    with {:ok, %{store: store}} <- place(place),
         {:ok, [%{num_rows: made}, _, _, %{num_rows: revoked}]} <- Store.run(store, statements, :write),
         do: if(made - revoked == 1, do: {:ok, key}, else: unknown(name))
  end

  @doc false
  # Whose key this is. What is compared is of the same length whatever comes in, and takes the same time.
  @spec find(Store.t(), String.t()) :: {:ok, t()} | :error | {:error, Error.t()}
  def find(store, <<@prefix, id::binary-size(12), "_", _secret::binary-size(43)>> = key) do
    sql = "SELECT hash, #{@columns} FROM uro_discord_keys WHERE id = $1"

    # The id goes to the database as text.
    with true <- String.valid?(id) and not String.contains?(id, <<0>>),
         {:ok, [%{rows: rows}]} <- Store.run(store, [{sql, [id]}], :read) do
      [hash | row] = List.first(rows) || [hash("")]
      if :crypto.hash_equals(hash, hash(key)) and row != [], do: {:ok, key(row)}, else: :error
    else
      false -> :error
      {:error, error} -> {:error, error}
    end
  end

  def find(_store, _not_a_key), do: :error

  @doc false
  # The ids of the channels that a key may post to; `:all` for every one.
  @spec channel_ids(t(), Config.t()) :: :all | [String.t()]
  def channel_ids(%__MODULE__{channels: ["*"]}, _config), do: :all

  # An alias may have left the configuration since.
  def channel_ids(%__MODULE__{channels: channels}, config),
    do:
      Enum.flat_map(channels, fn name ->
        with({:ok, id} <- Config.channel_named(config, name), do: [id], else: (_ -> []))
      end)

  ## What is asked for

  defp name(name) do
    if is_binary(name) and name =~ ~r/\A[a-z0-9][a-z0-9_.-]{0,63}\z/,
      do: :ok,
      else: {:error, Error.invalid("name", name, "1 to 64 of a-z, 0-9, dot, - and _")}
  end

  defp channels(_config, ["*"]), do: JSON.encode(["*"])

  defp channels(config, [_ | _] = channels) do
    names = Enum.map(channels, &to_string/1)

    case Enum.reject(names, &match?({:ok, _id}, Config.channel_named(config, &1))) do
      [] ->
        JSON.encode(names)

      [unknown | _] ->
        allowed = "a name of `channels:` (there: #{Config.channel_names(config)}), or a channel's id"
        {:error, Error.invalid("channels", unknown, allowed)}
    end
  end

  defp channels(_config, _none),
    do: {:error, Error.invalid("channels", "must name the channels that the key may post to, or be * for all")}

  defp per_minute(count) when is_integer(count) and count in 1..10_000, do: {:ok, count}
  defp per_minute(other), do: {:error, Error.invalid("per_minute", other, "an integer from 1 to 10000")}

  defp unknown(name), do: {:error, Error.invalid("name", "there is no key #{inspect(name)} that is good now")}

  ## Keys and rows

  defp generate do
    id = Base.encode16(:crypto.strong_rand_bytes(6), case: :lower)
    key = "#{@prefix}#{id}_#{Base.url_encode64(:crypto.strong_rand_bytes(32), padding: false)}"
    {key, id, hash(key)}
  end

  defp hash(key), do: :crypto.hash(:sha256, key) |> Base.encode16(case: :lower)

  defp key([name, channels, per_minute, created_at, expires_at, revoked_at]) do
    {:ok, channels} = JSON.decode(channels)

    %__MODULE__{
      name: name,
      channels: channels,
      per_minute: per_minute,
      state: state(expires_at, revoked_at),
      created_at: DateTime.from_unix!(created_at, :millisecond),
      expires_at: expires_at && DateTime.from_unix!(expires_at, :millisecond)
    }
  end

  defp state(expires_at, nil), do: if(expires_at == nil or expires_at > now(), do: :active, else: :expired)
  defp state(_expires_at, _revoked_at), do: :revoked

  defp place(nil) do
    case Runtime.fetch() do
      {:ok, %{store: nil}} -> {:error, %Error{kind: :disabled, message: "uro_discord is disabled (enabled: false)"}}
      answer -> answer
    end
  end

  defp place(place), do: {:ok, place}

  defp now, do: System.os_time(:millisecond)
end
