defmodule UroDiscord.Gateway.AckTrackerTest do
  use ExUnit.Case, async: true
  doctest UroDiscord.Gateway.AckTracker
end
