defmodule UroDiscord.Accounts.Nickname do
  @moduledoc """
  What a linked user is called in a guild, from a template. What stands in braces is replaced:

    * `{display_name}` and `{username}`, of the user in Uro;
    * `{attributes.tag}`, or any other attribute that the directory gives;
    * `{display_name|username}`: the first of them that says anything.

  The result is one line of at most 32 characters as Discord counts them, cut between graphemes. In what comes from Uro, and so from its users,
  what Discord forbids in names (`@`, `#`, `:`, three backticks, "discord") is left out, as are characters that nobody sees; what the
  template itself says stays as it is. A name that then is empty, or "everyone" or "here", is none: the nickname stays as it is.
  """

  alias UroDiscord.Accounts.User
  alias UroDiscord.Length
  alias UroDiscord.Shards.Text

  @limit 32
  # More than goes into a name, so that what is left out of it makes room for what follows.
  @value 128
  @placeholder ~S"\{([^{}]*)\}"
  @reserved ["everyone", "here"]

  @doc "The longest nickname, in characters."
  @spec limit() :: pos_integer()
  def limit, do: @limit

  @doc """
  The nickname, or nil where that says nothing.

      iex> alias UroDiscord.Accounts.{Nickname, User}
      iex> Nickname.fill("[{attributes.tag}] {display_name|username}", %User{id: "1", username: "ada", attributes: %{"tag" => "VS"}})
      "[VS] ada"
      iex> Nickname.fill("{display_name}", %User{id: "1", display_name: "@everyone"})
      nil
      iex> Nickname.fill("{display_name}", %User{id: "1", display_name: "Discdiscordord \\u202Efriend:\\n 1"})
      "friend 1"
      iex> Nickname.fill("{display_name}", %User{id: "1", display_name: String.duplicate("👨‍👩‍👧", 20)}) |> UroDiscord.Length.of()
      32
  """
  @spec fill(String.t(), User.t()) :: String.t() | nil
  def fill(template, %User{} = user) do
    name =
      ~r/#{@placeholder}/u
      |> Regex.replace(template, fn _whole, inside -> inside |> String.split("|") |> first(user) end)
      |> Text.clean(@limit)

    if shown?(name, template), do: name
  end

  # A template whose values are all empty leaves "[] ", which names nobody.
  defp shown?(name, template) do
    frame = ~r/#{@placeholder}/u |> Regex.replace(template, "") |> Text.clean(@limit)
    name != "" and name != frame and String.downcase(name) not in @reserved
  end

  defp first(names, user), do: Enum.find_value(names, "", fn name -> with "" <- value(name, user), do: nil end)

  defp value("display_name", user), do: permitted(user.display_name)
  defp value("username", user), do: permitted(user.username)
  defp value("attributes." <> name, user), do: permitted(user.attributes[name])

  defp permitted(text) when is_binary(text), do: text |> Text.clean(@value) |> without_forbidden() |> String.trim()
  defp permitted(number) when is_number(number), do: to_string(number)
  defp permitted(_nothing_to_be_shown), do: ""

  # What is left may make another one.
  defp without_forbidden(text) do
    case String.replace(text, ~r/[@#:]|```|discord/iu, "") do
      ^text -> text
      shorter -> without_forbidden(shorter)
    end
  end

  @doc """
  What is wrong with a template, if anything.

      iex> alias UroDiscord.Accounts.Nickname
      iex> for template <- ["{display_name|username}", "{name}", "Bob"], do: Nickname.problem(template)
      [
        nil,
        "{name} stands for nothing; there are {display_name}, {username}, {attributes.name}, and {one|other} for the first that says anything",
        "names nobody: everybody would be called \\"Bob\\"; say {display_name}"
      ]
  """
  @spec problem(String.t()) :: String.t() | nil
  def problem(template) do
    case Regex.scan(~r/#{@placeholder}/u, template) do
      [] -> "names nobody: everybody would be called #{inspect(Length.cut(template, @limit))}; say {display_name}"
      found -> Enum.find_value(found, fn [whole, inside] -> unless known?(inside), do: unknown(whole) end)
    end
  end

  defp known?(inside),
    do: inside |> String.split("|") |> Enum.all?(&(&1 =~ ~r/\A(display_name|username|attributes\..+)\z/u))

  defp unknown(whole),
    do:
      "#{whole} stands for nothing; there are {display_name}, {username}, {attributes.name}, and {one|other} for the first that says anything"
end
