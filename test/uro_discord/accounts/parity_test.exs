defmodule UroDiscord.Accounts.ParityTest do
  # docs/accounts.md says what is where, and which test shows it. What it names is there.
  use ExUnit.Case, async: true

  @docs File.read!("docs/accounts.md")

  test "every test that the tables name is there" do
    [_before, tables] = String.split(@docs, "\n## Row by row\n", parts: 2)
    rows = for "|" <> row <- String.split(tables, "\n"), row =~ "`", do: row
    assert length(rows) == 40
    for row <- rows, do: assert(row =~ "_test.exs", row)

    for row <- rows,
        [_all, file, names] <- Regex.scan(~r/`([a-z_\/]+_test\.exs)`: ((?:"[^"]+"(?:, )?)+)/, row),
        [_all, name] <- Regex.scan(~r/"([^"]+)"/, names) do
      source = File.read!(Path.join("test/uro_discord", file))
      # A test in a loop has the name of its store behind its own.
      assert source =~ ~r/test "#{Regex.escape(name)}["# ]/, "#{file} has no test #{inspect(name)}"
    end

    # None is named in another way.
    for row <- rows,
        do: assert(length(Regex.scan(~r/_test\.exs/, row)) == length(Regex.scan(~r/`[a-z_\/]+_test\.exs`: "/, row)))
  end

  test "every function, module and task that it names is there" do
    for [_all, module, function, arity] <- Regex.scan(~r/`(?:c:)?(UroDiscord[A-Za-z.]*)\.([a-z_]+[?!]?)\/(\d)`/, @docs) do
      module = Module.concat([module])
      assert Code.ensure_loaded?(module), "#{inspect(module)}"
      known = module.__info__(:functions) ++ callbacks(module)
      assert {String.to_atom(function), String.to_integer(arity)} in known, "#{inspect(module)}.#{function}/#{arity}"
    end

    for [_all, module] <- Regex.scan(~r/`(UroDiscord[A-Za-z.]*)`/, @docs),
        do: assert(Code.ensure_loaded?(Module.concat([module])), module)

    for [_all, task] <- Regex.scan(~r/`mix (uro_discord[a-z._]+)/, @docs), do: assert(Mix.Task.get(task), task)
  end

  defp callbacks(module),
    do: if(function_exported?(module, :behaviour_info, 1), do: module.behaviour_info(:callbacks), else: [])
end
