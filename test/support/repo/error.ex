defmodule UroDiscord.TestRepo.Error do
  @moduledoc "Shaped like `Postgrex.Error`."
  defexception [:postgres]
  @impl true
  def message(%{postgres: postgres}), do: postgres.message
end
