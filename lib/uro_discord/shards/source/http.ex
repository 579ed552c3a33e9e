defmodule UroDiscord.Shards.Source.HTTP do
  @moduledoc false
  # A Uro elsewhere: `GET /shards` answers `{"data": {"shards": [{"user": …, "address": …, "port": …, "map": …, "name": …}]}}`. There are no
  # ids, no counts and no times in it; a fork that tells more is believed.

  @behaviour UroDiscord.Shards.Source.Adapter
  alias UroDiscord.HTTP
  alias UroDiscord.Shards.Source.Row

  @fields ~w(id name map address port current_users max_users user user_id public status)a
  @user_fields ~w(id username display_name)a
  # A Uro that wants to be left alone for longer is asked again all the same: until then nobody knows what is open.
  @longest_wait 600_000

  @impl true
  def init(%{shards: %{source: {:http, url}}, ca_file: ca_file}),
    do: %{url: url, ca_file: ca_file, etag: nil, list: [], known: %{}}

  @impl true
  def poll(memory) do
    now = System.os_time(:millisecond)

    case HTTP.get_json(memory.url, ca_file: memory.ca_file, etag: memory.etag, longest_wait: @longest_wait) do
      {:ok, %{"data" => %{"shards" => shards}}, headers} when is_list(shards) ->
        list = for %{} = shard <- shards, do: shard |> fields() |> identify()
        # Two that say the same of themselves cannot be told apart.
        list = Enum.uniq_by(list, & &1.id)
        read(%{memory | etag: headers["etag"], list: list}, now)

      {:unchanged, _headers} ->
        read(memory, now)

      {:ok, _other, _headers} ->
        {:error, ~s(the answer is no list of shards: it has not the shape {"data": {"shards": […]}})}

      {:error, error} ->
        {:error, Exception.message(error), error.retry_after_ms}
    end
  end

  defp read(memory, now) do
    {rows, known} = Row.read(memory.list, now, nil, memory.known)
    {:ok, rows, %{memory | known: known}}
  end

  defp fields(shard) do
    shard = take(shard, @fields)
    with %{user: %{} = user} <- shard, do: %{shard | user: take(user, @user_fields)}
  end

  defp take(object, fields) do
    for field <- fields, {:ok, value} <- [Map.fetch(object, to_string(field))], into: %{}, do: {field, value}
  end

  # Where it is, what it runs and whose it is; a new name is a change of the same shard.
  defp identify(%{id: id} = shard) when is_binary(id) or is_integer(id), do: shard

  defp identify(shard) do
    host = with %{user: %{id: id}} <- shard, do: id, else: (_ -> nil)
    {:ok, json} = UroDiscord.JSON.encode([shard[:address], shard[:port], shard[:map], host])
    Map.put(shard, :id, :sha256 |> :crypto.hash(json) |> binary_part(0, 8) |> Base.encode16(case: :lower))
  end
end
