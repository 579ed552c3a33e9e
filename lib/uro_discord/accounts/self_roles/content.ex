defmodule UroDiscord.Accounts.SelfRoles.Content do
  @moduledoc false
  # What such a message says and is clicked on. A click names the message and the role, or what was chosen in its menu.

  alias UroDiscord.Config.Accounts.SelfRoles, as: Config
  alias UroDiscord.Snowflake

  # The first part of the custom ids, by which clicks find UroDiscord.Accounts.SelfRoles.Clicks.
  @prefix "self-role"
  @per_row 5

  # https://discord.com/developers/docs/components/reference
  @row 1
  @button 2
  @menu 3
  @secondary 2

  @type role :: {label :: String.t(), Snowflake.t()}

  @spec prefix() :: String.t()
  def prefix, do: @prefix

  @doc "The body, but for what makes it a notification."
  @spec body(Config.t(), [role()]) :: %{String.t() => term()}
  def body(message, roles) do
    %{
      "content" => message.text,
      "components" => components(message, roles),
      "allowed_mentions" => %{"parse" => []}
    }
  end

  defp components(%{style: :buttons} = message, roles) do
    for row <- Enum.chunk_every(roles, @per_row) do
      buttons =
        for {label, id} <- row do
          %{
            "type" => @button,
            "style" => @secondary,
            "label" => label,
            "custom_id" => "#{@prefix}:#{message.name}:#{id}"
          }
        end

      row(buttons)
    end
  end

  defp components(%{style: :menu} = message, roles) do
    menu = %{
      "type" => @menu,
      "custom_id" => "#{@prefix}:#{message.name}",
      "placeholder" => if(message.rule == :one, do: "Take or give back one", else: "Take or give back"),
      "min_values" => 1,
      "max_values" => if(message.rule == :one, do: 1, else: length(roles)),
      "options" => for({label, id} <- roles, do: %{"label" => label, "value" => id})
    }

    [row([menu])]
  end

  defp row(components), do: %{"type" => @row, "components" => components}

  @doc "Which message was clicked on, and what of it."
  @spec clicked(String.t(), [String.t()]) :: {name :: String.t(), roles :: [String.t()]} | :error
  def clicked(custom_id, values) do
    case String.split(custom_id, ":") do
      [@prefix, name] -> {name, Enum.uniq(values)}
      [@prefix, name, role] -> {name, [role]}
      _other -> :error
    end
  end
end
