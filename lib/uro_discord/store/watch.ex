defmodule UroDiscord.Store.Watch do
  @moduledoc false
  # Keeps a part of ours to what the store has of it, which other nodes and Mix tasks change too. It is read at once for whoever has changed it here, and
  # every few seconds besides. Reading it and passing it on may take their time: nobody waits for that but who changes something.

  use UroDiscord.Server
  alias UroDiscord.{Error, Runtime, Server, Store}

  @interval_ms 2_000

  @typedoc """
    * `name`: of the process, and what it is a child of its supervisor by;
    * `read`: asks the store;
    * `pass_on`: is called with what the store has, when that is not what it had before. After an error it is called again with the next reading;
    * `unreadable`: what is logged when it cannot be read: until it can, what was known stays;
    * `first`: `:at_start`, where what is started after it needs the first reading, or `:soon`.
  """
  @type options :: %{
          name: module(),
          read: (Store.t() -> {:ok, term()} | {:error, Error.t()}),
          pass_on: (term() -> :ok | {:error, Error.t()}),
          unreadable: String.t(),
          first: :at_start | :soon
        }

  @spec child_spec(options()) :: Supervisor.child_spec()
  def child_spec(options), do: %{id: options.name, start: {__MODULE__, :start_link, [options]}}

  @spec start_link(options()) :: GenServer.on_start()
  def start_link(options), do: GenServer.start_link(__MODULE__, options, name: options.name)

  @doc "Reads it now. When this returns, what is stored is known; or the store is away, and it is when it is back."
  @spec reload(module()) :: :ok
  # One that is just being started reads it then.
  def reload(name), do: with({:error, _not_there} <- Server.call(name, :reload, :infinity), do: :ok)

  @impl true
  def init(options) do
    state = %{options: options, known: :nothing, failing?: false}
    {:ok, if(options.first == :at_start, do: read(state), else: state), {:continue, options.first}}
  end

  @impl true
  def handle_continue(:at_start, state), do: {:noreply, later(state)}
  def handle_continue(:soon, state), do: {:noreply, state |> read() |> later()}

  @impl true
  def handle_call(:reload, _from, state), do: {:reply, :ok, read(state)}

  @impl true
  def handle_info(:read, state), do: {:noreply, state |> read() |> later()}

  defp later(state) do
    Process.send_after(self(), :read, @interval_ms)
    state
  end

  defp read(%{options: options} = state) do
    {:ok, %{store: store}} = Runtime.fetch()

    case options.read.(store) do
      {:ok, found} -> found(%{state | failing?: false}, {:known, found})
      {:error, error} -> failing(state, error)
    end
  end

  defp found(%{known: known} = state, known), do: state

  defp found(state, {:known, found} = known) do
    case state.options.pass_on.(found) do
      :ok -> %{state | known: known}
      {:error, _not_there} -> %{state | known: :nothing}
    end
  end

  # Said once.
  defp failing(%{failing?: true} = state, _error), do: state

  defp failing(state, error) do
    Store.failed(error, state.options.unreadable)
    %{state | failing?: true}
  end
end
