defmodule UroDiscord.Store.Adapter do
  @moduledoc false
  # What keeps a store's tables; `UroDiscord.Store` says what is asked of it.

  alias UroDiscord.{Error, Store}

  @doc "Opens what the second half of the configured value names, its schema brought up to date or found to be."
  @callback open(term()) :: {:ok, handle :: term()} | {:error, Error.t()}
  @callback run(handle :: term(), [Store.statement()], :read | :write) ::
              {:ok, [Store.answer()]} | {:error, Error.t()}
end
