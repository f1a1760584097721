defmodule GamePlatform.Compute.Objects do
  @moduledoc false
  # The canonical bytes of machines and players (`docs/rules.md`) as the maps that callers get. Total: bytes that no
  # sound kernel writes are `{:error, :corrupt_peer}`.

  alias GamePlatform.Compute.{Actions, Economy}
  alias GamePlatform.Compute.Objects.Activity

  @none 0xFF
  @idle 0xFFFF
  @bodies %{"move" => 1, "gather" => 2, "craft" => 11}

  @type site ::
          {kind :: 0..7, amount :: 0..65535, machine :: binary | nil, owner :: non_neg_integer,
           grant :: non_neg_integer}

  @doc """
  The machine of a site, or nil if none stands there. `around` are the sites of its neighbours, if they are known:
  see `Activity`.
  """
  @spec machine(Economy.t(), non_neg_integer, site, [site] | nil) ::
          {:ok, map | nil} | {:error, :corrupt_peer}
  def machine(economy, tick, site, around \\ nil)
  def machine(_, _, {_, _, nil, _, _}, _), do: {:ok, nil}

  def machine(economy, tick, {_, _, bytes, _, _} = site, around) do
    with {:ok, parts} <- parse(economy, bytes) do
      {:ok, parts |> shown(economy) |> Map.put(:state, Activity.of(economy, tick, site, parts, around))}
    end
  end

  @doc "Whether the neighbours of a site tell more about its machine than the site does."
  @spec looks_around?(Economy.t(), site) :: boolean
  def looks_around?(_, {_, _, nil, _, _}), do: false

  def looks_around?(economy, {_, _, bytes, _, _}) do
    with {:ok, parts} <- parse(economy, bytes), do: Activity.looks_around?(economy, parts), else: (_ -> false)
  end

  # What the bytes say, ids as they are.
  @doc false
  @spec parse(Economy.t(), binary) :: {:ok, map} | {:error, :corrupt_peer}
  def parse(economy, <<prototype, direction, side, rest::binary>>) when direction < 6 and side < 6 do
    with %{"does" => does} = entry <- Economy.prototype(economy, prototype),
         %{} = parts <- body(does, rest),
         %{} = parts = Map.merge(%{entry: entry, does: does, direction: direction}, parts),
         true <- sound?(economy, prototype, parts) do
      {:ok, parts}
    else
      _ -> corrupt()
    end
  end

  def parse(_, _), do: corrupt()

  defp corrupt, do: {:error, :corrupt_peer}

  defp body("carry", <<item, ready::64-little>>), do: %{held: [{item, ready}]}
  defp body("split", <<item, ready::64-little, turn>>) when turn < 3, do: %{held: [{item, ready}]}

  defp body("sort", <<item, ready::64-little, turn, filter>>) when turn < 3,
    do: %{held: [{item, ready}], filter: filter}

  defp body("cross", <<bytes::binary-30>>) do
    %{held: for(<<item, _side, ready::64-little <- bytes>>, do: {item, ready})}
  end

  defp body("store", <<filter, ready::64-little, n, bytes::binary>>) when byte_size(bytes) == 3 * n,
    do: %{filter: filter, ready: ready, stored: pairs(bytes)}

  defp body(
         "craft",
         <<recipe, progress::16-little, fuel, fuel_count, burn::16-little, inputs::binary-8, out::16-little,
           by::16-little, made::32-little, spilt::32-little, lit::32-little>>
       ) do
    %{recipe: recipe, progress: progress, fuel: {fuel, fuel_count, burn}, out: out, by: by}
    |> Map.merge(%{inputs: for(<<n::16-little <- inputs>>, do: n), made: made, spilt: spilt, lit: lit})
  end

  defp body("drive", <<fuel, fuel_count, burn::16-little, lit::32-little>>),
    do: %{fuel: {fuel, fuel_count, burn}, lit: lit}

  defp body(_, _), do: nil

  defp pairs(bytes), do: for(<<item, count::16-little <- bytes>>, do: {item, count})

  defp sound?(economy, prototype, parts) do
    Enum.all?(parts, fn
      {:held, held} ->
        Enum.all?(held, fn {item, ready} -> empty?(item, ready) or Economy.item?(economy, item) end)

      {:filter, item} ->
        item == @none or Economy.item?(economy, item)

      {:stored, pairs} ->
        ascending?(economy, pairs)

      {:fuel, {fuel, n, _}} ->
        if(fuel == @none, do: n == 0, else: n > 0 and Economy.fuel?(economy, fuel))

      {:recipe, id} ->
        recipe?(economy, prototype, id, parts)

      _ ->
        true
    end)
  end

  defp empty?(item, ready), do: item == @none and ready == 0

  defp recipe?(_, _, @none, parts),
    do: parts.progress == @idle and parts.out == 0 and parts.by == 0 and Enum.all?(parts.inputs, &(&1 == 0))

  defp recipe?(economy, prototype, id, parts) do
    case Economy.recipe(economy, id) do
      %{"at" => ^prototype} = recipe ->
        (parts.progress == @idle or parts.progress <= recipe["time"]) and
          (parts.out == 0 or recipe["out"] != nil) and (parts.by == 0 or recipe["by"] != nil) and
          parts.inputs |> Enum.drop(length(recipe["inputs"])) |> Enum.all?(&(&1 == 0))

      _ ->
        false
    end
  end

  defp ascending?(economy, pairs) do
    Enum.all?(pairs, fn {item, n} -> n > 0 and Economy.item?(economy, item) end) and
      Enum.map(pairs, &elem(&1, 0)) == pairs |> Enum.map(&elem(&1, 0)) |> Enum.uniq() |> Enum.sort()
  end

  defp shown(parts, economy) do
    recipe = recipe(economy, parts)

    %{
      prototype: parts.entry["name"],
      direction: parts.direction,
      recipe: recipe && recipe["name"],
      item: name(economy, parts[:filter] || @none),
      contents: contents(economy, parts, recipe),
      fuel: fuel(economy, parts),
      progress: if(parts[:progress] not in [nil, @idle], do: parts.progress),
      made: parts[:made] || 0,
      spilt: parts[:spilt] || 0,
      lit: parts[:lit] || 0
    }
  end

  @doc false
  def recipe(economy, %{recipe: id}) when id != @none, do: Economy.recipe(economy, id)
  def recipe(_, _), do: nil

  defp name(_, @none), do: nil
  defp name(economy, item), do: Economy.item(economy, item)

  # Ingredients, products and by-products of a craft together, as they could be taken; fuel is apart.
  defp contents(economy, parts, recipe) do
    all =
      for({item, _} <- parts[:held] || [], item != @none, do: {item, 1}) ++
        (parts[:stored] || []) ++ slots(parts, recipe)

    for {item, n} <- all,
        n > 0,
        reduce: %{},
        do: (sums -> Map.update(sums, name(economy, item), n, &(&1 + n)))
  end

  defp slots(_, nil), do: []

  defp slots(parts, recipe) do
    inputs = Enum.zip_with(recipe["inputs"], parts.inputs, fn [item, _], n -> {item, n} end)
    outputs = for {[item, _], n} <- [{recipe["out"], parts.out}, {recipe["by"], parts.by}], do: {item, n}
    inputs ++ outputs
  end

  defp fuel(economy, %{fuel: {fuel, n, burn}, entry: entry}) do
    if entry["does"] == "drive" or entry["burns"], do: %{item: name(economy, fuel), count: n, burn: burn}
  end

  defp fuel(_, _), do: nil

  @doc "A player's number and name, without the rest."
  @spec name(binary) :: {:ok, pos_integer, String.t()} | {:error, :corrupt_peer}
  def name(<<number::32-little, n, name::binary-size(n), _::binary>>) when number > 0 and n in 1..64 do
    if String.valid?(name), do: {:ok, number, name}, else: corrupt()
  end

  def name(_), do: corrupt()

  @doc "A player, with `playing` and the entries of `queue` as `{op, arg, count, id}` and `ends` of what is played."
  @spec player(Economy.t(), binary) :: {:ok, map} | {:error, :corrupt_peer}
  def player(economy, bytes) do
    with {:ok, number, name} <- name(bytes),
         <<_::binary-size(byte_size(name) + 5), position::32-little, home::32-little, claims::32-little,
           results::64-little, n, held::binary-size(3 * n), rest::binary>> <- bytes,
         held = pairs(held),
         true <- ascending?(economy, held),
         {:ok, playing, <<queued, rest::binary>>} <- playing(rest),
         {:ok, queue} <- queue(queued, rest),
         true <- Enum.all?(queue ++ if(playing, do: [playing], else: []), &body?(economy, &1)) do
      {:ok,
       %{
         name: name,
         number: number,
         position: position,
         home: home,
         claims: claims,
         results: results,
         inventory: Map.new(held, fn {item, n} -> {Economy.item(economy, item), n} end),
         playing: playing,
         queue: queue
       }}
    else
      _ -> corrupt()
    end
  end

  defp playing(<<0, rest::binary>>), do: {:ok, nil, rest}

  defp playing(<<1, rest::binary>>) do
    with {:ok, body, <<ends::64-little, n::16-little, rest::binary>>} <- take(rest) do
      {:ok, Map.merge(body, %{ends: ends, n: n}), rest}
    end
  end

  defp playing(_), do: corrupt()

  defp queue(0, ""), do: {:ok, []}
  defp queue(0, _), do: corrupt()

  defp queue(n, bytes) do
    with {:ok, body, rest} <- take(bytes), {:ok, queue} <- queue(n - 1, rest), do: {:ok, [body | queue]}
  end

  defp take(<<op, arg::32-little, count::16-little, n, id::binary-size(n), rest::binary>>) when n in 1..64,
    do: {:ok, %{op: op, arg: arg, count: count, id: id}, rest}

  defp take(_), do: corrupt()

  defp body?(economy, %{op: op, arg: arg, id: id}) do
    op in Map.values(@bodies) and String.valid?(id) and
      (op != @bodies["craft"] or Economy.recipe(economy, arg) != nil)
  end

  @doc "A player as callers get it."
  @spec public(Economy.t(), map) :: map
  def public(economy, player) do
    %{
      name: player.name,
      number: player.number,
      position: player.position,
      home: player.home,
      claims: player.claims,
      inventory: player.inventory,
      busy_until: player.playing && player.playing.ends + 1,
      playing: player.playing && action(economy, player.playing),
      queue: Enum.map(player.queue, &action(economy, &1))
    }
  end

  defp action(economy, %{op: op, arg: arg, id: id} = body) do
    action = %{action_id: id, action: Actions.body(op)}

    if op == @bodies["craft"],
      do: Map.merge(action, %{recipe: Economy.recipe(economy, arg)["name"], count: body.count}),
      else: Map.put(action, :cell, arg)
  end
end
