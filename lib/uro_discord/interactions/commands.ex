defmodule UroDiscord.Interactions.Commands do
  @moduledoc false
  # Which module is for what: the host's, and ours where the host has none of that name.

  alias UroDiscord.{Config, Interaction, Interactions}

  @doc "The definitions, to be registered with Discord."
  @spec definitions(Config.t()) :: [map()]
  def definitions(config), do: for({_name, module} <- by_name(config), do: module.command())

  @spec find(Config.t(), Interaction.t()) :: {:ok, module()} | :error
  def find(config, %Interaction{kind: kind, command: [name | _]}) when kind in [:command, :autocomplete],
    do: Map.fetch(by_name(config), name)

  def find(config, %Interaction{custom_id: custom_id}) when is_binary(custom_id), do: component(config, custom_id)
  def find(_config, _interaction), do: :error

  @doc "Whose buttons, menus and modals have this `custom_id`."
  @spec component(Config.t(), String.t()) :: {:ok, module()} | :error
  def component(config, custom_id) do
    [prefix | _] = String.split(custom_id, ":", parts: 2)

    case Enum.find(modules(config), &(function_exported?(&1, :component, 0) and &1.component() == prefix)) do
      nil -> :error
      module -> {:ok, module}
    end
  end

  defp by_name(config) do
    # The later one of a name stands.
    for module <- Enum.reverse(modules(config)), function_exported?(module, :command, 0), into: %{} do
      {name(module.command()), module}
    end
  end

  # A release in embedded mode has everything loaded; elsewhere a module is when it is first called.
  defp modules(%Config{commands: nil}), do: []
  defp modules(%Config{commands: given}), do: Enum.filter(given ++ Interactions.built_in(), &Code.ensure_loaded?/1)

  defp name(definition), do: to_string(definition[:name] || definition["name"])
end
