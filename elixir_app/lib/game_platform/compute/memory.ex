defmodule GamePlatform.Compute.Memory do
  @moduledoc false
  # Whether a world fits into what is free, asked before anything is allocated.

  @doc false
  @spec check(pos_integer, pos_integer | :free) :: :ok | {:error, {:out_of_memory, map}}
  def check(needed, limit) do
    available = if limit == :free, do: free(), else: limit

    if available == :unknown or needed <= available do
      :ok
    else
      {:error, {:out_of_memory, %{needed_bytes: needed, available_bytes: available}}}
    end
  end

  # Bytes that this process may still take: the least of the machine's and its control group's.
  @doc false
  @spec free(Path.t()) :: non_neg_integer | :unknown
  def free(root \\ "/") do
    [machine(root), cgroup2(root), cgroup1(root)]
    |> Enum.reject(&(&1 == :unknown))
    |> Enum.min(fn -> :unknown end)
  end

  defp machine(root) do
    with {:ok, text} <- File.read(Path.join(root, "proc/meminfo")),
         [_, kib] <- Regex.run(~r/^MemAvailable:\s+(\d+) kB/m, text) do
      String.to_integer(kib) * 1024
    else
      _ -> :unknown
    end
  end

  defp cgroup2(root), do: left(root, "sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current")

  defp cgroup1(root) do
    dir = "sys/fs/cgroup/memory/"
    left(root, dir <> "memory.limit_in_bytes", dir <> "memory.usage_in_bytes")
  end

  defp left(root, limit, usage) do
    with {:ok, limit} <- number(Path.join(root, limit)),
         {:ok, usage} <- number(Path.join(root, usage)) do
      max(limit - usage, 0)
    else
      _ -> :unknown
    end
  end

  defp number(path) do
    with {:ok, text} <- File.read(path),
         {number, _} <- Integer.parse(text) do
      {:ok, number}
    end
  end
end
