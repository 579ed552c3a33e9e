defmodule UroDiscord.Interaction do
  @moduledoc """
  Somebody used a command or a component. `UroDiscord.Command.handle/1` gets it.

    * `kind`: `:command`, `:component`, `:autocomplete` or `:modal`;
    * `command`: its name with those of a subcommand, `["uro", "status"]`; empty for a component;
    * `options`: of the command, by name: `%{"world" => "Plaza"}`. For `:autocomplete`, `focused` names the one that is being typed;
    * `custom_id` and `values`: of the component, and what was chosen in a menu. For `:modal`, `custom_id` is the modal's, and `options` what
      was entered, by the `custom_id` of its field: a string for a text and a radio group (nil if none was chosen), a list of strings for a
      select, a checkbox group and uploaded files (their ids; `data["data"]["resolved"]["attachments"]` has them), true or false for a checkbox;
    * `user`: `%{id:, name:}`; `permissions`: their bits in the channel, 0 in a direct one;
    * `guild_id` (nil in a direct channel), `channel_id`, `locale`, such as `"de"`;
    * `data`: Discord's own [interaction object](https://discord.com/developers/docs/interactions/receiving-and-responding#interaction-object),
      without its token.
  """

  alias UroDiscord.{Error, Notify, Secret, Snowflake}
  alias UroDiscord.Interactions.Webhook

  @derive {Inspect, except: [:token, :data]}
  @enforce_keys [:id, :application_id, :token, :kind, :user, :data]
  defstruct [
    :id,
    :application_id,
    :token,
    :kind,
    :user,
    :data,
    :focused,
    :custom_id,
    :guild_id,
    :channel_id,
    :locale,
    command: [],
    options: %{},
    values: [],
    permissions: 0
  ]

  @type kind :: :command | :component | :autocomplete | :modal

  @type t :: %__MODULE__{
          id: Snowflake.t(),
          application_id: Snowflake.t(),
          token: Secret.t(),
          kind: kind(),
          command: [String.t()],
          options: %{String.t() => term()},
          focused: String.t() | nil,
          custom_id: String.t() | nil,
          values: [String.t()],
          user: %{id: Snowflake.t(), name: String.t()},
          permissions: non_neg_integer(),
          guild_id: Snowflake.t() | nil,
          channel_id: Snowflake.t() | nil,
          locale: String.t() | nil,
          data: map()
        }

  @kinds %{2 => :command, 3 => :component, 4 => :autocomplete, 5 => :modal}

  # A subcommand, and a group of them.
  @nested [1, 2]

  @doc """
  Replaces the answer to an interaction, as long as its token is good: a quarter of an hour.
  """
  @spec edit(t(), Notify.Message.input()) :: :ok | {:error, Error.t()}
  def edit(%__MODULE__{} = interaction, message) do
    case Webhook.message(message) do
      {:ok, message} -> Webhook.edit(interaction, message)
      {:error, wrong} -> {:error, Error.invalid(nil, wrong)}
    end
  end

  @doc false
  # From Discord's JSON. What is not one has a reason.
  @spec new(term()) :: {:ok, t()} | {:error, String.t()}
  def new(%{"type" => type, "id" => id, "application_id" => application_id, "token" => token} = given)
      when is_map_key(@kinds, type) do
    data = if is_map(given["data"]), do: given["data"], else: %{}

    with {:ok, id} <- Snowflake.cast(id),
         {:ok, application_id} <- Snowflake.cast(application_id),
         :ok <- token(token),
         {:ok, user} <- user(given) do
      {:ok,
       described(
         %__MODULE__{
           id: id,
           application_id: application_id,
           token: Secret.wrap(token),
           kind: @kinds[type],
           user: user,
           permissions: permissions(given),
           guild_id: snowflake(given["guild_id"]),
           channel_id: snowflake(given["channel_id"]),
           locale: text(given["locale"]),
           custom_id: text(data["custom_id"]),
           data: Map.delete(given, "token")
         },
         data
       )}
    else
      _ -> {:error, "the interaction lacks an id, a token or a user"}
    end
  end

  def new(_other), do: {:error, "this is not an interaction"}

  # It becomes part of a path.
  defp token(token) do
    if is_binary(token) and byte_size(token) <= 1_024 and token =~ ~r/\A[A-Za-z0-9_.~=-]+\z/, do: :ok, else: :error
  end

  # In a guild there is a member, elsewhere a user.
  defp user(given) do
    with %{"id" => id} = user <- get(given, ["member", "user"]) || given["user"],
         {:ok, id} <- Snowflake.cast(id),
         do: {:ok, %{id: id, name: text(user["global_name"]) || text(user["username"]) || id}}
  end

  defp permissions(given) do
    case Integer.parse(text(get(given, ["member", "permissions"])) || "") do
      {bits, ""} when bits >= 0 -> bits
      _ -> 0
    end
  end

  defp described(%{kind: kind} = interaction, data) when kind in [:command, :autocomplete] do
    {path, options} = innermost([text(data["name"]) || ""], objects(data["options"]))
    named = for %{"name" => name, "value" => value} <- options, is_binary(name), into: %{}, do: {name, value}
    focused = Enum.find_value(options, fn option -> if option["focused"] == true, do: text(option["name"]) end)
    %{interaction | command: path, options: named, focused: focused}
  end

  defp described(%{kind: :component} = interaction, data),
    do: %{interaction | values: for(value <- list(data["values"]), is_binary(value), do: value)}

  defp described(%{kind: :modal} = interaction, data) do
    # Rows or labels, with an input in each.
    inputs =
      Enum.flat_map(objects(data["components"]), fn row -> objects(row["components"]) ++ objects([row["component"]]) end)

    entered =
      for %{"custom_id" => id} = input <- inputs,
          is_binary(id),
          into: %{},
          do: {id, Map.get(input, "value", input["values"])}

    %{interaction | options: entered}
  end

  defp innermost(path, [%{"type" => type, "name" => name} = option]) when type in @nested and is_binary(name),
    do: innermost(path ++ [name], objects(option["options"]))

  defp innermost(path, options), do: {path, options}

  defp get(map, [key]) when is_map(map), do: map[key]
  defp get(map, [key | path]) when is_map(map), do: get(map[key], path)
  defp get(_none, _path), do: nil

  defp objects(value), do: for(object when is_map(object) <- list(value), do: object)

  defp list(value) when is_list(value), do: value
  defp list(_none), do: []

  defp text(value) when is_binary(value), do: value
  defp text(_none), do: nil

  defp snowflake(value) do
    case Snowflake.cast(value) do
      {:ok, id} -> id
      :error -> nil
    end
  end
end
