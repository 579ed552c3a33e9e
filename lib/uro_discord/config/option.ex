defmodule UroDiscord.Config.Option do
  @moduledoc false
  # What is known of an option: `UroDiscord.Config.Schema` and the modules of its groups list them.

  @type t :: %{
          key: atom(),
          required: boolean(),
          default: term(),
          check: (term() -> {:ok, term()} | {:error, String.t()}) | nil,
          doc: String.t() | nil,
          allowed: String.t() | nil,
          example: String.t() | nil,
          options: [t()] | nil
        }

  @doc "An option; `fields` are those of `t:t/0`."
  @spec option(atom(), (term() -> {:ok, term()} | {:error, String.t()}) | nil, keyword()) :: t()
  def option(key, check, fields) do
    %{key: key, check: check, required: false, default: nil, doc: nil, allowed: nil, example: nil, options: nil}
    |> Map.merge(Map.new(fields))
  end
end
