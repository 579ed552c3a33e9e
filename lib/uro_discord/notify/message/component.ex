defmodule UroDiscord.Notify.Message.Component do
  @moduledoc false
  # One component with those inside it, of the kinds that a message may have:
  # https://discord.com/developers/docs/components/reference. What counts over all of them is in `Components`.

  alias UroDiscord.Error
  alias UroDiscord.Notify.Message.{ComponentRules, Shape}

  @row 1
  @button 2
  @string_select 3
  @user_select 5
  @role_select 6
  @mentionable_select 7
  @channel_select 8
  @section 9
  @text 10
  @thumbnail 11
  @gallery 12
  @file_display 13
  @separator 14
  @container 17

  @names %{
    @row => "action row",
    @button => "button",
    @string_select => "string select",
    @user_select => "user select",
    @role_select => "role select",
    @mentionable_select => "mentionable select",
    @channel_select => "channel select",
    @section => "section",
    @text => "text display",
    @thumbnail => "thumbnail",
    @gallery => "media gallery",
    @file_display => "file",
    @separator => "separator",
    @container => "container"
  }

  @selects [@string_select, @user_select, @role_select, @mentionable_select, @channel_select]
  @top [@row, @section, @text, @gallery, @file_display, @separator, @container]

  # What the values that a select begins with may be.
  @default_types %{
    @user_select => ["user"],
    @role_select => ["role"],
    @mentionable_select => ["user", "role"],
    @channel_select => ["channel"]
  }

  @channel_types [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 16]

  # The most that a message may have; `Components` counts them.
  @components 40

  @custom_id {:required, {:text, 1, 100}}
  @media {:required, {:object, "a media item", [{"url", {:required, {:url, ["http", "https", "attachment"], 2_048}}}]}}
  @described_media [
    {"media", @media},
    {"description", {:text, 0, 1_024}},
    {"spoiler", :boolean}
  ]
  @emoji {:object, "an emoji", [{"id", :snowflake}, {"name", {:text, 1, 32}}, {"animated", :boolean}]}
  @option {:object, "a select's option",
           [
             {"label", {:required, {:text, 1, 100}}},
             {"value", {:required, {:text, 1, 100}}},
             {"description", {:text, 0, 100}},
             {"emoji", &__MODULE__.emoji/2},
             {"default", :boolean}
           ]}

  @doc "A component at the top of a message."
  @spec cast(term(), Shape.path()) :: {:ok, map()} | {:error, Error.t()}
  def cast(value, path), do: cast(value, @top, path)

  @doc "One of the types `allowed`, also where that is not a message."
  @spec cast(term(), [integer()], Shape.path()) :: {:ok, map()} | {:error, Error.t()}
  def cast(value, allowed, path) do
    case type(value) do
      :error ->
        Shape.is_not(value, "a map or keyword list (a component)", path)

      nil ->
        Shape.invalid(["type" | path], "is missing")

      type ->
        if type in allowed do
          what = "a component of type #{named(type)}"

          with {:ok, component} <- Shape.cast(value, {:object, what, shape(type)}, path),
               :ok <- ComponentRules.check(component, path),
               do: {:ok, component}
        else
          names = Enum.map_join(allowed, ", ", &named/1)
          Shape.invalid(["type" | path], "is #{named(type)}; here it may be #{names}")
        end
    end
  end

  @doc "Its type as it was given, nil for none, or `:error` for what is no component."
  @spec type(term()) :: term()
  def type(map) when is_map(map) and not is_struct(map),
    do: Map.get(map, :type) || Map.get(map, "type")

  def type(other), do: if(Keyword.keyword?(other), do: other[:type], else: :error)

  @doc "Whether it is one of Components V2: of those below the top of a message only, an action row is not."
  @spec v2?(map()) :: boolean()
  def v2?(%{"type" => type}), do: type != @row

  @doc false
  @spec emoji(term(), Shape.path()) :: Shape.result()
  def emoji(value, path) do
    case Shape.cast(value, @emoji, path) do
      {:ok, emoji} when not is_map_key(emoji, "id") and not is_map_key(emoji, "name") ->
        Shape.invalid(path, "has neither a name nor an id")

      result ->
        result
    end
  end

  defp one_of(types), do: fn value, path -> cast(value, types, path) end

  defp named(type) do
    case @names do
      %{^type => name} -> "#{type} (#{name})"
      _ -> Shape.short(type)
    end
  end

  defp shape(type),
    do: [{"type", {:integer, 1, 99}}, {"id", {:integer, 0, 0x7FFF_FFFF}} | fields(type)]

  defp fields(@row),
    do: [{"components", {:required, {:list, 1, 5, one_of([@button | @selects])}}}]

  defp fields(@button) do
    [
      {"style", {:required, {:integer, 1, 6}}},
      {"label", {:text, 0, 80}},
      {"emoji", &__MODULE__.emoji/2},
      {"custom_id", {:text, 1, 100}},
      {"sku_id", :snowflake},
      # The third is from https://github.com/discordjs/discord.js/pull/6559.
      {"url", {:url, ["http", "https", "discord"], 512}},
      {"disabled", :boolean}
    ]
  end

  defp fields(@string_select),
    do: [{"options", {:required, {:list, 1, 25, @option}}} | select_fields()]

  defp fields(@channel_select) do
    [
      {"channel_types", {:list, 0, length(@channel_types), {:one_of, @channel_types}}},
      {"default_values", {:list, 0, 25, default_value(@channel_select)}} | select_fields()
    ]
  end

  defp fields(type) when type in @selects,
    do: [{"default_values", {:list, 0, 25, default_value(type)}} | select_fields()]

  defp fields(@section) do
    [
      {"components", {:required, {:list, 1, 3, one_of([@text])}}},
      {"accessory", {:required, one_of([@button, @thumbnail])}}
    ]
  end

  defp fields(@text), do: [{"content", {:required, {:text, 1, 4_000}}}]
  defp fields(@thumbnail), do: @described_media

  defp fields(@gallery),
    do: [{"items", {:required, {:list, 1, 10, {:object, "a gallery's item", @described_media}}}}]

  defp fields(@file_display) do
    file = {:object, "a media item", [{"url", {:required, {:url, ["attachment"], 2_048}}}]}
    [{"file", {:required, file}}, {"spoiler", :boolean}]
  end

  defp fields(@separator), do: [{"divider", :boolean}, {"spacing", {:integer, 1, 2}}]

  defp fields(@container) do
    [
      {"components", {:required, {:list, 1, @components, one_of(@top -- [@container])}}},
      {"accent_color", {:integer, 0, 0xFFFFFF}},
      {"spoiler", :boolean}
    ]
  end

  defp select_fields do
    [
      {"custom_id", @custom_id},
      {"placeholder", {:text, 0, 150}},
      {"min_values", {:integer, 0, 25}},
      {"max_values", {:integer, 1, 25}},
      {"disabled", :boolean},
      # For modals; a message may have it in vain.
      {"required", :boolean}
    ]
  end

  defp default_value(type) do
    {:object, "a default value",
     [
       {"id", {:required, :snowflake}},
       {"type", {:required, {:one_of, Map.fetch!(@default_types, type)}}}
     ]}
  end
end
