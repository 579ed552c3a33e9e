# Verifying a signature over an interaction of 1 KiB: the NIF beside OTP's :crypto.
alias UroDiscord.Native

{public, private} = :crypto.generate_key(:eddsa, :ed25519)
message = "1700000000" <> :crypto.strong_rand_bytes(1_024)
signature = :crypto.sign(:eddsa, :none, message, [private, :ed25519])
times = Bench.size(20_000, 500)

Bench.title("Ed25519: verify a 1 KiB body")

nif = Bench.mean(times, fn -> true = Native.verify_ed25519(public, message, signature) end)

otp =
  Bench.mean(times, fn ->
    true = :crypto.verify(:eddsa, :none, message, signature, [public, :ed25519])
  end)

Bench.row("UroDiscord.Native.verify_ed25519/3", [
  {"mean", nif, "us"},
  {"", otp / nif, "times as fast"}
])

Bench.row(":crypto.verify/5 (OpenSSL)", [{"mean", otp, "us"}])
