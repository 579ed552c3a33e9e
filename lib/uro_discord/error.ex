defmodule UroDiscord.Error do
  @moduledoc """
  Why something was refused or failed. Every function of `UroDiscord` that can fail returns `{:error, %UroDiscord.Error{}}`.

    * `kind` says what sort of failure it is, for code (see `t:kind/0`);
    * `message` says it in words, for people, and what to do next where that is known;
    * `field` is the part of the input that was refused, such as `"embeds.0.title"`;
    * `status`, `code` and `errors` are Discord's answer: HTTP status, JSON error code, and the tree of field errors.
  """

  defexception [:kind, :message, :field, :status, :code, :errors, :retry_after_ms]

  @typedoc """
    * `:invalid`: the input was refused here, before anything was sent;
    * `:not_started`: `UroDiscord` is not running;
    * `:api`: Discord refused it;
    * `:unauthorized`: Discord does not accept the token;
    * `:timeout`: the wait was over before the outcome was known;
    * `:expired`: it was not delivered in its time;
    * `:unknown`: there is no such notification, or the bot is in no voice channel there;
    * `:voice`: the bot did not get into a voice channel;
    * `:full`: there are as many already as are kept;
    * `:disabled`: UroDiscord is configured with `enabled: false`;
    * `:conflict`, `:constraint`, `:busy`, `:unavailable`, `:corrupt`, `:schema`, `:statement`: of `UroDiscord.Store`;
    * any other: as `crates/rest` names its errors (`:connect`, `:rate_limited`, `:deadline`, `:breaker` …).
  """
  @type kind :: atom()

  @type t :: %__MODULE__{
          kind: kind(),
          message: String.t(),
          field: String.t() | nil,
          status: pos_integer() | nil,
          code: integer() | nil,
          errors: map() | nil,
          retry_after_ms: non_neg_integer() | nil
        }

  @doc false
  @spec invalid(String.t() | nil, String.t()) :: t()
  def invalid(field, message), do: %__MODULE__{kind: :invalid, field: field, message: message}

  @impl true
  def message(%__MODULE__{field: nil, message: message}), do: message
  def message(%__MODULE__{field: field, message: message}), do: "#{field}: #{message}"
end
