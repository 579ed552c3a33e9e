defmodule UroDiscord.Setup.Doctor.Finding do
  @moduledoc false
  # What the doctor found of one thing. No secret is ever in it.

  @enforce_keys [:check, :state, :found]
  defstruct [:check, :state, :found, :advice]

  @typedoc "`advice` says what to do, where something is to be done."
  @type t :: %__MODULE__{
          check: atom(),
          state: :ok | :warning | :wrong | :unknown,
          found: String.t(),
          advice: String.t() | nil
        }

  @spec ok(atom(), String.t()) :: t()
  def ok(check, found), do: %__MODULE__{check: check, state: :ok, found: found}

  @doc "It works as it is, but not as well as it could, or not for long."
  @spec warning(atom(), String.t(), String.t()) :: t()
  def warning(check, found, advice), do: %__MODULE__{check: check, state: :warning, found: found, advice: advice}

  @spec wrong(atom(), String.t(), String.t()) :: t()
  def wrong(check, found, advice), do: %__MODULE__{check: check, state: :wrong, found: found, advice: advice}

  @doc "It could not be looked at."
  @spec unknown(atom(), String.t(), String.t()) :: t()
  def unknown(check, found, advice), do: %__MODULE__{check: check, state: :unknown, found: found, advice: advice}

  @doc """
  What is told to the shell.

      iex> alias UroDiscord.Setup.Doctor.Finding
      iex> {ok, warning} = {Finding.ok(:clock, "right"), Finding.warning(:clock, "late", "set it")}
      iex> {wrong, unknown} = {Finding.wrong(:token, "is none", "get one"), Finding.unknown(:token, "no answer", "try again")}
      iex> for findings <- [[ok, warning], [ok, wrong, unknown], [ok, unknown]], do: Finding.exit_status(findings)
      [0, 1, 2]
  """
  @spec exit_status([t()]) :: 0 | 1 | 2
  def exit_status(findings) do
    states = Enum.map(findings, & &1.state)

    cond do
      :wrong in states -> 1
      :unknown in states -> 2
      true -> 0
    end
  end
end
