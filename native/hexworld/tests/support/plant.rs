//! Factories for tests: a still field, a player who can afford everything, and actions by name.

use hexworld::factory::SiteView;
use hexworld::ruleset::Economy;
use hexworld::{Ruleset, Sphere, World, WorldOptions};

use super::reference::State;

const DEFAULT: &str = include_str!("../../../../priv/rulesets/default.toml");

/// The default economy over a field that stands still, with a kit for every machine.
pub fn still_ruleset() -> Ruleset {
    Ruleset::parse(&still_text()).expect("a ruleset")
}

/// The text of [`still_ruleset`].
pub fn still_text() -> String {
    let economy = &DEFAULT[DEFAULT.find("fire =").expect("an economy")..];
    let economy = &economy[..economy.find("start =").expect("a start")];
    let kinds = ["rock", "water", "moss", "thicket", "ferrite", "crystal", "ember", "peat"];
    let kinds: Vec<_> = kinds
        .iter()
        .map(|name| format!("{{ name = \"{name}\", ripe = 1, cap = 65535, spent = \"rock\" }}"))
        .collect();
    let kit = "stone = 5000, wood = 5000, iron = 5000, gear = 5000, cord = 5000, brick = 5000, glass = 5000, \
               wire = 5000, steel = 5000, motor = 5000, spore = 5000, peat = 4000";
    format!(
        "beat = 1\nkind = [{}]\n{economy}\n\
         start = {{ kit = {{ {kit} }}, inventory = 60000, step = 4, gather = 8, craft = 20, queue = 16 }}\n\
         claim = {{ item = \"stone\", base = 0, every = 10000, gap = 1, estates = 100 }}\n",
        kinds.join(", ")
    )
}

/// Actions for one tick.
pub struct Batch<'a> {
    economy: &'a Economy,
    actions: Vec<Vec<u8>>,
    player: String,
}

impl<'a> Batch<'a> {
    pub fn new(economy: &'a Economy, player: &str) -> Self {
        Batch { economy, actions: Vec::new(), player: player.to_owned() }
    }

    fn item(&self, name: &str) -> u8 {
        self.economy.item(name).unwrap_or_else(|| panic!("item {name}"))
    }

    fn push(&mut self, op: u8, fields: &[&[u8]]) -> &mut Self {
        let id = format!("a{}", self.actions.len());
        self.push_as(&id, op, fields)
    }

    pub fn push_as(&mut self, id: &str, op: u8, fields: &[&[u8]]) -> &mut Self {
        let mut bytes = vec![self.player.len() as u8];
        bytes.extend(self.player.as_bytes());
        bytes.push(id.len() as u8);
        bytes.extend(id.as_bytes());
        bytes.push(op);
        fields.iter().for_each(|field| bytes.extend(*field));
        self.actions.push(bytes);
        self
    }

    pub fn join(&mut self, cell: u32) -> &mut Self {
        self.push(0, &[&cell.to_le_bytes()])
    }

    pub fn body(&mut self, op: u8, cell: u32) -> &mut Self {
        self.push(op, &[&cell.to_le_bytes()])
    }

    pub fn claim(&mut self, cell: u32) -> &mut Self {
        self.push(3, &[&cell.to_le_bytes()])
    }

    pub fn place(&mut self, cell: u32, prototype: &str, direction: u8) -> &mut Self {
        let prototype = self.economy.prototype(prototype).unwrap_or_else(|| panic!("{prototype}"));
        self.push(5, &[&cell.to_le_bytes(), &[prototype, direction]])
    }

    pub fn remove(&mut self, cell: u32) -> &mut Self {
        self.push(6, &[&cell.to_le_bytes()])
    }

    pub fn recipe(&mut self, cell: u32, name: &str) -> &mut Self {
        let recipe = self.economy.recipe(name).unwrap_or(255);
        let item = self.economy.item(name).unwrap_or(255);
        self.push(8, &[&cell.to_le_bytes(), &[recipe, item]])
    }

    pub fn put(&mut self, cell: u32, item: &str, count: u16) -> &mut Self {
        let item = self.item(item);
        self.push(10, &[&cell.to_le_bytes(), &[item], &count.to_le_bytes()])
    }

    pub fn take(&mut self, cell: u32, item: &str, count: u16) -> &mut Self {
        let item = self.item(item);
        self.push(9, &[&cell.to_le_bytes(), &[item], &count.to_le_bytes()])
    }

    pub fn craft(&mut self, recipe: &str, count: u16) -> &mut Self {
        let recipe = self.economy.recipe(recipe).unwrap_or_else(|| panic!("{recipe}"));
        self.push(11, &[&[recipe], &count.to_le_bytes()])
    }

    /// The actions, each as its bytes.
    pub fn actions(&self) -> Vec<Vec<u8>> {
        self.actions.clone()
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = (self.actions.len() as u16).to_le_bytes().to_vec();
        for action in &self.actions {
            bytes.extend((action.len() as u16).to_le_bytes());
            bytes.extend(action);
        }
        bytes
    }
}

/// A world with a home that axial coordinates count from, and one player.
pub struct Plant {
    pub world: World,
    pub ruleset: Ruleset,
    home: (u32, i32, i32),
}

pub const FREQUENCY: u32 = 24;

impl Plant {
    /// `field` gives kind and amount of the cells by axial coordinates; the others are rock.
    pub fn new(field: &[((i32, i32), &str, u16)]) -> Self {
        Self::with(still_ruleset(), field)
    }

    pub fn with(ruleset: Ruleset, field: &[((i32, i32), &str, u16)]) -> Self {
        let world = World::new(WorldOptions::new(FREQUENCY, 1, ruleset.clone())).expect("a world");
        Self::of(world, ruleset, field)
    }

    /// In memory that can be opened anew.
    pub fn shared(ruleset: Ruleset, field: &[((i32, i32), &str, u16)]) -> Self {
        let world = World::shared(WorldOptions::new(FREQUENCY, 1, ruleset.clone())).expect("a world");
        Self::of(world, ruleset, field)
    }

    fn of(world: World, ruleset: Ruleset, field: &[((i32, i32), &str, u16)]) -> Self {
        let sphere = Sphere::new(FREQUENCY).expect("a frequency");
        let home = (2, 12, 11);
        let mut state =
            State { kinds: vec![0; sphere.cells() as usize], amounts: vec![0; sphere.cells() as usize] };
        for &(at, kind, amount) in field {
            let cell = axial(home, at) as usize;
            let kind = ruleset.kinds.iter().position(|k| k.name == kind).expect("a kind");
            (state.kinds[cell], state.amounts[cell]) = (kind as u8, amount);
        }
        world.fill(&state.kinds, &state.amounts).expect("a field");
        Plant { world, ruleset, home }
    }

    pub fn economy(&self) -> &Economy {
        self.ruleset.economy.as_ref().expect("an economy")
    }

    pub fn cell(&self, at: (i32, i32)) -> u32 {
        axial(self.home, at)
    }

    /// Claims and places in the tick that comes next: cell, prototype, direction, recipe.
    pub fn build(&self, machines: &[((i32, i32), &str, u8, &str)]) {
        let mut batch = Batch::new(self.economy(), "ann");
        batch.join(self.cell((0, 0)));
        batch.claim(self.cell((0, 0)));
        // Land first: from home outwards, so that each cell touches one before it.
        let land = (-6i32..=30).flat_map(|q| (-6i32..=6).map(move |r| (q, r)));
        let mut land: Vec<_> = land.filter(|&at| at != (0, 0)).collect();
        land.sort_by_key(|&(q, r)| q.abs().max(r.abs()).max((q + r).abs()));
        let sphere = self.world.sphere();
        for at in land {
            let (_, i, j) = self.home;
            let inside = (2..FREQUENCY as i32 - 1).contains(&(i + at.1))
                && (1..FREQUENCY as i32 - 2).contains(&(j + at.0));
            if inside && sphere.neighbours(self.cell(at)).count() == 6 {
                batch.claim(self.cell(at));
            }
        }
        for &(at, prototype, direction, recipe) in machines {
            batch.place(self.cell(at), prototype, direction);
            if !recipe.is_empty() {
                batch.recipe(self.cell(at), recipe);
            }
        }
        self.act(&batch);
    }

    pub fn act(&self, batch: &Batch) {
        self.world.reserve(batch.actions.len()).expect("memory");
        self.world.act(self.world.tick().expect("a tick"), &batch.bytes()).expect("a batch");
    }

    pub fn batch(&self) -> Batch<'_> {
        Batch::new(self.economy(), "ann")
    }

    pub fn run(&self, tick: u64) {
        super::advance(&self.world, tick);
    }

    pub fn site(&self, at: (i32, i32)) -> SiteView {
        self.world.sites(&[self.cell(at)]).expect("a cell").1.remove(0)
    }

    /// Items in a depot.
    pub fn stored(&self, at: (i32, i32), item: &str) -> u16 {
        let bytes = self.site(at).machine.expect("a depot");
        let item = self.economy().item(item).expect("an item");
        let counts = &bytes[13..];
        let found = counts.chunks(3).find(|entry| entry[0] == item);
        found.map_or(0, |entry| u16::from_le_bytes([entry[1], entry[2]]))
    }

    /// made, spilt and lit of a craft.
    pub fn counters(&self, at: (i32, i32)) -> [u32; 3] {
        let bytes = self.site(at).machine.expect("a machine");
        std::array::from_fn(|n| {
            let at = bytes.len() - 12 + 4 * n;
            u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
        })
    }

    /// Pieces of fuel that a dynamo has lit.
    pub fn lit(&self, at: (i32, i32)) -> u32 {
        let bytes = self.site(at).machine.expect("a dynamo");
        u32::from_le_bytes(*bytes.last_chunk().expect("four bytes"))
    }

    /// Inputs, product and by-product of a craft.
    pub fn slots(&self, at: (i32, i32)) -> [u16; 6] {
        let bytes = self.site(at).machine.expect("a machine");
        std::array::from_fn(|n| {
            let at = bytes.len() - 24 + 2 * n;
            u16::from_le_bytes([bytes[at], bytes[at + 1]])
        })
    }

    /// The first tick whose execution brings an item into a depot, looking from now until `until`.
    pub fn first_arrival(&self, at: (i32, i32), item: &str, until: u64) -> Option<u64> {
        let mut tick = self.world.tick().expect("a tick");
        while tick < until {
            self.run(tick + 1);
            if self.stored(at, item) > 0 {
                return Some(tick);
            }
            tick += 1;
        }
        None
    }
}

fn axial((d, i, j): (u32, i32, i32), (q, r): (i32, i32)) -> u32 {
    let (i, j) = (i + r, j + q);
    let inside = (1..=FREQUENCY as i32).contains(&i) && (0..FREQUENCY as i32).contains(&j);
    assert!(inside, "({q}, {r}) leaves the diamond");
    d * FREQUENCY * FREQUENCY + (i as u32 - 1) * FREQUENCY + j as u32
}
