defmodule UroDiscord.Bridge.Info do
  @moduledoc false
  # Whether the maps of what a bridge says are as docs/bridge-protocol.md has them, as far as somebody who hears them relies on that. Pure.

  # Without these a fact says nothing.
  @needed %{
    {:gateway, :active} => ["session_id", "sequence"],
    {:voice, :joining} => ["channel"],
    {:voice, :joined} => ["channel"],
    {:voice, :ended} => ["reason"],
    {:voice, :suppressed} => ["channel", "suppressed"],
    {:voice, :user_joined} => ["user"],
    {:voice, :user_left} => ["user"],
    {:voice, :speaking} => ["user"],
    {:voice, :silent} => ["user"],
    {:voice, :played} => ["path"],
    {:portal, :peer_joined} => ["peer"],
    {:portal, :peer_left} => ["peer"]
  }

  # What these are wherever they are, if not nil.
  @texts ~w(bridge channel codec error guild id ip name path reason session_id subject user)
  @numbers ~w(code dropped from_discord length peer port retry_ms sequence to_discord)
  @flags ~w(cut suppressed)

  @doc "Of a message that is in the protocol otherwise."
  @spec sound?(tuple()) :: boolean()
  def sound?({kind, _of, state, info}) when kind in [:gateway, :voice, :portal],
    do: typed?(info) and Enum.all?(Map.get(@needed, {kind, state}, []), &(info[&1] != nil))

  def sound?({:hello, _version, info}), do: typed?(info)
  def sound?({kind, _state, info}) when kind in [:http, :media], do: typed?(info)
  def sound?({:voice_states, states}), do: typed?(states)
  def sound?({:voice_update, _guild, _what, info}), do: typed?(info)
  def sound?({:clip, _id, info, _mp4}), do: typed?(info)
  # Discord's, and what the program says by names of its own.
  def sound?({:presence, _shard, data}), do: plain?(data)
  def sound?({:log, _level, _target, _message, fields}), do: plain?(fields)
  def sound?({:panic, _what, which}), do: which == nil or is_binary(which) or is_integer(which)
  def sound?(_message), do: true

  # What JSON can say.
  defp plain?(value), do: all?(value, fn _key, _value -> true end)
  defp typed?(value), do: all?(value, &typed?/2)

  defp all?(%{} = map, good?),
    do: Enum.all?(map, fn {key, value} -> is_binary(key) and good?.(key, value) and all?(value, good?) end)

  defp all?(list, good?) when is_list(list), do: not List.improper?(list) and Enum.all?(list, &all?(&1, good?))
  defp all?(value, _good?), do: is_binary(value) or is_number(value) or value in [true, false, nil]

  defp typed?(_key, nil), do: true
  defp typed?("addresses", all), do: is_list(all) and not List.improper?(all) and Enum.all?(all, &text?/1)
  defp typed?(key, value) when key in @texts, do: text?(value)
  defp typed?(key, value) when key in @numbers, do: is_integer(value)
  defp typed?(key, value) when key in @flags, do: is_boolean(value)
  defp typed?(_key, _value), do: true

  defp text?(value), do: is_binary(value) and String.valid?(value)
end
