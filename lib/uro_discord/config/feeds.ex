defmodule UroDiscord.Config.Feeds do
  @moduledoc false
  # The check of the option `feeds`; `UroDiscord.Feeds` documents it.

  alias UroDiscord.{Error, Secret, Snowflake}
  alias UroDiscord.Config.Checks
  alias UroDiscord.Feeds.{Event, Rule}

  @sources [:github, :gitlab, :itch, :generic]
  @keys [:source, :secret, :poll, :token, :url, :interval, :per_hour, :rules, :template, :key]
  @urls %{
    github: "https://api.github.com",
    gitlab: "https://gitlab.com/api/v4",
    itch: "https://itch.io/api/1"
  }

  @type feed :: %{
          name: atom(),
          source: atom(),
          secret: Secret.t() | nil,
          poll: [String.t()],
          token: Secret.t() | nil,
          url: String.t() | nil,
          interval: pos_integer(),
          per_hour: pos_integer(),
          rules: [Rule.t()],
          template: String.t() | nil,
          key: String.t() | nil
        }

  @doc "The feeds by their name."
  @spec check(term()) :: {:ok, %{atom() => feed()}} | {:error, String.t()}
  def check(feeds) when is_list(feeds) or is_map(feeds) do
    with {:ok, feeds} <- keyword(feeds, "feeds") do
      Enum.reduce_while(feeds, {:ok, %{}}, fn {name, given}, {:ok, checked} ->
        case feed(name, given) do
          {:ok, feed} -> {:cont, {:ok, Map.put(checked, name, feed)}}
          {:error, problem} -> {:halt, {:error, "#{name}: #{problem}"}}
        end
      end)
    end
  end

  def check(_feeds), do: {:error, "is not a keyword list (not shown: it may hold secrets)"}

  @doc "The feeds with the ids of their channels; or the first feed and channel that is unknown."
  @spec refer(%{atom() => feed()}, (atom() | String.t() -> {:ok, Snowflake.t()} | :error)) ::
          {:ok, %{atom() => feed()}} | {:error, atom(), atom() | String.t()}
  def refer(feeds, id) do
    unknown = for {name, feed} <- feeds, rule <- feed.rules, id.(rule.channel) == :error, do: {name, rule.channel}

    case unknown do
      [] ->
        {:ok, Map.new(feeds, fn {name, feed} -> {name, %{feed | rules: Enum.map(feed.rules, &refer_rule(&1, id))}} end)}

      [{name, channel} | _] ->
        {:error, name, channel}
    end
  end

  defp refer_rule(rule, id) do
    {:ok, channel_id} = id.(rule.channel)
    %{rule | channel: channel_id}
  end

  defp feed(name, given) do
    with {:ok, given} <- keyword(given, "the feed"),
         :ok <- known(given, @keys),
         {:ok, source} <- one_of(given[:source], @sources, "source"),
         {:ok, secret} <- secret(given[:secret], "secret", 16),
         {:ok, token} <- secret(given[:token], "token", 1),
         {:ok, poll} <- texts(given[:poll] || [], "poll"),
         {:ok, interval} <- interval(given[:interval] || 60_000),
         {:ok, per_hour} <- per_hour(Map.get(given, :per_hour, 120)),
         {:ok, url} <- url(source, given[:url]),
         {:ok, template} <- text(given[:template], "template"),
         {:ok, key} <- text(given[:key], "key"),
         {:ok, rules} <- rules(given[:rules]) do
      feed = %{
        name: name,
        source: source,
        secret: secret,
        poll: poll,
        token: token,
        url: url,
        interval: interval,
        per_hour: per_hour,
        rules: rules,
        template: template,
        key: key
      }

      with :ok <- whole(feed), do: {:ok, feed}
    end
  end

  defp whole(%{source: :generic, template: nil}),
    do: {:error, ~s|has no template, such as template: "{title}: {status}"|}

  defp whole(%{source: :generic, poll: [_ | _]}), do: {:error, "poll is not for a generic feed"}

  defp whole(%{source: :itch, poll: []}),
    do: {:error, ~s|has no poll: itch.io has no webhooks; such as poll: ["user/game"]|}

  defp whole(%{source: :itch, token: nil}), do: {:error, "has no token: itch.io's API wants an API key"}

  defp whole(%{source: :itch, secret: secret}) when secret != nil,
    do: {:error, "secret is for webhooks, which itch.io has not"}

  defp whole(%{secret: nil, poll: []}), do: {:error, "has neither a secret (for webhooks) nor poll"}

  defp whole(%{source: source, template: template, key: key})
       when source != :generic and (template != nil or key != nil),
       do: {:error, "template and key are for a generic feed"}

  # One event may be a message in each of them.
  defp whole(%{rules: rules, per_hour: per_hour}) do
    case rules |> Enum.uniq_by(& &1.channel) |> length() do
      channels when channels > per_hour ->
        {:error, "per_hour is #{per_hour}, which is fewer than its #{channels} channels"}

      _fits ->
        :ok
    end
  end

  # For a generic feed it is the template of a message's link.
  defp url(:generic, url), do: text(url, "url")
  defp url(source, nil), do: {:ok, @urls[source]}

  defp url(_source, url) when is_binary(url) do
    case URI.new(url) do
      {:ok, %URI{userinfo: userinfo}} when userinfo != nil ->
        {:error, "url: #{Checks.without_password()}"}

      {:ok, %URI{scheme: scheme, host: host}} when scheme in ["http", "https"] and host not in [nil, ""] ->
        {:ok, String.trim_trailing(url, "/")}

      _ ->
        wrong("url", url, "a http or https URL")
    end
  end

  defp url(_source, url), do: wrong("url", url, "a string")

  defp secret(nil, _what, _least), do: {:ok, nil}

  defp secret(text, what, least) when is_binary(text) and byte_size(text) >= least do
    # With what `echo` or an editor leaves at the end of a file no signature would ever be right, and nothing would say why.
    if text =~ ~r/\A\s|\s\z/,
      do:
        {:error,
         "#{what} begins or ends with white space, as what is read from a file does; String.trim/1 takes it off (not shown)"},
      else: {:ok, Secret.wrap(text)}
  end

  defp secret(_other, what, least), do: {:error, "#{what} is not a string of at least #{least} bytes (not shown)"}

  # A day; a timer takes no more than 49.
  @longest_interval 86_400_000

  defp interval(ms) when is_integer(ms) and ms in 1_000..@longest_interval, do: {:ok, ms}

  defp interval(other), do: wrong("interval", other, "a number of ms from 1000 to #{@longest_interval}, such as 60_000")

  defp per_hour(count) when is_integer(count) and count in 1..10_000, do: {:ok, count}

  defp per_hour(other), do: wrong("per_hour", other, "a number of messages from 1 to 10000, such as 120")

  defp text(nil, _what), do: {:ok, nil}

  defp text(text, what) when is_binary(text) do
    if String.valid?(text) and String.length(text) in 1..1_000,
      do: {:ok, text},
      else: {:error, "#{what} is not a text of 1 to 1000 characters"}
  end

  defp text(other, what), do: wrong(what, other, "a string")

  defp texts(list, what) when is_list(list) do
    if Enum.all?(list, &(is_binary(&1) and &1 =~ ~r"\A[\w.\-/]+\z" and not String.contains?(&1, ".."))),
      do: {:ok, Enum.uniq(list)},
      else: {:error, ~s|#{what} is #{inspect(list)}, where every entry should be like "owner/name"|}
  end

  defp texts(other, what), do: wrong(what, other, "a list")

  ## Rules

  @rule [:channel, :project, :branch, :kinds, :states, :forks]

  defp rules(nil), do: {:error, "has no rules: what should go where? Such as rules: [[channel: :builds]]"}
  defp rules([]), do: rules(nil)

  defp rules(rules) when is_list(rules) do
    rules
    |> Enum.reduce_while({:ok, []}, fn given, {:ok, rules} ->
      case rule(given) do
        {:ok, rule} -> {:cont, {:ok, [rule | rules]}}
        {:error, problem} -> {:halt, {:error, "the rule #{inspect(given)}: #{problem}"}}
      end
    end)
    |> then(&with {:ok, rules} <- &1, do: {:ok, Enum.reverse(rules)})
  end

  defp rules(other), do: wrong("rules", other, "a list")

  defp rule(given) do
    with {:ok, given} <- keyword(given, "it"),
         :ok <- known(given, @rule),
         {:ok, channel} <- channel(given[:channel]),
         {:ok, project} <- pattern(given[:project], "project"),
         {:ok, branch} <- pattern(given[:branch], "branch"),
         {:ok, kinds} <- some_of(given[:kinds], Event.kinds(), "kinds"),
         {:ok, states} <- some_of(given[:states], Event.states(), "states"),
         {:ok, forks} <- forks(Map.get(given, :forks, false)) do
      {:ok, %Rule{channel: channel, project: project, branch: branch, kinds: kinds, states: states, forks: forks}}
    end
  end

  # An alias is looked up when all of the configuration is known.
  defp channel(nil), do: {:error, "has no channel"}
  defp channel(name) when is_atom(name), do: {:ok, name}

  defp channel(id) do
    case Snowflake.cast(id) do
      {:ok, id} -> {:ok, id}
      :error -> wrong("channel", id, "a name of `channels:` or a channel's id")
    end
  end

  defp pattern(nil, _what), do: {:ok, nil}

  defp pattern(text, what) do
    with {:ok, text} <- text(text, what), do: {:ok, Rule.pattern(text)}
  end

  defp forks(forks) when is_boolean(forks), do: {:ok, forks}
  defp forks(other), do: wrong("forks", other, "true or false")

  defp some_of(nil, _allowed, _what), do: {:ok, nil}

  defp some_of(list, allowed, what) when is_list(list) do
    case list -- allowed do
      [] ->
        {:ok, list}

      [unknown | _] ->
        {:error, "#{inspect(unknown)} is none of the #{what} (#{Enum.map_join(allowed, ", ", &inspect/1)})"}
    end
  end

  defp some_of(other, _allowed, what), do: wrong(what, other, "a list")

  defp one_of(value, allowed, what) do
    if value in allowed,
      do: {:ok, value},
      else: wrong(what, value, "one of #{Enum.map_join(allowed, ", ", &inspect/1)}")
  end

  defp wrong(what, value, allowed), do: {:error, "#{what} #{Error.may_be(value, allowed)}"}

  defp known(given, keys) do
    case Map.keys(given) -- keys do
      [] -> :ok
      [key | _] -> {:error, "#{key} is none of #{Enum.join(keys, ", ")}"}
    end
  end

  defp keyword(given, what) do
    if (is_list(given) or is_map(given)) and Enum.all?(given, &match?({key, _} when is_atom(key), &1)),
      do: {:ok, Map.new(given)},
      else: {:error, "#{what} is not a keyword list"}
  end
end
