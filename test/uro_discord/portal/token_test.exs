defmodule UroDiscord.Portal.TokenTest do
  use ExUnit.Case, async: true
  alias UroDiscord.{Error, JSON, Secret}
  alias UroDiscord.Portal.Token

  @key "hunter2-hunter2-hunter2-hunter2-hunter2"
  @old "swordfish-swordfish-swordfish-swordfish"
  @now 1_800_000_000

  defp config(keys), do: %{key: keys |> hd() |> Secret.wrap(), keys: keys |> tl() |> Enum.map(&Secret.wrap/1)}

  defp mint(options, keys \\ [@key]), do: Token.mint(config(keys), "lobby", options, @now)

  defp parts(token) do
    [header, claims, signature] = String.split(token, ".")
    {:ok, header} = header |> Base.url_decode64!(padding: false) |> JSON.decode()
    {:ok, claims} = claims |> Base.url_decode64!(padding: false) |> JSON.decode()
    {header, claims, signature}
  end

  test "says which portal, what for, who and until when" do
    assert {:ok, token} = mint(role: :publish, who: 42, name: "Ada \u202ELovelace\n", expires_in: 60)
    {header, claims, _signature} = parts(token)
    assert header == %{"alg" => "HS256", "typ" => "JWT"}
    assert {jti, claims} = Map.pop!(claims, "jti")
    assert byte_size(jti) == 22

    assert claims == %{
             "iss" => "uro_discord",
             "portal" => "lobby",
             "role" => "publish",
             "sub" => "42",
             "name" => "Ada Lovelace",
             "iat" => @now,
             "exp" => @now + 60
           }

    assert {:ok, another} = mint(role: :publish, who: 42)
    assert {_header, %{"jti" => other, "name" => "42", "exp" => exp}, _signature} = parts(another)
    assert other != jti and exp == @now + 3_600
  end

  # RFC 7515, A.1, as it stands there: the way of signing is the standard's.
  test "is signed as RFC 7515 has it" do
    key =
      Base.url_decode64!("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
        padding: false
      )

    signed =
      "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

    assert signature(key, signed) == "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    {:ok, token} = mint([role: :watch, who: "ada"], [@key, @old])
    [header, claims, signature] = String.split(token, ".")
    assert signature == signature(@key, "#{header}.#{claims}")
    refute signature == signature(@old, "#{header}.#{claims}")
  end

  defp signature(key, text), do: Base.url_encode64(:crypto.mac(:hmac, :sha256, key, text), padding: false)

  # A reader that knows nothing of ours.
  @verifier """
  import base64, hashlib, hmac, json, sys
  key, token = sys.argv[1:]
  def raw(text): return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
  header, claims, signature = token.split(".")
  assert json.loads(raw(header)) == {"alg": "HS256", "typ": "JWT"}
  mac = hmac.new(key.encode(), f"{header}.{claims}".encode(), hashlib.sha256).digest()
  assert hmac.compare_digest(mac, raw(signature)), "not signed by this key"
  print(json.loads(raw(claims))["name"])
  """

  @tag skip: System.find_executable("python3") == nil && "there is no Python"
  test "is good for Python" do
    {:ok, token} = mint(role: :peer, who: "ada", name: "Ädä 長")
    assert {"Ädä 長\n", 0} = python([@key, token])
    # Of a user who has no name yet.
    {:ok, token} = mint(role: :peer, who: "ada", name: nil)
    assert {"ada\n", 0} = python([@key, token])
    assert {_error, 1} = python([@old, token])
  end

  defp python(arguments) do
    System.cmd("python3", ["-c", @verifier | arguments], stderr_to_stdout: true, env: [{"PYTHONIOENCODING", "utf-8"}])
  end

  test "what is asked wrongly is said" do
    for {options, says} <- [
          {[who: "ada"], "role: is nil; it may be :publish or :watch or :peer"},
          {[role: :admin, who: "ada"], "role: is :admin; it may be :publish or :watch or :peer"},
          {[role: :peer],
           "who: is nil; it may be the id of the player or server that it is for: a text of 1 to 128 bytes"},
          {[role: :peer, who: String.duplicate("x", 129)], "who: is "},
          {[role: :peer, who: <<0xFF>>], "who: is <<255>>; it may be printable text without a slash"},
          {[role: :peer, who: "ada/7"], ~s(who: is "ada/7"; it may be printable text without a slash)},
          {[role: :peer, who: "ada", name: "\u200B"], "name: is "},
          {[role: :peer, who: "ada", name: 5], "name: is 5; it may be a text"},
          {[role: :peer, who: "ada", expires_in: 86_401],
           "expires_in: is 86401; it may be a number of seconds, from 1 to 86400"},
          {[role: :peer, who: "ada", expires_in: 0], "expires_in: is 0; it may be"},
          {[role: :peer, who: "ada", until: 5],
           "options: :until is not an option: there are role, who, name and expires_in"},
          {:peer, "options: is :peer; it may be a keyword list"}
        ] do
      assert {:error, %Error{kind: :invalid} = error} = mint(options)
      assert Exception.message(error) =~ says
    end

    assert {:error, %Error{kind: :invalid} = error} = Token.mint(%{key: nil, keys: []}, "lobby", [], @now)
    assert Exception.message(error) =~ "portal: there are none without `config :uro_discord, portal: [key: …]`"
  end
end
