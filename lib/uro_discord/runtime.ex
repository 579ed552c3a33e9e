defmodule UroDiscord.Runtime do
  @moduledoc false
  # What every process may need of the running UroDiscord: its configuration and its REST client. The table belongs to the
  # supervisor, so it is there exactly as long as UroDiscord is.

  alias UroDiscord.{Config, Error, Native}

  @type t :: %{config: Config.t(), rest: Native.rest() | nil}

  @spec init(t()) :: :ok
  def init(runtime) do
    :ets.new(__MODULE__, [:named_table, read_concurrency: true])
    true = :ets.insert(__MODULE__, {:runtime, runtime})
    :ok
  end

  @spec fetch() :: {:ok, t()} | {:error, Error.t()}
  def fetch do
    [runtime: runtime] = :ets.lookup(__MODULE__, :runtime)
    {:ok, runtime}
  rescue
    ArgumentError ->
      {:error,
       %Error{
         kind: :not_started,
         message: "UroDiscord is not running: put it into your supervision tree"
       }}
  end
end
