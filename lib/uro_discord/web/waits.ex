defmodule UroDiscord.Web.Waits do
  @moduledoc false
  # Requests that wait for an outcome (`?wait=`). Each takes one of the places in which requests are answered, for as long as half a minute:
  # so only so many may, or whoever has a key keeps everybody else out.

  @of_a_key 32
  # Half of the places of the listener.
  @at_once 128

  @spec child_spec(term()) :: Supervisor.child_spec()
  def child_spec(_argument), do: Registry.child_spec(keys: :duplicate, name: __MODULE__)

  @doc "What `fun` returns, or `:many` where as many wait as may, of this key or of all."
  @spec wait(String.t(), (() -> result)) :: result | :many when result: term()
  def wait(key_name, fun) do
    if length(Registry.lookup(__MODULE__, key_name)) < @of_a_key and Registry.count(__MODULE__) < @at_once do
      # It goes with the process, whose client may go.
      {:ok, _owner} = Registry.register(__MODULE__, key_name, nil)

      try do
        fun.()
      after
        Registry.unregister(__MODULE__, key_name)
      end
    else
      :many
    end
  end
end
