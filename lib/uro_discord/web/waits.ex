defmodule UroDiscord.Web.Waits do
  @moduledoc false
  # Requests that wait for an outcome (`?wait=`). Each takes one of the places in which requests are answered, for as long as half a minute:
  # so only so many may, or whoever has a key keeps everybody else out.

  @of_a_key 32
  # Half of the places of the listener.
  @at_once 128

  @spec child_spec(term()) :: Supervisor.child_spec()
  def child_spec(_argument), do: UroDiscord.RestartableRegistry.child_spec(keys: :duplicate, name: __MODULE__)

  @doc "What `fun` returns, or `:many` where as many wait as may, of this key or of all."
  @spec wait(String.t(), (() -> result)) :: result | :many when result: term()
  def wait(key_name, fun) do
    if enter(key_name) do
      try do
        fun.()
      after
        leave(key_name)
      end
    else
      :many
    end
  end

  # A place goes with the process that has it, whose client may go.
  defp enter(key_name) do
    if length(Registry.lookup(__MODULE__, key_name)) < @of_a_key and Registry.count(__MODULE__) < @at_once do
      {:ok, _owner} = Registry.register(__MODULE__, key_name, nil)
      true
    end
  rescue
    # The registry is just being started again.
    ArgumentError -> false
  end

  defp leave(key_name) do
    Registry.unregister(__MODULE__, key_name)
  rescue
    # With the registry that had it the place went too.
    ArgumentError -> :ok
  end
end
