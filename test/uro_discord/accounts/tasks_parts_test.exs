defmodule UroDiscord.Accounts.TasksPartsTest do
  use ExUnit.Case, async: true
  alias UroDiscord.Accounts.Tasks.{Retries, Tally, Text, Window}

  doctest Retries
  doctest Tally
  doctest Text
  doctest Window
end
