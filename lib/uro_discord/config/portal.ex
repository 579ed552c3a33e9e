defmodule UroDiscord.Config.Portal do
  @moduledoc """
  The options under `portal:`, for voice both ways between worlds and Discord's voice channels (`UroDiscord.Portal`).

      config :uro_discord,
        intents: [:guilds, :guild_voice_states],
        web: [port: 4001],
        portal: [
          key: System.get_env("URO_DISCORD_PORTAL_KEY"),
          public_url: "https://uro.example",
          udp: [port: 7882],
          public_addresses: ["203.0.113.5"],
          open: [[id: "lobby", channel: :lobby, when: :people]]
        ]

  Without a key there are no portals. `mix phx.gen.secret`, or `openssl rand -base64 48`, makes one. To replace it, put the new one into `key` and the
  old one into `keys` until the last token that it has signed is over, a day later.

  ## What opens by itself

  Each of `open` is a portal with

    * `id`: its name in addresses and tokens, of a to z, 0 to 9, `_` and `-`;
    * `channel`: the voice channel or stage;
    * `world`: the id of the shard whose players count; without it all shards' do;
    * `when`: `:always` (the default), from the start on; or `:people`, while there is somebody in the voice channel, bots not counted, and in the
      world. A world that does not tell how many players it has counts as one with players. Whoever is in the portal by browser is in the world too;
    * `bots`: whether the voices of bots in the channel go to the world too: `false`.

  A portal that opened for people closes when one side has been empty for `close_after` ms. One that somebody closes (`UroDiscord.Portal.close/1`, `/portal close`) stays
  closed: `:always` until UroDiscord starts again or another node takes over, `:people` until one side was empty.
  """

  import UroDiscord.Config.Checks
  import UroDiscord.Config.Option, only: [option: 3]
  alias UroDiscord.Config.Option
  alias UroDiscord.Config.Portal.Open
  alias UroDiscord.Secret

  @least_key 32
  @most_keys 16
  @day_ms 86_400_000

  @type t :: %{
          key: Secret.t() | nil,
          keys: [Secret.t()],
          public_url: String.t() | nil,
          udp: %{ip: [:inet.ip_address()], port: :inet.port_number()},
          public_addresses: [String.t()],
          origins: [String.t()],
          limits: %{
            portal_peers: pos_integer(),
            subject_peers: pos_integer(),
            token_peers: pos_integer(),
            address_peers: pos_integer(),
            packets: pos_integer(),
            bits: pos_integer()
          },
          open: [Open.t()],
          close_after: non_neg_integer(),
          activity: boolean(),
          share: :linked | :members | false,
          message: boolean(),
          discord_video: boolean(),
          clips: false | 5..60
        }

  @doc false
  @spec options() :: [Option.t()]
  def options do
    [
      option(:key, &key/1,
        doc: "the secret that signs the tokens of peers; without it there are no portals",
        allowed:
          "a text of #{@least_key} bytes or more that nobody can guess (`openssl rand -base64 48` makes one), or nil",
        example: ~s|portal: [key: System.get_env("URO_DISCORD_PORTAL_KEY")]|
      ),
      option(:keys, &keys/1,
        default: [],
        doc: "secrets whose tokens are good still, while they are being replaced",
        allowed: "a list of at most #{@most_keys} texts of #{@least_key} bytes or more",
        example: ~s|portal: [keys: [System.get_env("URO_DISCORD_PORTAL_OLD_KEY")]]|
      ),
      option(:public_url, &base_url(&1, "/portal"),
        doc:
          "where peers find the HTTP that `web:` serves, without /portal; unless said, its own address, which is good on this machine only",
        allowed: "a http or https URL, to which peers' clients add /portal and more",
        example: ~s|portal: [public_url: "https://uro.example"]|
      ),
      udp(),
      option(:public_addresses, &addresses/1,
        default: [],
        doc:
          "the addresses of this machine as peers see them, where these are not its own: behind NAT, or in a container",
        allowed: "a list of IP addresses, as strings",
        example: ~s|portal: [public_addresses: ["203.0.113.5"]]|
      ),
      option(:origins, &origins/1,
        default: [],
        doc: "the web pages that may open a portal's endpoints from a browser (CORS)",
        allowed: "a list of origins: http or https, a host, and a port where it is not the usual one",
        example: ~s|portal: [origins: ["https://v-sekai.org"]]|
      ),
      group(:limits, limits(), "how many peers there may be, and how much each may send"),
      option(:open, &Open.check/1,
        default: [],
        doc: "portals that open by themselves, see `UroDiscord.Config.Portal`",
        allowed:
          "a list of at most #{Open.most()}, each [id:, channel:, world:, when: :always or :people, bots:] with other ids and channels than the others",
        example: ~s|portal: [open: [[id: "lobby", channel: :lobby, when: :people]]]|
      ),
      option(:close_after, &integer(&1, 0..@day_ms),
        default: 60_000,
        doc:
          "for how long one side must have been empty, in ms, before a portal closes that opened with `when: :people`",
        allowed: "an integer from 0 to #{@day_ms}",
        example: "portal: [close_after: 60_000]"
      ),
      option(:activity, &boolean/1,
        default: false,
        doc:
          "whether `/watch` opens World TV as the application's Activity, which must be set up in Discord first (docs/portal.md); else it gives a link to a page",
        allowed: "true or false",
        example: "portal: [activity: true]"
      ),
      option(:share, &one_of(&1, [:linked, :members, false]),
        default: :linked,
        doc:
          "who in a portal's voice channel may share camera or screen by `/share` (docs/portal.md): those who have linked a Uro account (`accounts:`), all, or nobody",
        allowed: ":linked, :members or false",
        example: "portal: [share: :linked]"
      ),
      option(:message, &boolean/1,
        default: true,
        doc:
          "whether a message in the chat of an open portal's channel says that people are heard in the world, with buttons to watch and to share (docs/portal.md)",
        allowed: "true or false",
        example: "portal: [message: true]"
      ),
      option(:discord_video, &boolean/1,
        default: false,
        doc:
          "whether the picture on air is sent over the bot's voice connection too, for the day on which Discord shows bots' video: today it shows it to nobody",
        allowed: "true or false",
        example: "portal: [discord_video: false]"
      ),
      option(:clips, &clips/1,
        default: false,
        doc:
          "of how many seconds of a portal's picture and voices `/clip` posts a file at most; so much is kept in memory while a portal is open. Tell people of it (docs/portal.md, \"Clips\")",
        allowed: "an integer from 5 to 60, or false",
        example: "portal: [clips: 30]"
      )
    ]
  end

  @doc false
  # The secrets whose tokens are good; the first one signs.
  @spec keys_of(t()) :: [Secret.t()]
  def keys_of(%{key: nil, keys: keys}), do: keys
  def keys_of(%{key: key, keys: keys}), do: [key | keys]

  defp udp do
    group(
      :udp,
      [
        option(:port, &integer(&1, 0..65_535),
          default: 7_882,
          doc: "the UDP port for all peers; 0 takes a free one",
          allowed: "an integer from 0 to 65535",
          example: "portal: [udp: [port: 7_882]]"
        ),
        option(:ip, &ips/1,
          default: [{0, 0, 0, 0}],
          doc: "the address to take media on, or several, such as one of IPv4 and one of IPv6",
          allowed: "an address of this machine as a string, or a list of such",
          example: ~s|portal: [udp: [ip: ["0.0.0.0", "::"]]]|
        )
      ],
      "where media comes in and goes out"
    )
  end

  # A voice alone is some 60 packets and 100,000 bits a second.
  defp limits do
    for {key, default, least..most//_, doc} <- [
          {:portal_peers, 64, 1..10_000, "how many peers there may be in one portal"},
          {:subject_peers, 8, 1..10_000,
           "how many peers of one person (`who:` of `UroDiscord.Portal.token/2`) there may be in one portal, with all tokens together"},
          {:token_peers, 4, 1..10_000, "how many peers there may be with one token"},
          {:address_peers, 32, 1..10_000,
           "how many peers there may be from one address; those who watch by World TV's WebSocket are not counted by it"},
          {:packets, 2_000, 100..1_000_000,
           "how many packets a second one peer may send, of sound and pictures together"},
          {:bits, 12_000_000, 200_000..4_000_000_000,
           "how many bits a second one peer may send, of sound and pictures together"}
        ] do
      option(key, &integer(&1, least..most),
        default: default,
        doc: doc,
        allowed: "an integer from #{least} to #{most}",
        example: "portal: [limits: [#{key}: #{default}]]"
      )
    end
  end

  defp group(key, options, doc) do
    allowed = "a keyword list of " <> Enum.map_join(options, ", ", & &1.key)
    option(key, nil, doc: doc, allowed: allowed, example: hd(options).example, options: options)
  end

  ## The checks. What may be a secret is never shown.

  defp key(nil), do: {:ok, nil}

  defp key(value) when is_binary(value) do
    cond do
      byte_size(value) < @least_key -> {:error, "has #{byte_size(value)} bytes (not shown)"}
      not String.valid?(value) -> {:error, "is not valid UTF-8 (not shown)"}
      true -> {:ok, Secret.wrap(value)}
    end
  end

  defp key(_value), do: {:error, "is not a string (not shown)"}

  defp keys(value) when is_list(value) and length(value) <= @most_keys do
    value
    |> Enum.map(&if(&1 == nil, do: {:error, "nil is in it"}, else: key(&1)))
    |> Enum.reduce({:ok, []}, fn
      {:ok, key}, {:ok, keys} -> {:ok, keys ++ [key]}
      {:error, wrong}, {:ok, _keys} -> {:error, "one of them #{wrong}"}
      _key, error -> error
    end)
  end

  defp keys(value) when is_list(value), do: {:error, "has #{length(value)} (not shown)"}
  defp keys(_value), do: {:error, "is not a list (not shown)"}

  defp clips(false), do: {:ok, false}
  defp clips(value) when value in 5..60, do: {:ok, value}
  defp clips(value), do: is_not(value, "false, or an integer from 5 to 60")

  defp ips(value) when is_binary(value), do: ips([value])
  defp ips([_ | _] = value), do: each(value, &ip/1)
  defp ips(value), do: is_not(value, "an IP address")

  defp ip(text) when is_binary(text) do
    with {:error, _} <- text |> String.to_charlist() |> :inet.parse_strict_address(),
         do: is_not(text, "an IP address without a port")
  end

  defp ip(value), do: is_not(value, "a string")

  defp addresses(value) when is_list(value),
    do: each(value, &public_address/1)

  defp addresses(value), do: is_not(value, "a list")

  # Nobody can send anything there.
  defp public_address(text) when text in ["0.0.0.0", "::"],
    do: is_not(text, "an IP address that peers can reach; as udp: [ip:] it may be #{inspect(text)}")

  defp public_address(text), do: with({:ok, ip} <- ip(text), do: {:ok, "#{:inet.ntoa(ip)}"})

  defp origins(value) when is_list(value), do: each(value, &origin/1)
  defp origins(value), do: is_not(value, "a list")

  defp origin(value) do
    with {:ok, url} when is_binary(url) <- url(value, ["https", "http"]),
         %URI{path: nil, query: nil, fragment: nil} = uri <- URI.parse(url) do
      # As a browser writes it: without the usual port.
      {:ok, "#{uri.scheme}://#{host(uri)}#{if uri.port != URI.default_port(uri.scheme), do: ":#{uri.port}"}"}
    else
      {:error, wrong} -> {:error, wrong}
      _ -> is_not(value, "an origin such as \"https://v-sekai.org\", without a path")
    end
  end

  defp host(%URI{host: host}) do
    host = String.downcase(host)
    if String.contains?(host, ":"), do: "[#{host}]", else: host
  end
end
