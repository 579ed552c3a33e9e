defmodule UroDiscord.Web.Page do
  @moduledoc false
  # A page for people: a title, what happened, and what to do next. It is one file without scripts and without anything from elsewhere, and says so to the
  # browser. What comes from outside is escaped here, and nowhere else.

  alias UroDiscord.Web.Response

  @style """
  :root{color-scheme:light dark;--ink:#1b1c20;--paper:#fff;--edge:#d4d6dc;--soft:#565b66;--on:#fff;--act:#4752c4}
  @media(prefers-color-scheme:dark){:root{--ink:#f1f2f5;--paper:#1e1f24;--edge:#4a4d57;--soft:#b9bdc8;--act:#5865f2}}
  *{box-sizing:border-box}
  body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1rem;background:var(--paper);color:var(--ink);font:1rem/1.6 system-ui,sans-serif}
  main{max-width:36rem;width:100%;border:1px solid var(--edge);border-radius:.75rem;padding:1.5rem 2rem}
  h1{font-size:1.5rem;line-height:1.3;margin:0 0 1rem}
  li{margin:.25rem 0}
  .soft{color:var(--soft)}
  .acts{display:flex;flex-wrap:wrap;gap:.75rem;margin-top:1.5rem}
  .acts a,.acts button{font:inherit;padding:.5rem 1rem;border-radius:.5rem;border:1px solid var(--act);background:none;color:inherit;text-decoration:none;cursor:pointer}
  .acts .first{background:var(--act);color:var(--on)}
  form{margin:0}
  a:focus-visible,button:focus-visible{outline:3px solid var(--ink);outline-offset:2px}
  """

  # The browser is told by a hash which style is ours.
  @style_hash :crypto.hash(:sha256, @style) |> Base.encode64()

  @policy "default-src 'none'; style-src 'sha256-#{@style_hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

  # With `no-referrer` a form's Origin would be null. The code of a login at Discord is in the address; it goes to no other site.
  @headers [
    {"content-type", "text/html; charset=utf-8"},
    {"cache-control", "no-store"},
    {"content-security-policy", @policy},
    {"x-content-type-options", "nosniff"},
    {"referrer-policy", "same-origin"}
  ]

  @typedoc """
  Paragraphs and lists of texts; then links to paths of this host, and buttons, which post to them. The first of these is the one to take.
  """
  @type t :: %{
          required(:title) => String.t(),
          required(:text) => [String.t() | [String.t()]],
          optional(:acts) => [{:link | :post, String.t(), path :: String.t()}]
        }

  @spec response(200..599, t(), [{String.t(), String.t()}]) :: Response.t()
  def response(status, page, headers \\ []),
    do: %Response{status: status, headers: @headers ++ headers, body: page |> html() |> IO.iodata_to_binary()}

  @doc "To another address."
  @spec redirect(String.t(), [{String.t(), String.t()}]) :: Response.t()
  def redirect(url, headers \\ []) do
    headers = [{"location", url}, {"cache-control", "no-store"}, {"referrer-policy", "no-referrer"} | headers]
    %Response{status: 303, headers: headers}
  end

  defp html(page) do
    title = escape(page.title)

    [
      ~s(<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">),
      ~s(<meta name="robots" content="noindex"><title>),
      title,
      "</title><style>",
      @style,
      "</style></head><body><main><h1>",
      title,
      "</h1>",
      Enum.map(page.text, &block/1),
      acts(Map.get(page, :acts, [])),
      "</main></body></html>\n"
    ]
  end

  defp block(items) when is_list(items), do: ["<ul>", Enum.map(items, &["<li>", escape(&1), "</li>"]), "</ul>"]
  defp block(text), do: ["<p>", escape(text), "</p>"]

  defp acts([]), do: []

  defp acts(acts) do
    marked = Enum.zip(acts, [~s( class="first") | List.duplicate("", length(acts))])
    [~s(<div class="acts">), Enum.map(marked, &act/1), "</div>"]
  end

  defp act({{:link, text, path}, mark}), do: ["<a", mark, ~s( href="), escape(path), ~s(">), escape(text), "</a>"]

  defp act({{:post, text, path}, mark}),
    do: [~s(<form method="post" action="), escape(path), ~s("><button), mark, ">", escape(text), "</button></form>"]

  @doc """
  A text as HTML has it, in an element or in the value of an attribute.

      iex> UroDiscord.Web.Page.escape(~s(<b title="x">'&'</b>))
      "&lt;b title=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/b&gt;"
  """
  @spec escape(String.t()) :: String.t()
  def escape(text) do
    String.replace(text, ["&", "<", ">", "\"", "'"], fn
      "&" -> "&amp;"
      "<" -> "&lt;"
      ">" -> "&gt;"
      "\"" -> "&quot;"
      "'" -> "&#39;"
    end)
  end
end
