defmodule UroDiscord.Error do
  @moduledoc """
  Why something was refused or failed. Every function of `UroDiscord` that can fail returns `{:error, %UroDiscord.Error{}}`.

    * `kind` says what sort of failure it is, for code (see `t:kind/0`);
    * `message` says it in words, for people, and what to do next where that is known;
    * `field` is the part of the input that was refused, such as `"embeds.0.title"`;
    * `status`, `code` and `errors` are Discord's answer: HTTP status, JSON error code, and the tree of field errors.
  """

  alias UroDiscord.Length

  defexception [:kind, :message, :field, :status, :code, :errors, :retry_after_ms]

  @typedoc """
    * `:invalid`: the input was refused here, before anything was sent;
    * `:not_started`: `UroDiscord` is not running;
    * `:api`: Discord refused it;
    * `:unauthorized`: Discord does not accept the token; `retry_after_ms` is the time until one request goes to see whether it does now;
    * `:weather`: Discord, or what stands before it (Cloudflare, a proxy), cannot answer now, which says nothing about the request;
    * `:timeout`: the wait was over before the outcome was known;
    * `:expired`: it was not delivered in its time;
    * `:unknown`: there is no such notification or portal, or the bot is in no voice channel there;
    * `:server`: a server of Discord's refuses all changes of its members just now;
    * `:not_linked`: the user of Uro's has linked no Discord account;
    * `:conflict`: the bot is wanted in another channel of that guild, by a portal or by the host; or of `UroDiscord.Store`;
    * `:voice`: the bot did not get into a voice channel;
    * `:full`: there are as many already as are kept, or as may wait;
    * `:disabled`: UroDiscord is configured with `enabled: false`, or accounts are off;
    * `:directory`: the directory of the accounts did not answer, or answered against its rules; `:unbelievable`: it does not know most of the linked users;
    * `:response`: an answer of Discord's is not what its documentation says;
    * `:busy`: somebody is at it already, here or on another node; or of `UroDiscord.Store`;
    * `:crash`: a process of ours that was at it has crashed, as the log tells;
    * `:constraint`, `:unavailable`, `:corrupt`, `:schema`, `:statement`: of `UroDiscord.Store`;
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

  # Discord answers these of its own accord, and later does what it refused: 40003 is opening direct messages too fast, 40333 Cloudflare's challenge.
  @passing_codes [40_003, 40_333]
  @passing_statuses [408, 421, 425, 429]

  @doc false
  # Whether no later try of the same request can get another answer: Discord itself refused it, or it was refused here. Discord's refusals have
  # a code; a 4xx without one came from something on the way (a proxy, Cloudflare), and passes.
  @spec final?(t()) :: boolean()
  def final?(%__MODULE__{kind: kind}) when kind in [:invalid, :invalid_request], do: true

  def final?(%__MODULE__{kind: :api, status: status, code: code}),
    do: status in 400..499 and is_integer(code) and code not in @passing_codes and status not in @passing_statuses

  def final?(%__MODULE__{}), do: false

  @doc false
  # What is said of any input that is not what it may be, in a call, a message or the configuration.
  @spec may_be(term(), String.t()) :: String.t()
  def may_be(value, allowed), do: "is #{short(value)}; it may be #{allowed}"

  @doc false
  # The beginning of what `inspect/1` says of a value.
  @spec short(term()) :: String.t()
  def short(value), do: value |> inspect(limit: 5, printable_limit: 40) |> Length.cut(81)

  @doc false
  @spec invalid(String.t() | nil, term(), String.t()) :: t()
  def invalid(field, value, allowed), do: invalid(field, may_be(value, allowed))

  @doc false
  @spec invalid(String.t() | nil, String.t()) :: t()
  def invalid(field, message), do: %__MODULE__{kind: :invalid, field: field, message: message}

  @impl true
  def message(%__MODULE__{field: nil, message: message}), do: message
  def message(%__MODULE__{field: field, message: message}), do: "#{field}: #{message}"
end
