defmodule UroDiscord.Telemetry do
  @moduledoc """
  What UroDiscord tells `:telemetry`, when the host has it.

  | event | measurements | metadata |
  |---|---|---|
  | `[:uro_discord, :notify, :accepted]` | `count`: messages | `channel_id` |
  | `[:uro_discord, :notify, :delivered]` | `duration_ms`: since it was accepted | `channel_id`, `id`, `message_id` |
  | `[:uro_discord, :notify, :retry]` | `delay_ms`: until the next try | `channel_id`, `id`, `kind`: of the error |
  | `[:uro_discord, :notify, :failed]` | `duration_ms`: since it was accepted | `channel_id`, `id`, `kind` |
  | `[:uro_discord, :web, :request]` | `duration_ms`: from its head to its answer | `method`, `route`, `status` |
  | `[:uro_discord, :feeds, :event]` | `count`: events | `feed`, `kind`, `state` |
  | `[:uro_discord, :accounts, :task]` | `duration_ms`; `looked`, `changed`, `left`, `skipped`, `failed`: users | `task` |
  | `[:uro_discord, :bridge, :panic]` | `count`: panics | `bridge`: its name, `what`: `:room`, `:shard`, `:portal` or `:connection` of HTTP, `which`: the guild's id, the shard's number, the portal's id, or nil |
  | `[:uro_discord, :portal, :open]`, `:closed`, `:peer_joined`, `:peer_left` | `count`: 1, `peers`: that are there now | `portal`: its id |
  | `[:uro_discord, :portal, :stats]`, every 5 s | `participants`; frames `to_discord`, `from_discord`, `dropped`, since it opened | `portal` |

  `:telemetry` belongs to the host and is called at run time.
  """

  @compile {:no_warn_undefined, [:telemetry]}

  @doc false
  @spec execute([atom()], map(), map()) :: :ok
  def execute(event, measurements, metadata) do
    if function_exported?(:telemetry, :execute, 3),
      do: :telemetry.execute([:uro_discord | event], measurements, metadata),
      else: :ok
  end

  @doc false
  # `function_exported?/3` sees only what is loaded.
  @spec load() :: :ok
  def load do
    _ = Code.ensure_loaded(:telemetry)
    :ok
  end
end
