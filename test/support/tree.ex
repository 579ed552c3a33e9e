defmodule UroDiscord.Tree do
  @moduledoc """
  The processes of a supervision tree, found by asking its supervisors: what a test says of each of them holds for those of tomorrow too.
  """

  @typedoc "The ids from the top, such as `[:core, UroDiscord.Events]`."
  @type path :: [term()]

  @doc "Every process below a supervisor, by its path. What is just being started again is not in it."
  @spec processes(pid() | atom()) :: %{path() => {pid(), modules :: [module()]}}
  def processes(supervisor), do: supervisor |> below([]) |> Map.new()

  defp below(supervisor, path) do
    supervisor
    |> children()
    |> Enum.with_index()
    |> Enum.flat_map(fn {{id, pid, type, modules}, index} ->
      # Children of a dynamic supervisor have no id.
      path = path ++ [if(id == :undefined, do: index, else: id)]

      if is_pid(pid),
        do: [
          {path, {pid, if(is_list(modules), do: modules, else: [])}}
          | if(type == :supervisor, do: below(pid, path), else: [])
        ],
        else: []
    end)
  end

  defp children(supervisor) do
    Supervisor.which_children(supervisor)
  catch
    # It ends just now.
    :exit, _reason -> []
  end
end
