defmodule UroDiscord.HTTP.Times do
  @moduledoc false
  # The times that other servers tell us: when to come again, and what day it is. They are read here and nowhere else, since a server may say
  # anything: whatever it says, the wait is a number of milliseconds that a timer can take, and no longer than the caller allows.

  @typedoc "Header names are lower case."
  @type headers :: %{optional(String.t()) => String.t()}

  # A number of seconds so large is a time since 1970: nobody asks for 31 years of patience. One larger still has milliseconds.
  @unix_s 1_000_000_000
  @unix_ms 100_000_000_000
  # No number or date that means something is longer.
  @longest_text 64

  @doc """
  How many ms from `now` (Unix ms) the server wants to be left alone, at most `longest_ms`; nil where it does not say, or in no known way.

  `Retry-After` counts: seconds, an HTTP date, or a Unix time in seconds or milliseconds. Without it a limit that is used up does
  (`X-RateLimit-Remaining: 0` with `X-RateLimit-Reset`, also without the `X-`), in the same forms. A point in time is one on the clock of the
  server, whose `Date` says how late it is there.

      iex> UroDiscord.HTTP.Times.retry_after(%{"retry-after" => "120"}, 86_400_000, 0)
      120_000
      iex> UroDiscord.HTTP.Times.retry_after(%{"retry-after" => "999999999999999999999999999999"}, 86_400_000, 0)
      86_400_000
      iex> headers = %{"x-ratelimit-remaining" => "0", "x-ratelimit-reset" => "1795902930"}
      iex> UroDiscord.HTTP.Times.retry_after(headers, 86_400_000, 1_795_902_900_000)
      30_000
  """
  @spec retry_after(headers(), longest_ms :: pos_integer(), now_ms :: integer()) :: non_neg_integer() | nil
  def retry_after(headers, longest_ms, now_ms \\ System.os_time(:millisecond)) do
    from =
      case date(headers["date"]) do
        {:ok, theirs} -> theirs
        :error -> now_ms
      end

    with text when is_binary(text) <- headers["retry-after"] || reset(headers),
         {:ok, wait} <- wait(text, from) do
      wait |> max(0) |> min(longest_ms)
    else
      _ -> nil
    end
  end

  defp reset(%{"x-ratelimit-remaining" => "0", "x-ratelimit-reset" => text}), do: text
  defp reset(%{"ratelimit-remaining" => "0", "ratelimit-reset" => text}), do: text
  defp reset(_headers), do: nil

  defp wait(text, from) do
    case number(text) do
      {:ok, number} when number >= @unix_ms -> {:ok, number - from}
      {:ok, number} when number >= @unix_s -> {:ok, 1000 * number - from}
      {:ok, number} -> {:ok, 1000 * number}
      :error -> with {:ok, at} <- date(text), do: {:ok, at - from}
    end
  end

  # Parts of a second are rounded up.
  defp number(text) when byte_size(text) <= @longest_text do
    case Regex.run(~r/\A\s*(\d+)(\.\d+)?\s*\z/, text) do
      [_, whole] -> {:ok, String.to_integer(whole)}
      [_, whole, _part] -> {:ok, String.to_integer(whole) + 1}
      nil -> :error
    end
  end

  defp number(_text), do: :error

  @doc """
  The Unix ms of an HTTP date, in each of its three forms (https://www.rfc-editor.org/rfc/rfc9110#name-date-time-formats).

      iex> for text <- ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"],
      ...>     do: UroDiscord.HTTP.Times.date(text)
      [{:ok, 784_111_777_000}, {:ok, 784_111_777_000}, {:ok, 784_111_777_000}]
      iex> UroDiscord.HTTP.Times.date("tomorrow")
      :error
  """
  @spec date(String.t() | nil) :: {:ok, integer()} | :error
  def date(text) when is_binary(text) and byte_size(text) <= @longest_text do
    case Regex.run(~r/\A\w+, (\d\d)[ -](\w{3})[ -](\d{4}|\d\d) (\d\d:\d\d:\d\d) GMT\z/, text) do
      [_, day, month, year, time] -> unix(year(year), month, day, time)
      nil -> asctime(text)
    end
  end

  def date(_text), do: :error

  defp asctime(text) do
    case Regex.run(~r/\A\w+ (\w{3}) ([ \d]\d) (\d\d:\d\d:\d\d) (\d{4})\z/, text) do
      [_, month, day, time, year] -> unix(year, month, String.replace(day, " ", "0"), time)
      nil -> :error
    end
  end

  # Of two digits, as POSIX reads them.
  defp year(<<_, _>> = year) when year < "70", do: "20" <> year
  defp year(<<_, _>> = year), do: "19" <> year
  defp year(year), do: year

  @months %{
    "Jan" => "01",
    "Feb" => "02",
    "Mar" => "03",
    "Apr" => "04",
    "May" => "05",
    "Jun" => "06",
    "Jul" => "07",
    "Aug" => "08",
    "Sep" => "09",
    "Oct" => "10",
    "Nov" => "11",
    "Dec" => "12"
  }

  defp unix(year, month, day, time) do
    with {:ok, month} <- Map.fetch(@months, month),
         {:ok, at, 0} <- DateTime.from_iso8601("#{year}-#{month}-#{day}T#{time}Z") do
      {:ok, DateTime.to_unix(at, :millisecond)}
    else
      _ -> :error
    end
  end
end
