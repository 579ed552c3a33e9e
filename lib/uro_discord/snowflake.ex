defmodule UroDiscord.Snowflake do
  @moduledoc """
  Discord's ids: 64-bit numbers, written in JSON as strings of 17 to 20 digits.

  There is one way to write an id, so that two texts are the same id exactly when they are equal: an id with a leading zero is none.
  """

  @type t :: String.t()

  @doc """
  The id as a string, from a string or an integer.

      iex> UroDiscord.Snowflake.cast(175928847299117063)
      {:ok, "175928847299117063"}

      iex> UroDiscord.Snowflake.cast("general")
      :error

      iex> UroDiscord.Snowflake.cast("00175928847299117063")
      :error
  """
  @spec cast(term()) :: {:ok, t()} | :error
  def cast(id) when is_integer(id) and id > 0, do: cast(Integer.to_string(id))

  def cast(id) when is_binary(id) do
    if id =~ ~r/\A[1-9][0-9]{16,19}\z/ and String.to_integer(id) <= 0xFFFF_FFFF_FFFF_FFFF,
      do: {:ok, id},
      else: :error
  end

  def cast(_id), do: :error
end
