defmodule UroTest do
  use ExUnit.Case

  test "what Uro does with UroDiscord does nothing here, and is no error" do
    assert {:ok, _delivery} = UroDiscord.notify(:announcements, "Plaza is open")
    assert :ok = UroDiscord.Shards.put(id: 8, name: "Attic")
    assert {:ok, %{enabled: false}} = UroDiscord.status()
  end
end
