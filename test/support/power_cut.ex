defmodule GamePlatform.PowerCut do
  @moduledoc """
  Power cuts, full disks and slow ones for programs of the operating system, by the library of `native/powercut`; and the
  directory as it may be after a cut.

  What was synced is there. Of later writes each sector is there or not; of later names, the first few changes of each
  directory. All of that is drawn with `:rand`.
  """

  @sector 512
  @create 1
  @write 2
  @truncate 3
  @sync 4
  @sync_dir 5
  @rename 6
  @unlink 7
  @make_dir 8
  @mark 9

  @doc """
  Variables for a program that works in `dir`. `opts`: `:journal`, to which its operations are written; `:full` and `:slow`,
  files that make the disk full, or slow, as long as they are there.
  """
  def env(dir, opts) do
    {library, 0} = System.cmd(Path.expand("scripts/powercut"), [])
    own = [ld_preload: String.trim(library), powercut_dir: Path.expand(dir), powercut_nosync: "1"]
    paths = for {name, path} <- opts, do: {"powercut_#{name}", path}
    for {name, value} <- own ++ paths, do: {to_charlist(String.upcase("#{name}")), to_charlist(value)}
  end

  @doc "A program that is `program` with such variables, at `path`."
  def wrap(program, path, dir, opts) do
    exports = for {name, value} <- env(dir, opts), do: "export #{name}='#{value}'\n"
    File.write!(path, ["#!/bin/sh\n", exports, "exec '#{program}' \"$@\"\n"])
    File.chmod!(path, 0o755)
    path
  end

  @doc "The operations of a journal. One that ends in the middle of a record ends before it."
  def records(path), do: records(File.read!(path), 0, [])

  defp records(
         <<kind, inode::64-little, number::64-little, n::32-little, m::32-little, name::binary-size(n),
           data::binary-size(m), rest::binary>>,
         at,
         records
       ),
       do: records(rest, at + 25 + n + m, [{kind, inode, number, name, data, at} | records])

  defp records(_, _, records), do: Enum.reverse(records)

  @doc "Whether a record changes names."
  def naming?({kind, _, _, _, _, _}), do: kind in [@create, @rename, @unlink, @make_dir, @sync_dir]

  @doc "A disk with nothing on it. `marks` are what the program wrote down for itself."
  def disk, do: %{files: %{}, names: %{}, now: %{}, marks: []}

  @doc "Does what a record says."
  def play({@create, inode, _, name, _, at}, disk) do
    # A number that is used again is a new file.
    disk = put_in(disk.files[inode], %{sectors: %{}, bytes: 0, pending: []})
    naming(disk, name, at, {:name, name, inode})
  end

  def play({@write, inode, offset, _, data, at}, disk), do: change(disk, inode, {at, {:write, offset, data}})
  def play({@truncate, inode, bytes, _, _, at}, disk), do: change(disk, inode, {at, {:length, bytes}})

  def play({@sync, inode, began, _, _, _}, disk) when is_map_key(disk.files, inode) do
    update_in(disk.files[inode], fn file ->
      {done, pending} = file.pending |> Enum.reverse() |> Enum.split_while(&(elem(&1, 0) < began))
      file = Enum.reduce(done, file, fn {_, change}, file -> apply_to(file, change, fn -> true end) end)
      %{file | pending: Enum.reverse(pending)}
    end)
  end

  def play({@sync_dir, _, began, dir, _, _}, disk) do
    case disk.names do
      %{^dir => names} ->
        {done, pending} = Enum.split_while(names.pending, &(elem(&1, 0) < began))
        put_in(disk.names[dir], %{durable: Enum.reduce(done, names.durable, &rename/2), pending: pending})

      _ ->
        disk
    end
  end

  def play({@rename, _, _, from, to, at}, disk),
    do: naming(disk, from, at, {:rename, from, to, disk.now[from]})

  def play({@unlink, _, _, name, _, at}, disk), do: naming(disk, name, at, {:unname, name})
  def play({@make_dir, _, _, name, _, at}, disk), do: naming(disk, name, at, {:name, name, :dir})
  def play({@mark, _, _, _, data, _}, disk), do: %{disk | marks: [data | disk.marks]}
  def play(_, disk), do: disk

  defp naming(disk, name, at, naming) do
    dir = parent(name)
    names = disk.names[dir] || %{durable: %{}, pending: []}
    names = %{names | pending: names.pending ++ [{at, naming}]}
    %{disk | now: rename({at, naming}, disk.now), names: Map.put(disk.names, dir, names)}
  end

  defp parent(name), do: name |> Path.dirname() |> then(&if(&1 == ".", do: "", else: &1))

  defp rename({_, {:name, name, what}}, names), do: Map.put(names, name, what)
  defp rename({_, {:unname, name}}, names), do: Map.delete(names, name)
  defp rename({_, {:rename, from, to, what}}, names), do: names |> Map.delete(from) |> Map.put(to, what)

  # Of a file that was there before, nothing is known.
  defp change(disk, inode, _) when not is_map_key(disk.files, inode), do: disk
  defp change(disk, inode, change), do: update_in(disk.files[inode].pending, &[change | &1])

  defp apply_to(file, {:length, bytes}, keep?) do
    if keep?.() do
      sectors = Map.filter(file.sectors, fn {n, _} -> n * @sector < bytes end)
      last = div(bytes, @sector)
      cut = rem(bytes, @sector)

      sectors =
        if sectors[last],
          do: Map.update!(sectors, last, &patch(zeros(), 0, binary_part(&1, 0, cut))),
          else: sectors

      %{file | sectors: sectors, bytes: bytes}
    else
      file
    end
  end

  defp apply_to(file, {:write, offset, data}, keep?) do
    in_sector = rem(offset, @sector)
    size = min(@sector - in_sector, byte_size(data))
    <<part::binary-size(size), rest::binary>> = data

    file =
      if keep?.() do
        n = div(offset, @sector)
        sectors = Map.put(file.sectors, n, patch(file.sectors[n] || zeros(), in_sector, part))
        %{file | sectors: sectors, bytes: max(file.bytes, offset + size)}
      else
        file
      end

    if rest == "", do: file, else: apply_to(file, {:write, offset + size, rest}, keep?)
  end

  defp zeros, do: <<0::size(@sector)-unit(8)>>

  defp patch(sector, at, part) do
    after_it = at + byte_size(part)
    binary_part(sector, 0, at) <> part <> binary_part(sector, after_it, @sector - after_it)
  end

  @doc "Writes the directory as it may be if the power goes now."
  def cut(disk, to) do
    File.mkdir_p!(to)
    cut_dir(disk, "", to)
  end

  defp cut_dir(disk, dir, to) do
    names = disk.names[dir] || %{durable: %{}, pending: []}
    kept = Enum.take(names.pending, :rand.uniform(length(names.pending) + 1) - 1)

    for {name, what} <- Enum.reduce(kept, names.durable, &rename/2) do
      path = Path.join(to, name)

      if what == :dir do
        File.mkdir_p!(path)
        cut_dir(disk, name, to)
      else
        File.write!(path, bytes(disk.files[what]))
      end
    end
  end

  # Disks that wrote nothing, little, much and everything of what they had been given.
  defp bytes(file) do
    percent = Enum.random([0, 0, 10, 50, 90, 100, 100])
    keep? = fn -> :rand.uniform(100) <= percent end

    file =
      file.pending
      |> Enum.reverse()
      |> Enum.reduce(file, fn {_, change}, file -> apply_to(file, change, keep?) end)

    count = div(file.bytes + @sector - 1, @sector)
    whole = for n <- 0..(count - 1)//1, do: file.sectors[n] || zeros()
    whole |> IO.iodata_to_binary() |> binary_part(0, file.bytes)
  end
end
