defmodule UroDiscord.Shards.Source.Adapter do
  @moduledoc false
  # Where `UroDiscord.Shards.Source` asks for shards.

  alias UroDiscord.Config
  alias UroDiscord.Shards.Source.Row

  @doc "What `poll/1` is given first."
  @callback init(Config.t()) :: memory :: term()
  @doc "Asks once. May block, raise and exit."
  @callback poll(memory :: term()) ::
              {:ok, [Row.t()], memory :: term()}
              | {:error, String.t()}
              | {:error, String.t(), retry_after_ms :: non_neg_integer() | nil}
end
