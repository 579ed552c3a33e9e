defmodule UroDiscord.ServerTest do
  # Every process of ours, whatever it is: found in the tree, not in a list.
  use UroDiscord.Case
  import ExUnit.CaptureLog

  alias UroDiscord.Bridge.Transport.Node.Link
  alias UroDiscord.{Bridge, Error, Server, Tree, Whole}

  defmodule Known do
    use UroDiscord.Server

    def start_link(state), do: GenServer.start_link(__MODULE__, state)
    @impl true
    def init(state), do: {:ok, state}
    @impl true
    def handle_call(:hang, _from, state), do: {:noreply, state}
    @impl true
    def handle_cast({:crash, _secret}, _state), do: raise("a crash")
  end

  test "each process survives an unknown message, cast and call, and says so once" do
    sim = start_sim!()
    Whole.start!(sim)
    ours = Application.spec(:uro_discord, :modules)

    servers =
      for {path, {pid, [module]}} <- Tree.processes(UroDiscord),
          module in ours,
          function_exported?(module, :handle_call, 3),
          into: %{},
          do: {pid, {path, module}}

    # Those that nobody starts before something happens, too.
    modules = for {_pid, {_path, module}} <- servers, into: MapSet.new(), do: module
    assert MapSet.size(modules) > 10

    log =
      capture_log(fn ->
        for {pid, {path, _module}} <- servers do
          ref = Process.monitor(pid)
          for _ <- 1..2, do: send(pid, {:nobody_knows, "s3cret"})
          for _ <- 1..2, do: GenServer.cast(pid, {:nobody_knows, "s3cret"})
          for _ <- 1..2, do: assert({:error, %Error{kind: :invalid}} = GenServer.call(pid, {:nobody_knows, "s3cret"}))
          refute_received {:DOWN, ^ref, _, _, _}, "#{inspect(path)} ended"
        end
      end)

    assert log =~ "got a call that it does not know, a tuple of 2 that begins with :nobody_knows, and goes on"
    refute log =~ "s3cret"
    # One for each kind and process at most; some pass over messages by themselves.
    assert length(String.split(log, "does not know")) - 1 <= 3 * map_size(servers)
  end

  test "each GenServer of ours is a Server" do
    for module <- Application.spec(:uro_discord, :modules),
        behaviours = module.module_info(:attributes) |> Keyword.get_values(:behaviour) |> List.flatten(),
        GenServer in behaviours,
        not String.contains?(inspect(module), "Test") do
      source = module.module_info(:compile)[:source] |> to_string()

      if source =~ "/lib/",
        do: assert(File.read!(source) =~ "use UroDiscord.Server", "#{inspect(module)} ends with an unknown message")
    end
  end

  test "a call ends nobody" do
    assert {:error, %Error{kind: :unavailable} = error} = Server.call(:nobody, :hello)
    assert Exception.message(error) =~ ":nobody is not running just now"
    {:ok, pid} = Known.start_link(nil)
    assert {:error, %Error{kind: :unavailable} = error} = Server.call(pid, :hang, 10)
    assert Exception.message(error) =~ "is busy"
  end

  test "neither a crash report nor a status has what is queued for a bridge, or has come of a frame" do
    Process.flag(:trap_exit, true)
    {:ok, link} = Link.start_link(:nobody@nowhere, self())
    :sys.replace_state(link, &%{&1 | session: self(), queue: :queue.from_list(["s3cret"])})
    refute inspect(:sys.get_status(link), limit: :infinity) =~ "s3cret"

    log =
      capture_log(fn ->
        Link.send(link, :no_bytes)
        assert_receive {:EXIT, ^link, {_error, _stacktrace}}
      end)

    assert log =~ "nobody@nowhere"
    refute log =~ "s3cret"

    start_sim!() |> start_connected!()
    :sys.replace_state(Bridge, &%{&1 | buffer: {100, 6, ["s3cret"], false}})
    refute inspect(:sys.get_status(Bridge), limit: :infinity) =~ "s3cret"
  end

  test "a crash report has not what the process was sent" do
    Process.flag(:trap_exit, true)
    {:ok, pid} = Known.start_link(nil)

    log =
      capture_log(fn ->
        GenServer.cast(pid, {:crash, "s3cret"})
        assert_receive {:EXIT, ^pid, _}
      end)

    assert log =~ "a crash"
    refute log =~ "s3cret"
  end
end
