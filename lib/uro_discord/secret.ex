defmodule UroDiscord.Secret do
  @moduledoc false
  # A secret in a process's state must not show in `inspect`, in a crash report or in `:sys.get_state`. A struct with an
  # Inspect of its own does not do: Erlang's own reports print with ~p, which knows nothing of protocols. A fun prints
  # as #Fun<…> everywhere.

  @type t :: function()

  @spec wrap(term()) :: t()
  def wrap(value), do: fn -> value end

  @spec reveal(t()) :: term()
  def reveal(secret) when is_function(secret, 0), do: secret.()
end
