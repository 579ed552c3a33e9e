defmodule UroDiscord.Rest do
  @moduledoc false
  # Requests to Discord's REST API. The limiter, the connections and the retries are in `crates/rest`; see its docs.

  alias UroDiscord.{Clock, Config, Error, JSON, Native, Secret}

  @type client :: Native.rest()

  @typedoc """
  Where a request goes: a route of twilight's by its name, with the ids (and tokens) in it; `{:raw, …}` is for what twilight lacks: the
  channel or guild that the path begins with, and the names that follow. The NIF (`native/uro_discord_nif/src/route.rs`) knows these and no others.
  """
  @type route ::
          {:add_guild_member, guild :: id(), user :: id()}
          | {:add_member_role, guild :: id(), user :: id(), role :: id()}
          | {:create_message, channel :: id()}
          | {:create_role, guild :: id()}
          | {:create_typing_trigger, channel :: id()}
          | {:crosspost_message, channel :: id(), message :: id()}
          | {:delete_message, channel :: id(), message :: id()}
          | {:execute_webhook, webhook :: id(), token :: String.t()}
          | {:get_channel, channel :: id()}
          | :get_current_user_application_info
          | :get_gateway_bot
          | {:get_global_commands, application :: id()}
          | {:get_guild, guild :: id()}
          | {:get_guild_members, guild :: id(), after_user :: id() | nil, limit :: 1..1000}
          | {:get_guild_roles, guild :: id()}
          | {:get_member, guild :: id(), user :: id()}
          | {:get_message, channel :: id(), message :: id()}
          | {:get_messages, channel :: id(), before :: id() | nil, limit :: 1..100}
          | {:interaction_callback, interaction :: id(), token :: String.t()}
          | {:remove_member, guild :: id(), user :: id()}
          | {:remove_member_role, guild :: id(), user :: id(), role :: id()}
          | {:set_global_commands, application :: id()}
          | {:update_current_user_voice_state, guild :: id()}
          | {:update_interaction_original, application :: id(), token :: String.t()}
          | {:update_member, guild :: id(), user :: id()}
          | {:update_message, channel :: id(), message :: id()}
          | {:raw, :get | :post | :put | :patch | :delete, nil | {:channel | :guild, id()}, path :: String.t()}

  @type id :: UroDiscord.Snowflake.t()

  @type response :: %{status: pos_integer(), headers: %{String.t() => String.t()}, body: term()}

  @doc "The client for a configuration. Made once; every process may use it."
  @spec client(Config.t()) :: {:ok, client()} | {:error, Error.t()}
  def client(%Config{} = config) do
    config
    |> Map.take([:api_url, :rest_proxy, :ca_file])
    |> Map.merge(%{token: Secret.reveal(config.token), user_agent: nil})
    |> Native.rest_new()
    |> case do
      {:ok, client} -> {:ok, client}
      {:error, reason} -> {:error, %Error{kind: :connect, message: reason}}
    end
  end

  @doc "What its limiter knows: whether the token is still good, what waits and what is under way."
  @spec status(client()) :: map()
  defdelegate status(client), to: Native, as: :rest_status

  @doc """
  Starts a request and returns its reference. The answer comes as a message that `answer/2` understands.

  Options: `:json` (the body as a term), `:body` (as JSON) or `:form` (pairs, for OAuth2), `:files` (`[%{name:, content_type:, data:}]`), `:reason` (for the
  audit log), `:priority` (`:high`, `:normal`, `:low`), `:retry` (`:safe` when a repeat does no harm), `:deadline_ms`, `:auth` (`:bot`, `:none`, or
  `{:bearer, token}` of a user who has authorized the application).
  """
  @spec request(client(), route(), keyword()) :: {:ok, reference()} | {:error, Error.t()}
  def request(client, route, options \\ []) do
    with {:ok, body, content_type} <- body(options) do
      ref = make_ref()

      request = %{
        route: route,
        body: body,
        content_type: content_type,
        files: Keyword.get(options, :files, []),
        reason: options[:reason],
        priority: Keyword.get(options, :priority, :normal),
        retry: Keyword.get(options, :retry, :never),
        deadline_ms: Keyword.get(options, :deadline_ms, 60_000),
        auth: Keyword.get(options, :auth, :bot)
      }

      case Native.rest_request(client, ref, request) do
        :ok -> {:ok, ref}
        {:error, reason} -> {:error, Error.invalid(nil, reason)}
      end
    end
  end

  @doc "What a message from the NIF says of request `ref`."
  @spec answer(term(), reference()) :: {:ok, response()} | {:error, Error.t()} | :unrelated
  def answer({:uro_discord_rest, ref, {:ok, response}}, ref) do
    Clock.heard(response.headers["date"])

    case decode(response.body) do
      {:ok, body} ->
        {:ok, %{response | body: body}}

      {:error, reason} ->
        {:error, %Error{kind: :response, status: response.status, message: reason}}
    end
  end

  def answer({:uro_discord_rest, ref, {:error, error}}, ref), do: {:error, error(error)}
  def answer(_message, _ref), do: :unrelated

  @doc "A request and its answer, for callers that may wait."
  @spec call(client(), route(), keyword()) :: {:ok, response()} | {:error, Error.t()}
  def call(client, route, options \\ []) do
    with {:ok, ref} <- request(client, route, options) do
      # No timeout here: the client answers every request by its deadline.
      receive do
        {:uro_discord_rest, ^ref, _} = message -> answer(message, ref)
      end
    end
  end

  defp body(options) do
    cond do
      form = options[:form] ->
        {:ok, URI.encode_query(form), "application/x-www-form-urlencoded"}

      Keyword.has_key?(options, :json) ->
        case JSON.encode(options[:json]) do
          {:ok, body} -> {:ok, body, nil}
          {:error, reason} -> {:error, Error.invalid(nil, reason)}
        end

      true ->
        {:ok, options[:body], nil}
    end
  end

  # 204 No Content, and some 200s, have no body.
  defp decode(""), do: {:ok, nil}
  defp decode(json), do: JSON.decode(json)

  defp error(%{kind: kind, message: message} = error) do
    %Error{
      kind: kind,
      message: message,
      status: error.status,
      code: error.code,
      errors: errors(error.errors),
      retry_after_ms: error.retry_after_ms
    }
  end

  defp errors(nil), do: nil

  defp errors(json) do
    case JSON.decode(json) do
      {:ok, errors} -> errors
      {:error, _} -> nil
    end
  end
end
