defmodule UroDiscord.Store.NodeId do
  @moduledoc false
  # Who holds a lease: this VM. The name says where a VM runs, so that one that was killed and started again need not wait
  # for its own old lease to run out. It is only judged dead by somebody who sees the same processes.

  @doc """
  The name of this VM: the machine's boot, its process namespace (containers have their own), the VM's process id, and when that
  process started, since ids are used again. Where there is no /proc the name is random, and says nothing.
  """
  @spec name() :: String.t()
  def name do
    case {place(), started(System.pid())} do
      {{:ok, place}, {:ok, started}} -> Enum.join([place, System.pid(), started], "/")
      _ -> "vm/" <> Base.url_encode64(:crypto.strong_rand_bytes(12), padding: false)
    end
  end

  @doc "Whether the VM of this name is known to be gone."
  @spec dead?(String.t()) :: boolean()
  def dead?(name) do
    with [place, pid, started] <- String.split(name, "/"),
         {:ok, ^place} <- place(),
         # The first process is always there, and not seen by one from which others' are hidden (hidepid).
         {:ok, _} <- started("1") do
      started(pid) != {:ok, started}
    else
      _ -> false
    end
  end

  defp place do
    with {:ok, boot} <- File.read("/proc/sys/kernel/random/boot_id"),
         {:ok, namespace} <- File.read_link("/proc/self/ns/pid"),
         do: {:ok, String.trim(boot) <> namespace}
  end

  # The 22nd field of stat; the second may hold blanks and brackets, so count from its end. A process that was killed and whose
  # parent does not ask for it (the first process of some containers) stays in the books, as a zombie (Z).
  defp started(pid) do
    with {:ok, stat} <- File.read("/proc/#{pid}/stat"),
         [_, fields] <- Regex.run(~r/.*\) (.*)/s, stat),
         [state | _] = fields when state not in ["Z", "X"] <- String.split(fields),
         do: {:ok, Enum.at(fields, 19)}
  end
end
