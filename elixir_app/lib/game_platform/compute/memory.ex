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

  # Bytes that this process may still take: the least of what the machine, the control groups it is in and
  # its own limit leave.
  @doc false
  @spec free(Path.t()) :: non_neg_integer | :unknown
  def free(root \\ "/") do
    [machine(root), address_space(root) | control_groups(root)]
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

  # `ulimit -v`.
  defp address_space(root) do
    with {:ok, limits} <- File.read(Path.join(root, "proc/self/limits")),
         [_, limit] <- Regex.run(~r/^Max address space\s+(\d+)/m, limits),
         {:ok, status} <- File.read(Path.join(root, "proc/self/status")),
         [_, kib] <- Regex.run(~r/^VmSize:\s+(\d+) kB/m, status) do
      max(String.to_integer(limit) - String.to_integer(kib) * 1024, 0)
    else
      _ -> :unknown
    end
  end

  # Every group from the process's own up to the root, versions 2 and 1.
  defp control_groups(root) do
    with {:ok, text} <- File.read(Path.join(root, "proc/self/cgroup")) do
      for line <- String.split(text, "\n", trim: true),
          [_, controllers, path] <- [String.split(line, ":", parts: 3)],
          controllers == "" or "memory" in String.split(controllers, ","),
          dir <- ancestors(path) do
        if controllers == "", do: group2(root, dir), else: group1(root, dir)
      end
    else
      _ -> [group2(root, ""), group1(root, "")]
    end
  end

  defp ancestors(path) do
    path |> Path.split() |> tl() |> Enum.scan("", &Path.join(&2, &1)) |> List.insert_at(0, "")
  end

  defp group2(root, path) do
    dir = Path.join([root, "sys/fs/cgroup", path])
    left(dir, "memory.max", "memory.current", ~r/^inactive_file (\d+)$/m)
  end

  defp group1(root, path) do
    dir = Path.join([root, "sys/fs/cgroup/memory", path])
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
