defmodule UroDiscord.Interactions.Signature do
  @moduledoc false
  # Whether Discord sent this: Ed25519 over the timestamp and the body as it came, with the application's public key
  # (https://discord.com/developers/docs/interactions/overview#setting-up-an-endpoint). Discord itself sends bad signatures now and
  # then, and takes away the endpoint of who does not answer them with 401.

  alias UroDiscord.Native

  # Discord says nothing of how old a request may be. Its clock and ours may differ, and a request is on its way for seconds.
  @window_s 300

  @type t :: %{signature: <<_::512>>, timestamp: String.t()}

  @doc "What the headers say, if it can be a signature at all."
  @spec parse(String.t() | nil, String.t() | nil) :: {:ok, t()} | :error
  def parse(signature, timestamp) when is_binary(signature) and is_binary(timestamp) do
    with true <- byte_size(signature) == 128 and byte_size(timestamp) in 1..20,
         {:ok, bytes} <- Base.decode16(signature, case: :mixed),
         do: {:ok, %{signature: bytes, timestamp: timestamp}},
         else: (_ -> :error)
  end

  def parse(_signature, _timestamp), do: :error

  @doc "`:stale` is signed by Discord, but not now."
  @spec check(t(), binary(), <<_::256>>, integer()) :: :ok | :bad | :stale
  def check(%{signature: signature, timestamp: timestamp}, body, public_key, now_s \\ System.os_time(:second)) do
    if Native.verify_ed25519(public_key, timestamp <> body, signature), do: fresh(timestamp, now_s), else: :bad
  end

  defp fresh(timestamp, now_s) do
    case Integer.parse(timestamp) do
      {signed_s, ""} when abs(now_s - signed_s) <= @window_s -> :ok
      _ -> :stale
    end
  end
end
