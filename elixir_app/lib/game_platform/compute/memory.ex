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

  defp cgroup2(root) do
    dir = Path.join(root, "sys/fs/cgroup")
    left(dir, "memory.max", "memory.current", ~r/^inactive_file (\d+)$/m)
  end

  defp cgroup1(root) do
    dir = Path.join(root, "sys/fs/cgroup/memory")
    left(dir, "memory.limit_in_bytes", "memory.usage_in_bytes", ~r/^total_inactive_file (\d+)$/m)
  end

  # The usage includes the page cache, whose inactive part the kernel gives up when it is needed.
  defp left(dir, limit, usage, cache) do
    with {:ok, limit} <- number(Path.join(dir, limit)),
         {:ok, usage} <- number(Path.join(dir, usage)) do
      max(limit - usage + inactive(Path.join(dir, "memory.stat"), cache), 0)
    else
      _ -> :unknown
    end
  end

  defp inactive(path, cache) do
    with {:ok, text} <- File.read(path),
         [_, bytes] <- Regex.run(cache, text) do
      String.to_integer(bytes)
    else
      _ -> 0
    end
  end

  defp number(path) do
    with {:ok, text} <- File.read(path),
         {number, _} <- Integer.parse(text) do
      {:ok, number}
    end
  end
end
