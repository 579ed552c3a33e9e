defmodule UroDiscord.Accounts.QueueTest do
  use UroDiscord.Case
  import ExUnit.CaptureLog

  alias UroDiscord.Accounts.{Queue, TaskSupervisor}
  alias UroDiscord.Error

  test "in an outage one line is logged, and the status says how many wait for what" do
    start_supervised!({UroDiscord, enabled: false})
    start_supervised!({Task.Supervisor, name: TaskSupervisor})
    {:ok, away} = Agent.start_link(fn -> true end)
    error = {:error, %Error{kind: :weather, message: "Discord is away"}}

    start_supervised!(
      {Queue, {:normal, fn _user, _reason -> if Agent.get(away, & &1), do: error, else: {:ok, %{}} end}}
    )

    users = for n <- 1..20, do: "u#{n}"
    assert Queue.status() == %{users: 0, error: nil}

    log =
      capture_log(fn ->
        for user <- users, do: :ok = Queue.put(user, "asked for")

        # Each fails four times; whose pause would end by itself is woken here.
        assert eventually(fn ->
                 for user <- users, do: send(Queue, {:again, user})
                 Enum.all?(:sys.get_state(Queue).users, fn {_id, user} -> user.failures >= 4 end)
               end)
      end)

    assert [_, _] = String.split(log, "is not synced yet")
    assert log =~ "all of the 20 who wait: Discord is away"
    assert %{users: 20, error: %Error{message: "Discord is away"}} = Queue.status()

    Agent.update(away, fn true -> false end)

    assert eventually(fn ->
             for user <- users, do: send(Queue, {:again, user})
             Queue.status() == %{users: 0, error: nil}
           end)
  end
end
