defmodule GamePlatform.Compute.Beam.Factory.Claims do
  @moduledoc false
  # Whose a cell is. Each action gives {:ok, w} or {:refused, answer}.

  import GamePlatform.Compute.Beam.Factory.Check
  alias GamePlatform.Compute.Beam.Factory.{Bag, Ground, Players}

  # What an inventory can hold at most.
  @max_price 60000

  def claim(w, number, %{cell: cell}) do
    owner = Ground.owner(w, cell)

    with :ok <- claimable(w, cell),
         :ok <- refuse(owner == number, :already_yours),
         :ok <- refuse(owner != 0, :not_yours),
         :ok <- refuse(Ground.beside_foreign?(w, cell, number, true), :touches_foreign),
         :ok <- if(Ground.beside_mine?(w, cell, number), do: :ok, else: founding(w, number, cell)),
         price = price(w, number),
         :ok <- refuse(not Players.has?(w, number, price), :missing_items) do
      {:ok, w |> Players.pay(number, price) |> give(number, cell)}
    end
  end

  # Not the pentagons and not the cells around them.
  def claimable(w, cell) do
    with :ok <- refuse(Ground.pentagon?(w, cell), :pentagon), do: refuse(Ground.reserved?(w, cell), :reserved)
  end

  # An estate begins where its owner stands, away from others.
  defp founding(w, number, cell) do
    near = Ground.within(w, cell, w.rules.gap - 1)

    with :ok <- refuse(not Ground.near?(w, w.players[number], cell), :too_far),
         :ok <- refuse(Enum.any?(near, &(Ground.owner(w, &1) not in [0, number])), :too_close),
         do: refuse(Ground.estates(w, number) >= w.rules.estates, :too_many_estates)
  end

  def release(w, number, %{cell: cell}) do
    with :ok <- refuse(Ground.owner(w, cell) != number, :not_yours),
         :ok <- refuse(is_map_key(w.machines, cell), :occupied),
         w = %{w | owners: Map.delete(w.owners, cell)},
         w = update_in(w.players[number].claims, &(&1 - 1)),
         # Exactly what the last cell has cost.
         refund = price(w, number),
         :ok <- refuse(Players.free(w, number) < Bag.total(refund), :inventory_full) do
      {:ok, Players.receive_items(w, number, refund)}
    end
  end

  def grant(w, number, %{cell: cell, grantee: name}) do
    with :ok <- refuse(Ground.owner(w, cell) != number, :not_yours),
         :ok <- refuse(name != nil and not is_map_key(w.numbers, name), :unknown_player) do
      {:ok, %{w | owners: Map.put(w.owners, cell, {number, Map.get(w.numbers, name, 0)})}}
    end
  end

  # What the next cell costs.
  def price(w, number) do
    %{item: item, base: base, every: every} = w.rules.claim
    price = min(base + div(w.players[number].claims, every), @max_price)
    if price == 0, do: %{}, else: %{item => price}
  end

  # The cell is the player's from here on, paid or not.
  def give(w, number, cell) do
    w = %{w | owners: Map.put(w.owners, cell, {number, 0})}
    update_in(w.players[number].claims, &(&1 + 1))
  end
end
