defmodule UroDiscord.Accounts.UroDirectoryTest do
  @moduledoc false
  # Against modules with the names and functions of V-Sekai/uro, Pow and PowAssent, as far as they are asked.

  use UroDiscord.WebCase
  import ExUnit.CaptureLog

  alias UroDiscord.Accounts.{Directory, UroDirectory, User, Visitor}
  alias UroDiscord.{FakeAccounts, Shards, TestDirectory}

  @ada "00000000-0000-4000-8000-00000000000a"
  @bob "00000000-0000-4000-8000-00000000000b"
  @nobody "00000000-0000-4000-8000-00000000000c"
  @discord "1100000000000000901"

  setup do
    FakeAccounts.start!()
    FakeAccounts.put(@ada, display_name: "Ada", username: "ada", email_confirmed_at: ~U[2026-01-01 00:00:00Z])
    FakeAccounts.put(@bob, username: "bob", locked_at: ~U[2026-01-01 00:00:00Z], is_admin: true, can_upload_maps: true)
    :ok
  end

  defp config, do: UroDiscord.Config.new!(enabled: false, accounts: [directory: UroDirectory])

  test "while it is not known which shards there are, nobody says who has one" do
    assert {:ok, %User{attributes: %{"hosts_shard" => :unknown}}} = UroDirectory.get(@ada)
    start_supervised!({UroDiscord, enabled: false})
    assert {:ok, %User{attributes: %{"hosts_shard" => false}}} = UroDirectory.get(@ada)
    :ok = Shards.put(id: "1", name: "Hall", host_id: @ada)
    assert {:ok, %User{attributes: %{"hosts_shard" => true}}} = UroDirectory.get(@ada)
    :ok = Shards.put_source_status(:starting)
    assert {:ok, %User{attributes: %{"hosts_shard" => :unknown}}} = UroDirectory.get(@ada)
    # One that never answered is not one that fails for a while.
    :ok = Shards.put_source_status({:unreachable, "gone"})
    assert {:ok, %User{attributes: %{"hosts_shard" => :unknown}}} = UroDirectory.get(@ada)
    :ok = Shards.put_source_status(:reachable)
    :ok = Shards.put_source_status({:unreachable, "gone"})
    assert {:ok, %User{attributes: %{"hosts_shard" => true}}} = UroDirectory.get(@ada)
  end

  test "a user is what Uro has of him" do
    start_supervised!({UroDiscord, enabled: false})

    assert {:ok, %User{id: @ada, display_name: "Ada", username: "ada", locked?: false, groups: []} = ada} =
             UroDirectory.get(@ada)

    assert %{"email_confirmed" => true, "is_admin" => false, "hosts_shard" => false} = ada.attributes
    assert {:ok, %User{locked?: true, attributes: attributes}} = UroDirectory.get(@bob)
    assert %{"is_admin" => true, "can_upload_maps" => true, "can_upload_avatars" => false} = attributes
    assert %{"email_confirmed" => false, "can_upload_props" => false, "can_upload_shared_files" => false} = attributes
    assert UroDirectory.get(@nobody) == :not_found
    # What is no id of Uro's is nobody's, and no question to its database.
    for id <- ["", "ada", String.upcase(@ada), "1100000000000000901", @ada <> "\n"],
        do: assert(UroDirectory.get(id) == :not_found)
  end

  test "many are two queries, however many" do
    assert {:ok, users} = UroDirectory.get_many([@ada, @bob, @nobody, "x"])
    assert Map.keys(users) == [@ada, @bob]
    assert FakeAccounts.queries() == 2
    # Who was just made may have no ruleset yet.
    FakeAccounts.put(@nobody, username: "new", ruleset: nil)
    assert {:ok, %User{attributes: %{"is_admin" => false}}} = UroDirectory.get(@nobody)
  end

  test "logins by Discord are Uro's user_identities" do
    assert UroDirectory.discord_identity(@discord) == :error
    assert UroDirectory.put_identity(@ada, @discord) == :ok
    assert UroDirectory.put_identity(@ada, @discord) == :ok
    assert UroDirectory.discord_identity(@discord) == {:ok, @ada}
    assert UroDirectory.put_identity(@bob, @discord) == {:error, :taken}
    # Of somebody else's nothing is deleted; of his own, unless it is the only way in.
    assert UroDirectory.delete_identity(@bob, @discord) == :ok
    assert UroDirectory.discord_identity(@discord) == {:ok, @ada}
    assert UroDirectory.delete_identity(@ada, @discord) == :ok
    assert UroDirectory.discord_identity(@discord) == :error
    FakeAccounts.put(@ada, password_hash: nil)
    assert UroDirectory.put_identity(@ada, @discord) == :ok
    assert UroDirectory.delete_identity(@ada, @discord) == {:error, :needed}
    assert Directory.remove_identity(config(), @ada, @discord) == :kept
  end

  test "of two logins by Discord the one that was made with the link goes, and the other stays" do
    own = "1100000000000000902"
    FakeAccounts.put(@ada, password_hash: nil)
    :ok = UroDirectory.put_identity(@ada, own)
    :ok = UroDirectory.put_identity(@ada, @discord)
    assert {:ok, both} = UroDirectory.discord_identities(@ada)
    assert Enum.sort(both) == [@discord, own]
    assert UroDirectory.discord_identities(@bob) == {:ok, []}
    assert UroDirectory.discord_identities(@nobody) == {:ok, []}
    assert UroDirectory.delete_identity(@ada, @discord) == :ok
    assert UroDirectory.discord_identity(@discord) == :error
    assert UroDirectory.discord_identity(own) == {:ok, @ada}
    assert UroDirectory.delete_identity(@ada, own) == {:error, :needed}
  end

  test "what Uro cannot say now is an error, and never that there is no such user" do
    FakeAccounts.fail()
    assert {:error, %UroDiscord.Error{kind: :directory, message: message}} = Directory.user(config(), @ada)
    assert message =~ "raised DBConnection.ConnectionError"
    refute message =~ "secret"
    assert {:error, %UroDiscord.Error{}} = Directory.users(config(), [@ada])
  end

  defmodule Hangs do
    @moduledoc false
    @behaviour Directory

    @impl true
    def get(id) do
      send(:erlang.binary_to_term(id), {:asked, self()})
      Process.sleep(:infinity)
    end

    @impl true
    def get_many(_ids), do: {:ok, %{}}
  end

  test "one that never answers is an error, and is not asked any more" do
    config = UroDiscord.Config.new!(enabled: false, accounts: [directory: Hangs])

    assert {:error, %UroDiscord.Error{kind: :directory, message: message}} =
             Directory.user(config, :erlang.term_to_binary(self()), 50)

    assert message =~ "did not answer within 50 ms"
    assert_received {:asked, pid}
    refute Process.alive?(pid)
  end

  test "that most linked users are gone at once is not believed" do
    config = UroDiscord.Config.new!(enabled: false, accounts: [directory: TestDirectory])
    ids = for n <- 1..8, do: "believed-#{n}"
    assert {:error, %UroDiscord.Error{kind: :unbelievable, message: message}} = Directory.users(config, ids)
    assert message =~ "knows 0 of 8 linked users"
    assert {:error, %UroDiscord.Error{kind: :unbelievable}} = Directory.each(config, ids)
    assert {:ok, %{}} = Directory.users(config, Enum.take(ids, 3))
    for id <- Enum.take(ids, 4), do: TestDirectory.put(id)
    assert {:ok, users} = Directory.users(config, ids)
    assert map_size(users) == 4
    for id <- Enum.take(ids, 4), do: TestDirectory.delete(id)
  end

  describe "who is logged in" do
    setup do
      sim = start_sim!()

      accounts =
        TestDirectory.accounts(
          directory: UroDirectory,
          may_add_bot: {UroDirectory, :admin?},
          public_url: "https://uro.example/api/v1/discord"
        )

      start_uro_discord!(sim, accounts)
      :ok
    end

    defmodule Adapter do
      def send_resp(state, _status, _headers, body), do: {:ok, body, state}
    end

    # As `forward "/discord"` gives it to us, behind Uro's pipeline; or above the router.
    defp authenticated(conn), do: apply(Uro.Plug.Authentication, :call, [conn, [otp_app: :uro]])

    defp get(path, cookies, place) do
      conn =
        struct!(Plug.Conn,
          adapter: {Adapter, nil},
          path_info: String.split(path, "/", trim: true),
          request_path: "/discord/" <> path,
          req_headers: [{"cookie", Enum.map_join(cookies, "; ", fn {name, value} -> "#{name}=#{value}" end)}],
          remote_ip: {127, 0, 0, 1}
        )

      conn =
        if place == :routed,
          do: conn |> Plug.Conn.fetch_cookies() |> authenticated(),
          else: conn

      UroDiscord.Plug.call(conn, [])
    end

    for place <- [:routed, :above] do
      test "is asked of Pow (#{place})" do
        place = unquote(place)
        assert get("link/done", %{}, place).status == 401
        assert get("link/done", %{"session" => "forged"}, place).status == 401
        conn = get("link/done", %{"session" => FakeAccounts.log_in(@ada)}, place)
        assert conn.status == 200
        assert conn.resp_body =~ "No Discord account is linked"
        assert conn.resp_body =~ ~s(href="/api/v1/discord/link")

        begun = get("link", %{"session" => FakeAccounts.log_in(@ada)}, place)
        assert begun.status == 303
        assert [cookie] = for({"set-cookie", cookie} <- begun.resp_headers, do: cookie)
        assert cookie =~ ~r/\A__Host-uro_discord_link=.*; Path=\/; .*; Secure\z/
        # Bob is locked, and an admin.
        assert get("link", %{"session" => FakeAccounts.log_in(@bob)}, place).status == 403
        assert get("link/bot", %{"session" => FakeAccounts.log_in(@bob)}, place).status == 403
        FakeAccounts.put(@bob, locked_at: nil)
        assert get("link/bot", %{"session" => FakeAccounts.log_in(@bob)}, place).status == 303
      end
    end

    test "cannot be asked without Phoenix, and that is said" do
      visitor = %Visitor{headers: [], cookies: %{"session" => "secret"}, peer: "127.0.0.1"}
      refute inspect(visitor) =~ "secret"
      log = capture_log(fn -> assert UroDirectory.current_user(visitor) == :error end)
      assert log =~ "current_user:"
    end
  end
end
