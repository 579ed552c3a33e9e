defmodule UroDiscord.Accounts.Tasks.Output do
  @moduledoc false
  # Where a task says how it is getting on: on a terminal a line that is written over, elsewhere now and then a line, or in the log.

  require Logger
  alias UroDiscord.Accounts.Tasks.Text

  @terminal_ms 200
  @plain_ms 10_000

  @type t :: %__MODULE__{kind: :terminal | :plain | :log, told_at: integer() | nil}

  @enforce_keys [:kind]
  defstruct [:kind, :told_at]

  @doc "`true`: for people who wait for it; `false`: in the log."
  @spec new(boolean()) :: t()
  # Elixir knows whether there is a terminal.
  def new(true), do: %__MODULE__{kind: if(IO.ANSI.enabled?(), do: :terminal, else: :plain)}
  def new(false), do: %__MODULE__{kind: :log}

  @doc "A line that stays."
  @spec say(t(), String.t()) :: :ok
  def say(%{kind: :terminal}, text), do: IO.write("\r\e[K#{text}\n")
  def say(%{kind: :plain}, text), do: IO.puts(text)
  def say(%{kind: :log}, text), do: Logger.info("task #{text}")

  @doc "How far it is, if it is time to say so. `now` is in ms of the monotonic clock."
  @spec progress(t(), Text.progress(), integer()) :: t()
  def progress(%{kind: kind, told_at: at} = output, progress, now) do
    pause = if kind == :terminal, do: @terminal_ms, else: @plain_ms

    cond do
      # What is done within the first pause needs no line.
      at == nil and kind != :terminal ->
        %{output | told_at: now}

      at != nil and now - at < pause ->
        output

      true ->
        tell(output, progress)
        %{output | told_at: now}
    end
  end

  defp tell(%{kind: :terminal}, progress), do: IO.write("\r#{Text.bar(progress, columns() - 1)}\e[K")
  defp tell(output, progress), do: say(output, Text.plain(progress))

  defp columns do
    case :io.columns() do
      {:ok, columns} -> columns
      {:error, _unknown} -> 80
    end
  end
end
