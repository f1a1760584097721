defmodule GamePlatform.Compute.Refusal do
  @moduledoc false
  # Why an action is refused: codes, their numbers and a sentence for the player, which says what to do next.
  # `docs/actions.md` has the same table; a test compares them.

  # What the rules refuse, by number. 0 is `applied`, 1 is not used.
  @rules %{
    2 =>
      {:pentagon,
       "This is one of the twelve pentagons: they belong to nobody, so choose a cell of six sides."},
    3 => {:reserved, "This cell touches a pentagon and is kept free: choose one farther away."},
    4 => {:not_yours, "This cell is not yours: ask its owner for a grant, or use a cell of your own."},
    5 => {:already_yours, "This cell is yours already: build on it."},
    6 =>
      {:touches_foreign,
       "This cell touches a neighbour's: leave one cell between you, or ask them for a grant."},
    7 =>
      {:not_adjacent,
       "This cell touches neither you nor land of yours: take one step at a time, and build beside a cell you own."},
    8 => {:too_close, "Another player's land is too near to begin here: go some steps farther away."},
    9 =>
      {:too_many_estates,
       "You have as many separate estates as are allowed: claim beside one, or release one."},
    10 => {:occupied, "A machine stands here: remove it first."},
    11 => {:no_machine, "No machine stands here: place one first."},
    12 => {:missing_items, "You do not have what this costs: gather or make it first."},
    13 => {:inventory_full, "There is no room for that in the inventory: put something into a depot first."},
    14 => {:queue_full, "You have as much to do as you can remember: wait until something is done."},
    15 => {:too_far, "This is out of reach: go to the cell, or to one beside it."},
    16 => {:empty, "Nothing is left to take here: the last unit of a cell stays, so try another or wait."},
    17 => {:not_harvestable, "Nothing can be gathered here by hand: choose another kind of cell."},
    18 => {:not_enough, "There are not so many: ask for fewer."},
    19 => {:not_accepted, "This machine has no use for that: look at what its recipe needs."},
    20 => {:full, "There is no room for so many: put in fewer, or wait until some are used."},
    21 =>
      {:wrong_recipe,
       "This machine cannot do that: choose one of its own recipes, or an item for a sorter or depot."},
    22 => {:not_by_hand, "This cannot be made by hand: build the machine that makes it."},
    23 =>
      {:unknown_player,
       "No player of that name is in this world: join first, or look at how the name is written."}
  }

  # What the border refuses: it reaches no rule and leaves no outcome.
  @border %{
    bad_action: "The action cannot be understood: correct the field that is named and send it again.",
    no_economy:
      "Nothing can be built in this world: its ruleset has no economy, so make a world with one that has.",
    rate_limited: "Those were too many actions in a second: send the rest a little later.",
    busy: "More actions came than one tick takes: send this one again at the next tick.",
    log_full:
      "The server's disk is full, so nothing can be kept: try again later, and tell the operator if it lasts.",
    log_behind: "The server's disk is slow at the moment: send this one again in a second.",
    log_down: "What you do cannot be kept at the moment: send this one again in a few seconds."
  }

  @numbers Map.new(@rules, fn {number, {code, _}} -> {code, number} end)
  @sentences Map.merge(@border, Map.new(@rules, fn {_, pair} -> pair end))
  @codes Enum.map(Enum.sort(@rules), fn {_, {code, _}} -> code end) ++ Enum.sort(Map.keys(@border))

  @type code :: atom

  @doc "All codes: those of the rules by number, then those of the border."
  @spec codes() :: [code]
  def codes, do: @codes

  @doc "The number that a state holds for a code; nil for what only the border refuses."
  @spec number(code) :: 2..255 | nil
  def number(code), do: @numbers[code]

  @doc "`{:ok, nil}` for an action that was applied, `:error` for a number that no rule has."
  @spec code(non_neg_integer) :: {:ok, code | nil} | :error
  def code(0), do: {:ok, nil}

  def code(number) do
    with {:ok, {code, _}} <- Map.fetch(@rules, number), do: {:ok, code}
  end

  @doc "Nil for a code that there is not."
  @spec sentence(code, %{optional(:cell) => term, optional(:owner) => String.t() | nil}) :: String.t() | nil
  def sentence(code, about \\ %{})

  def sentence(:not_yours, %{cell: cell, owner: owner}) when is_binary(owner),
    do: "Cell #{cell} is #{owner}'s: ask #{owner} for a grant, or use a cell of your own."

  def sentence(:not_yours, %{cell: cell, owner: nil}),
    do: "Cell #{cell} is nobody's: claim it first."

  def sentence(:occupied, %{cell: cell, owner: owner}) when is_binary(owner),
    do: "On cell #{cell}, which is #{owner}'s, stands a machine: remove it first."

  def sentence(code, _), do: @sentences[code]
end
