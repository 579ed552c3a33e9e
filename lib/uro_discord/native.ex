defmodule UroDiscord.Native do
  @moduledoc """
  The boundary to the NIF (`native/uro_discord_nif`): one function a line, and nobody else calls the NIF. Each has one caller: `UroDiscord.Rest`,
  `UroDiscord.HTTP`, `UroDiscord.JSON`, `UroDiscord.Store.SQLite`, `UroDiscord.Interactions.Signature`, `UroDiscord.Bridge.Transport.Port`.

  No call blocks a scheduler: short pure work runs inline, longer pure work on a dirty scheduler, and a request
  returns at once and answers by message. A panic in Rust is raised here as an `ErlangError`.
  """

  @on_load :load

  @typedoc "A REST client: its connections, its limiter and the bot's token, which stays in Rust."
  @opaque rest :: reference()

  @typedoc "An open SQLite file; it is closed when no process holds this any more."
  @opaque store :: reference()

  @doc false
  def load do
    # Without the extension, as :erlang.load_nif/2 wants it.
    :erlang.load_nif(:filename.join(:code.priv_dir(:uro_discord), ~c"native/uro_discord_nif"), 0)
  end

  @doc "A new REST client from `%{token:, api_url:, rest_proxy:, ca_file:, user_agent:}`."
  @spec rest_new(map()) :: {:ok, rest()} | {:error, String.t()}
  def rest_new(_config), do: nif()

  @doc """
  Starts a request; `{:uro_discord_rest, ref, {:ok, response} | {:error, reason}}` comes to the calling process.
  `UroDiscord.Rest` gives the shapes.
  """
  @spec rest_request(rest(), reference(), map()) :: :ok | {:error, String.t()}
  def rest_request(_rest, _ref, _request), do: nif()

  @doc "What the client's limiter knows: whether the token is still good, what waits and what is under way."
  @spec rest_status(rest()) :: map()
  def rest_status(_rest), do: nif()

  @doc """
  Starts a GET of `%{url:, headers:, ca_file:, deadline_ms:}`; `{:uro_discord_http, ref, {:ok, %{status:, headers:, body:}} |
  {:error, %{kind:, message:, status:}}}` comes to the calling process. If that one ends first, so does the connection.
  """
  @spec http_get(reference(), map()) :: :ok | {:error, String.t()}
  def http_get(_ref, _request), do: nif()

  @doc "Opens a SQLite file, which is made if it is not there. `UroDiscord.Store.SQLite` gives the shapes."
  @spec store_open(Path.t()) :: {:ok, store()} | {:error, map()}
  def store_open(_path), do: nif()

  @doc """
  Queues `[{sql, parameters}]`, to be done together or not at all; `{:uro_discord_store, ref, {:ok, answers} |
  {:error, reason}}` comes to the calling process when it is done, and durable.
  """
  @spec store_run(store(), reference(), [{String.t(), list()}], :read | :write) ::
          :ok | {:error, map()}
  def store_run(_store, _ref, _statements, _mode), do: nif()

  @doc """
  Ends a process of this machine by SIGKILL. `{:error, reason}` when there is none, or it is another user's. Raises
  `ArgumentError` on a number that stands for several processes, or for this one.
  """
  @spec kill(pos_integer()) :: :ok | {:error, String.t()}
  def kill(_os_pid), do: nif()

  @doc """
  Whether `signature` (64 bytes) over `message` is by the holder of Ed25519 `public_key` (32 bytes).
  Raises `ArgumentError` on a key of another length.

      iex> UroDiscord.Native.verify_ed25519(<<1::256>>, "message", "not 64 bytes")
      false
  """
  @spec verify_ed25519(binary(), binary(), binary()) :: boolean()
  # Hashing 64 KiB takes about 0.2 ms; a scheduler should not be held for more than 1.
  def verify_ed25519(public_key, message, signature) when byte_size(message) <= 65_536,
    do: verify_ed25519_inline(public_key, message, signature)

  def verify_ed25519(public_key, message, signature),
    do: verify_ed25519_dirty(public_key, message, signature)

  @doc false
  def verify_ed25519_inline(_public_key, _message, _signature), do: nif()

  @doc false
  def verify_ed25519_dirty(_public_key, _message, _signature), do: nif()

  @doc "`{:ok, json}`, or `{:error, reason}`; `:too_long` where it takes longer than a scheduler should be held. For `UroDiscord.JSON`."
  @spec json_encode_inline(term()) :: {:ok, binary()} | {:error, String.t()} | :too_long
  def json_encode_inline(_term), do: nif()

  @doc "The same for whatever length, on a dirty scheduler."
  @spec json_encode_dirty(term()) :: {:ok, binary()} | {:error, String.t()}
  def json_encode_dirty(_term), do: nif()

  @doc "A term from short JSON. For `UroDiscord.JSON`."
  @spec json_decode_inline(binary()) :: {:ok, term()} | {:error, String.t()}
  def json_decode_inline(_json), do: nif()

  @doc "The same for whatever length, on a dirty scheduler."
  @spec json_decode_dirty(binary()) :: {:ok, term()} | {:error, String.t()}
  def json_decode_dirty(_json), do: nif()

  @doc false
  # Panics in Rust, for the test that shows what becomes of a panic.
  def panic_for_test, do: nif()

  defp nif, do: :erlang.nif_error(:nif_not_loaded)
end
