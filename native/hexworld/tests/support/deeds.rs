//! What players might do, at random.

use hexworld::World;
use hexworld::random::mix64;

use super::plant::Batch;

/// Draws numbers below a bound.
pub struct Draw(pub u64);

impl Draw {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = mix64(self.0.wrapping_add(0x9e37_79b9_7f4a_7c15));
        (self.0 >> 16) as usize % bound
    }
}

/// What two players might do in a tick, mostly within a few steps of each other.
pub fn actions(draw: &mut Draw, world: &World, tick: u64) -> Vec<Vec<u8>> {
    let economy = world.options().ruleset.economy.as_ref().expect("an economy");
    let sphere = world.sphere();
    let near = |draw: &mut Draw| {
        let mut cell = 2 * 576 + 11 * 24 + 11;
        for _ in 0..draw.below(5) {
            cell = sphere.neighbour(cell, draw.below(6) as u8).unwrap_or(cell);
        }
        cell
    };
    (0..draw.below(12))
        .map(|n| {
            let mut batch = Batch::new(economy, ["ann", "ben"][draw.below(2)]);
            let (cell, item) = (near(draw), draw.below(economy.items.len()));
            let item = economy.items[item].name.clone();
            let id = format!("{tick}.{n}");
            let to = cell.to_le_bytes();
            match draw.below(14) {
                0 => batch.push_as(&id, 1, &[&to]),
                1 => batch.push_as(&id, 2, &[&to]),
                2 | 3 => batch.push_as(&id, 3, &[&to]),
                4 => batch.push_as(&id, [4, 6][draw.below(2)], &[&to]),
                5..=7 => {
                    let prototype = draw.below(economy.prototypes.len()) as u8;
                    batch.push_as(&id, 5, &[&to, &[prototype, draw.below(6) as u8]])
                }
                8 => batch.push_as(&id, 7, &[&to, &[draw.below(6) as u8]]),
                9 | 10 => {
                    let recipe = draw.below(economy.recipes.len()) as u8;
                    let filter = [255, economy.item(&item).expect("an item")][draw.below(2)];
                    batch.push_as(&id, 8, &[&to, &[recipe, filter]])
                }
                11 => batch.push_as(&id, 12, &[&to, &[3], b"ben"]),
                12 => batch.push_as(&id, 11, &[&[draw.below(economy.recipes.len()) as u8], &[2, 0]]),
                _ => {
                    let fields: [&[u8]; 3] = [&to, &[economy.item(&item).expect("an item")], &[3, 0]];
                    batch.push_as(&id, 9 + draw.below(2) as u8, &fields)
                }
            };
            batch.actions().remove(0)
        })
        .collect()
}

/// Actions as a batch.
pub fn batch(actions: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = (actions.len() as u16).to_le_bytes().to_vec();
    for action in actions {
        bytes.extend((action.len() as u16).to_le_bytes());
        bytes.extend(action);
    }
    bytes
}
