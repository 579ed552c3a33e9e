defmodule UroDiscord.Interactions.Commands do
  @moduledoc false
  # Which module is for what: the host's, and ours where the host has none of that name.

  require Logger
  alias UroDiscord.{Config, Interaction, Runtime}
  alias UroDiscord.Accounts.SelfRoles

  @doc "The definitions, to be registered with Discord."
  @spec definitions(Config.t()) :: [map()]
  def definitions(config), do: for({_name, {_module, definition}} <- by_name(config), do: definition)

  @spec find(Config.t(), Interaction.t()) :: {:ok, module()} | :error
  def find(config, %Interaction{kind: kind, command: [name | _]}) when kind in [:command, :autocomplete] do
    with {:ok, {module, _definition}} <- Map.fetch(by_name(config), name), do: {:ok, module}
  end

  def find(config, %Interaction{custom_id: custom_id}) when is_binary(custom_id), do: component(config, custom_id)
  def find(_config, _interaction), do: :error

  @doc "Whose buttons, menus and modals have this `custom_id`."
  @spec component(Config.t(), String.t()) :: {:ok, module()} | :error
  def component(config, custom_id) do
    [prefix | _] = String.split(custom_id, ":", parts: 2)

    case Enum.find(modules(config), &(ask(&1, :component, fn prefix -> prefix end) == {:ok, prefix})) do
      nil -> :error
      module -> {:ok, module}
    end
  end

  defp by_name(config) do
    # The later one of a name stands.
    for module <- Enum.reverse(modules(config)),
        {:ok, {name, definition}} <- [ask(module, :command, &named/1)],
        into: %{} do
      {name, {module, definition}}
    end
  end

  # A release in embedded mode has everything loaded; elsewhere a module is when it is first called.
  defp modules(%Config{commands: nil}), do: []
  defp modules(%Config{commands: given} = config), do: Enum.filter(given ++ built_in(config), &Code.ensure_loaded?/1)

  defp built_in(config) do
    portal = if Config.Portal.keys_of(config.portal) == [], do: [], else: [__MODULE__.Portal, __MODULE__.Watch]
    clip = if __MODULE__.Clip.on?(config), do: [__MODULE__.Clip], else: []
    share = if __MODULE__.Share.on?(config), do: [__MODULE__.Share], else: []
    accounts = if Config.Accounts.on?(config), do: [__MODULE__.Link, __MODULE__.Unlink, SelfRoles.Clicks], else: []
    [__MODULE__.Worlds, __MODULE__.Who, __MODULE__.Uro] ++ portal ++ clip ++ share ++ accounts
  end

  defp named(definition), do: {to_string(definition[:name] || definition["name"]), definition}

  # The host's code. What crashes in it is this command's loss, and none of the others'.
  defp ask(module, function, read) do
    if function_exported?(module, function, 0), do: {:ok, module |> apply(function, []) |> read.()}, else: :error
  catch
    kind, reason ->
      crashed(module, function, Exception.format_banner(kind, reason, __STACKTRACE__))
      :error
  end

  # Said once: it is asked with every interaction.
  defp crashed(module, function, banner) do
    key = {:crashed, {module, function}}

    if Runtime.lookup(key) == nil do
      Runtime.put(key, true)
      Logger.error("#{inspect(module)}.#{function}/0 crashed, and is left out: #{banner}")
    end
  end
end
