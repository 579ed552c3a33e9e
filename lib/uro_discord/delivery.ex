defmodule UroDiscord.Delivery do
  @moduledoc """
  A notification on its way to a channel.

    * `id`: our own name for it, and the nonce by which Discord knows a repeat of it;
    * `channel_id`: the Discord channel; of a message to a user `"user:"` and the user's id in Uro, until it is delivered;
    * `status`: `:queued`, then `:delivered` or `:failed`; `:dropped` when UroDiscord is configured with `enabled: false`;
    * `message_id`: the Discord message, once delivered;
    * `error`: why it failed.
  """

  alias UroDiscord.{Error, Snowflake}

  @enforce_keys [:id, :channel_id, :status]
  defstruct [:id, :channel_id, :status, :message_id, :error]

  @type t :: %__MODULE__{
          id: String.t(),
          channel_id: Snowflake.t() | String.t(),
          status: :queued | :delivered | :failed | :dropped,
          message_id: Snowflake.t() | nil,
          error: Error.t() | nil
        }

  @doc false
  @spec new(Snowflake.t() | String.t(), :queued | :dropped) :: t()
  def new(channel_id, status) do
    # 22 characters; Discord takes a nonce of at most 25.
    id = Base.url_encode64(:crypto.strong_rand_bytes(16), padding: false)
    %__MODULE__{id: id, channel_id: channel_id, status: status}
  end
end
