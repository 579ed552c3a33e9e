defmodule UroDiscord.Server do
  @moduledoc false
  # A GenServer that survives what it does not know: `use UroDiscord.Server` in place of `use GenServer` adds a last clause to each of
  # its callbacks, which logs the first such message and goes on. And calls that do not end the caller (`call/3`).
  #
  # `use UroDiscord.Server, hidden: [:queue]` names the keys of the state whose values have secrets in the clear: no report shows them.

  require Logger
  alias UroDiscord.Error

  defmacro __using__(options) do
    {hidden, options} = Keyword.pop(options, :hidden, [])

    quote do
      use GenServer, unquote(options)
      @hidden unquote(hidden)
      @before_compile UroDiscord.Server
      # For the callbacks of which a module has no clause.
      unquote(last_clauses())
      defoverridable handle_call: 3, handle_cast: 2, handle_info: 2
    end
  end

  defmacro __before_compile__(_env) do
    quote do
      unquote(last_clauses())

      @doc false
      # Of OTP 25 and later: what a crash report and :sys.get_status/1 show. A message may have a secret in it.
      def format_status(status), do: UroDiscord.Server.format_status(status, @hidden)
    end
  end

  defp last_clauses do
    quote generated: true do
      def handle_call(request, _from, state) do
        UroDiscord.Server.unknown(:call, request)
        {:reply, {:error, UroDiscord.Error.invalid(nil, "#{inspect(__MODULE__)} does not know this request")}, state}
      end

      def handle_cast(message, state) do
        UroDiscord.Server.unknown(:cast, message)
        {:noreply, state}
      end

      def handle_info(message, state) do
        UroDiscord.Server.unknown(:message, message)
        {:noreply, state}
      end
    end
  end

  @doc "The calling process got what it does not know. Said once for each kind, and without what is in it, which may be a secret."
  @spec unknown(:call | :cast | :message, term()) :: :ok
  def unknown(kind, message) do
    if Process.put({__MODULE__, kind}, true) == nil do
      Logger.warning(
        "#{name()} got a #{kind} that it does not know, #{shape(message)}, and goes on; others are not logged"
      )
    end

    :ok
  end

  @doc false
  @spec format_status(map(), hidden :: [atom()]) :: map()
  def format_status(status, hidden) do
    status
    |> Map.replace_lazy(:message, &shape/1)
    |> Map.replace(:log, [])
    |> Map.replace_lazy(:state, &Enum.reduce(hidden, &1, fn key, state -> Map.replace(state, key, :hidden) end))
  end

  defp name do
    case Process.info(self(), :registered_name) do
      {:registered_name, name} when is_atom(name) -> inspect(name)
      _none -> self() |> :proc_lib.initial_call() |> initial()
    end
  end

  defp initial({module, _function, _arguments}), do: "a process of #{inspect(module)}"
  defp initial(_unknown), do: inspect(self())

  # The tag of a tuple, and otherwise only what it is.
  defp shape(message) when is_atom(message), do: inspect(message)

  defp shape(message) when is_tuple(message) and tuple_size(message) > 0 do
    tag = elem(message, 0)
    "a tuple of #{tuple_size(message)} that begins with #{if is_atom(tag), do: inspect(tag), else: kind(tag)}"
  end

  defp shape(message), do: kind(message)

  defp kind(term) when is_binary(term), do: "a binary"
  defp kind(term) when is_map(term), do: "a map"
  defp kind(term) when is_list(term), do: "a list"
  defp kind(term) when is_tuple(term), do: "a tuple"
  defp kind(term) when is_reference(term), do: "a reference"
  defp kind(term) when is_pid(term), do: "a pid"
  defp kind(term) when is_port(term), do: "a port"
  defp kind(term) when is_number(term), do: "a number"
  defp kind(_term), do: "a term"

  @doc """
  A call to a process of ours. One that is not there, is just being started again, or is busy for longer than `timeout` ms is an error for
  the caller, and not its end.
  """
  @spec call(GenServer.server(), term(), timeout()) :: term() | {:error, Error.t()}
  def call(server, request, timeout \\ 15_000) do
    GenServer.call(server, request, timeout)
  catch
    :exit, {:timeout, _call} -> {:error, unavailable(server, "is busy")}
    :exit, {_reason, {GenServer, :call, _arguments}} -> {:error, unavailable(server, "is not running just now")}
  end

  defp unavailable(server, why),
    do: %Error{
      kind: :unavailable,
      message: "#{inspect(server)} #{why}: try again in a moment (UroDiscord.status/0 tells)"
    }
end
