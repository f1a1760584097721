//! A world: a sphere of cells that a ruleset moves from tick to tick.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};

use rayon::ThreadPool;
use rayon::prelude::*;
use shm::cards::Cards;
use shm::rows::{Cells, Rows, Shape};
use shm::{Corrupt, Segment};

use crate::beat::Slots;
use crate::error::{FillError, NewWorldError, WriteError};
use crate::factory::{Action, Factory};
use crate::generate::{Generator, position};
use crate::pool;
use crate::rule::{Isa, Tables};
use crate::ruleset::Ruleset;
use crate::step::{Scratch, Step};
use crate::topology::{Site, Sphere};

/// Most threads a world may ask for.
pub const MAX_THREADS: usize = 256;

/// Cells worth a task of their own: about a tenth of a millisecond of the scalar form.
const TASK_CELLS: usize = 8192;

/// Cards that a world begins with.
const FIRST_CARDS: usize = 1024;

/// The memory of a world: ten diamonds of rows, then the poles.
fn shape(sphere: Sphere) -> Shape {
    let long = sphere.rows() - 2;
    Shape::new(long, sphere.frequency(), 2)
}

/// How a world is made.
#[derive(Debug, Clone)]
pub struct WorldOptions {
    /// Pieces an icosahedron edge is cut in, 1…4096.
    pub frequency: u32,
    /// Decides generation and every die.
    pub seed: u64,
    /// The rule.
    pub ruleset: Ruleset,
    /// Threads that a tick may use, 1…256.
    pub threads: usize,
    /// The form of the rule.
    pub isa: Isa,
    /// For tests of symmetry: one dice key for all rows and ticks.
    #[doc(hidden)]
    pub fixed_key: Option<u64>,
}

impl WorldOptions {
    /// One thread, the fastest form of the rule.
    pub fn new(frequency: u32, seed: u64, ruleset: Ruleset) -> Self {
        WorldOptions { frequency, seed, ruleset, threads: 1, isa: Isa::best(), fixed_key: None }
    }
}

/// How far a call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The published tick.
    pub tick: u64,
    /// False if the call was asked to stop before it was done; call again to go on.
    pub done: bool,
}

/// A world. Any thread may read while one ticks.
#[derive(Debug)]
pub struct World {
    options: WorldOptions,
    sphere: Sphere,
    ruleset_hash: [u8; 32],
    pub(crate) tables: Tables,
    pool: Option<Arc<ThreadPool>>,
    pub(crate) rows: Rows,
    /// Machines, players and what is theirs; none if the ruleset has no economy.
    pub(crate) cards: Option<Cards>,
    pub(crate) ticker: Mutex<Ticker>,
    /// The tick of the first state.
    pub(crate) origin: AtomicU64,
    /// One long read of this process at a time; the pin is for one.
    pub(crate) long_read: Mutex<()>,
}

#[derive(Debug, Default)]
pub(crate) struct Ticker {
    /// Rows generated so far.
    pub generated: u32,
    /// Acting rows of the unpublished tick that are done.
    pub acted: usize,
    slots: Slots,
    /// The working copy of what lies in the cards, once it has been loaded.
    pub factory: Option<Factory>,
    /// Actions of the next tick, until it is published.
    pub actions: Vec<Action>,
}

impl World {
    /// A world at tick 0, not yet generated: call [`World::generate`] or [`World::fill`].
    ///
    /// ```
    /// use hexworld::{Ruleset, World, WorldOptions};
    /// let ruleset = Ruleset::parse(include_str!("../../../priv/rulesets/default.toml"))?;
    /// let world = World::new(WorldOptions::new(16, 2, ruleset))?;
    /// world.generate(|| true)?;
    /// assert_eq!(world.advance(320, || true)?.tick, 320);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(options: WorldOptions) -> Result<Self, NewWorldError> {
        let shape = shape(Sphere::new(options.frequency)?);
        let cards = options.ruleset.economy.is_some().then(|| Cards::private(FIRST_CARDS)).transpose()?;
        Self::with_rows(options, Rows::private(shape)?, cards)
    }

    /// The same in memory that can be handed to another process: see [`World::segments`].
    pub fn shared(options: WorldOptions) -> Result<Self, NewWorldError> {
        let shape = shape(Sphere::new(options.frequency)?);
        let cards = options.ruleset.economy.is_some().then(|| Cards::shared(FIRST_CARDS)).transpose()?;
        Self::with_rows(options, Rows::shared(shape)?, cards)
    }

    /// Takes a world that another process made or advanced, and may advance it from now on. The options must be
    /// those it was made with, and the segments those of [`World::segments`] there, in order.
    pub fn open(options: WorldOptions, segments: Vec<Segment>) -> Result<Self, NewWorldError> {
        let shape = shape(Sphere::new(options.frequency)?);
        let mut segments = segments.into_iter();
        let rows = segments.next().ok_or(NewWorldError::Segments(0))?;
        let extents: Vec<Segment> = segments.collect();
        if extents.is_empty() == options.ruleset.economy.is_some() {
            return Err(NewWorldError::Segments(extents.len() + 1));
        }
        let cards = if extents.is_empty() { None } else { Some(Cards::open(extents)?) };
        Self::with_rows(options, Rows::open(rows, shape)?, cards)
    }

    fn with_rows(options: WorldOptions, rows: Rows, cards: Option<Cards>) -> Result<Self, NewWorldError> {
        let sphere = Sphere::new(options.frequency)?;
        if !(1..=MAX_THREADS).contains(&options.threads) {
            return Err(NewWorldError::Threads(options.threads));
        }
        // In a small world waking a second thread costs more than it saves.
        let acting = sphere.cells() as usize / usize::from(options.ruleset.beat);
        let parallel = options.threads > 1 && acting > 2 * TASK_CELLS;
        let generated = if rows.is_ready() { sphere.rows() } else { 0 };
        Ok(World {
            sphere,
            ruleset_hash: options.ruleset.hash(),
            tables: Tables::new(&options.ruleset),
            pool: parallel.then(|| pool::of_size(options.threads)).transpose()?,
            rows,
            cards,
            origin: AtomicU64::new(0),
            ticker: Mutex::new(Ticker { generated, ..Ticker::default() }),
            long_read: Mutex::default(),
            options,
        })
    }

    /// Bytes that a world of this frequency takes.
    pub fn bytes(sphere: Sphere) -> u64 {
        shape(sphere).bytes() as u64
    }

    /// The memory of the cells. Whoever opens it last may advance the world; the others read.
    pub fn segment(&self) -> &Segment {
        self.rows.segment()
    }

    /// Forbids whoever opened the segment before to advance it. Their process must be known to be dead: this
    /// is for one that wakes up all the same.
    pub fn fence_off(&self) {
        let _ = self.rows.fence_off();
    }

    /// True once the first state is whole.
    pub fn is_ready(&self) -> bool {
        self.rows.is_ready()
    }

    /// The topology.
    pub fn sphere(&self) -> Sphere {
        self.sphere
    }

    /// How the world was made.
    pub fn options(&self) -> &WorldOptions {
        &self.options
    }

    /// [`Ruleset::hash`] of its ruleset.
    pub fn ruleset_hash(&self) -> [u8; 32] {
        self.ruleset_hash
    }

    /// The last published tick.
    pub fn tick(&self) -> Result<u64, Corrupt> {
        self.rows.published()
    }

    /// The tick of the first state: 0, or that of the snapshot it was restored from.
    pub fn origin(&self) -> u64 {
        self.origin.load(Ordering::Relaxed)
    }

    /// Says that this is the world of `other` once more, in other memory: it has the same first state.
    pub fn takes_over(&self, other: &World) {
        self.origin.store(other.origin(), Ordering::Relaxed);
    }

    /// Makes the first state; returns early, with `done: false`, once `go_on` says no.
    pub fn generate(&self, mut go_on: impl FnMut() -> bool + Send) -> Result<Progress, WriteError> {
        let mut ticker = self.ticker()?;
        let ticker = &mut *ticker;
        self.begun(ticker)?;
        self.on_pool(|| self.generate_rows(ticker, &mut go_on));
        Ok(Progress { tick: self.tick()?, done: ticker.generated == self.sphere.rows() })
    }

    /// The published tick, which is 0 until the first state is whole.
    fn begun(&self, ticker: &Ticker) -> Result<u64, Corrupt> {
        match self.tick()? {
            tick if tick > 0 && ticker.generated < self.sphere.rows() => {
                Err(Corrupt { what: "ready, with the published tick", found: tick })
            }
            tick => Ok(tick),
        }
    }

    fn generate_rows(&self, ticker: &mut Ticker, go_on: &mut impl FnMut() -> bool) {
        if self.options.ruleset.generation.is_none() {
            ticker.generated = self.sphere.rows();
        }
        let batch = self.batch_rows() as u32 / 16;
        while ticker.generated < self.sphere.rows() {
            let end = self.sphere.rows().min(ticker.generated + batch.max(1));
            self.for_rows(&(ticker.generated..end).collect::<Vec<_>>(), |rows| {
                let Some(mut generator) = Generator::new(&self.options.ruleset, self.options.seed) else {
                    return;
                };
                let mut cells = Cells::default();
                for &row in rows {
                    cells.codes.clear();
                    cells.amounts.clear();
                    for col in 0..self.sphere.row_len(row) {
                        let (kind, amount) = generator.cell(position(self.sphere, Site { row, col }));
                        cells.codes.push(self.tables.code(kind, amount));
                        cells.amounts.push(amount);
                    }
                    self.rows.begin(row, &cells.codes, &cells.amounts);
                }
            });
            ticker.generated = end;
            if !go_on() && end < self.sphere.rows() {
                return;
            }
        }
        if !self.rows.is_ready() {
            self.rows.set_ready();
        }
    }

    /// Starts from given cells, in id order, instead of generated ones.
    pub fn fill(&self, kinds: &[u8], amounts: &[u16]) -> Result<(), FillError> {
        let mut ticker = self.ticker.lock().unwrap_or_else(PoisonError::into_inner);
        if self.tick() != Ok(0) || ticker.acted != 0 {
            return Err(FillError::Started);
        }
        let expected = self.sphere.cells() as usize;
        if kinds.len() != expected || amounts.len() != expected {
            return Err(FillError::Length { expected, kinds: kinds.len(), amounts: amounts.len() });
        }
        let known = self.options.ruleset.kinds.len();
        if let Some(cell) = kinds.iter().position(|&kind| usize::from(kind) >= known) {
            return Err(FillError::Kind { cell, kind: kinds[cell], kinds: known });
        }
        let mut start = 0;
        for row in 0..self.sphere.rows() {
            let end = start + self.sphere.row_len(row) as usize;
            let (kinds, amounts) = (&kinds[start..end], &amounts[start..end]);
            let codes: Vec<u8> =
                kinds.iter().zip(amounts).map(|(&kind, &amount)| self.tables.code(kind, amount)).collect();
            self.rows.begin(row, &codes, amounts);
            start = end;
        }
        ticker.generated = self.sphere.rows();
        self.rows.set_ready();
        Ok(())
    }

    /// Ticks until `target` is published; a target that has passed is done at once. `go_on` is asked
    /// every millisecond or so of work: when it says no, the call returns with `done: false`, and the
    /// tick it was in goes on where it stopped when the world is advanced again.
    pub fn advance(
        &self,
        target: u64,
        mut go_on: impl FnMut() -> bool + Send,
    ) -> Result<Progress, WriteError> {
        let mut ticker = self.ticker()?;
        let ticker = &mut *ticker;
        self.on_pool(|| self.tick_until(target, ticker, &mut go_on))
    }

    fn tick_until(
        &self,
        target: u64,
        ticker: &mut Ticker,
        go_on: &mut impl FnMut() -> bool,
    ) -> Result<Progress, WriteError> {
        let mut tick = self.begun(ticker)?;
        self.generate_rows(ticker, go_on);
        let stopped = |tick| Ok(Progress { tick, done: tick >= target });
        if ticker.generated < self.sphere.rows() {
            return Ok(Progress { tick, done: false });
        }
        if let Some(cards) = &self.cards {
            // Before any row is written: it looks at what is published.
            self.loaded(cards, &mut ticker.factory)?;
        }
        let (seed, beat) = (self.options.seed, self.options.ruleset.beat);
        while tick < target {
            let acting = ticker.slots.acting(seed, beat, self.sphere.rows(), tick);
            let step = Step { world: self, tick, needed: self.rows.needed() };
            let broken = OnceLock::new();
            while ticker.acted < acting.len() {
                let end = acting.len().min(ticker.acted + self.batch_rows());
                self.for_rows(&acting[ticker.acted..end], |rows| {
                    let mut scratch = Scratch::new(self.sphere);
                    if let Err(corrupt) = rows.iter().try_for_each(|&row| step.act(row, &mut scratch)) {
                        let _ = broken.set(corrupt);
                    }
                });
                if let Some(&corrupt) = broken.get() {
                    return Err(corrupt.into());
                }
                ticker.acted = end;
                if end < acting.len() && !go_on() {
                    return stopped(tick);
                }
            }
            ticker.acted = 0;
            if let Some(cards) = &self.cards {
                let done = self.act_machines(cards, &mut ticker.factory, &step, acting, &ticker.actions);
                // What was done of it is done again from what is published, with the same actions.
                if let Err(fault) = done.inspect_err(|_| ticker.factory = None) {
                    self.widen(cards, fault)?;
                    self.loaded(cards, &mut ticker.factory)?;
                    continue;
                }
            }
            tick += 1;
            self.rows.publish(tick)?;
            ticker.actions.clear();
            if !go_on() {
                break;
            }
        }
        stopped(tick)
    }

    pub(crate) fn ticker(&self) -> Result<MutexGuard<'_, Ticker>, WriteError> {
        match self.ticker.try_lock() {
            Ok(ticker) => Ok(ticker),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(WriteError::Busy),
        }
    }

    /// Rows between two questions to `go_on`: about a millisecond of the scalar form on each thread.
    fn batch_rows(&self) -> usize {
        (32 * TASK_CELLS * self.options.threads / self.sphere.frequency() as usize).max(1)
    }

    /// Runs `work` on the pool, if there is one; one switch of threads for a whole call, not one a tick.
    fn on_pool<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.pool {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    /// Hands `rows` to `work` in pieces, in parallel if there is a pool. Called on it.
    fn for_rows(&self, rows: &[u32], work: impl Fn(&[u32]) + Sync) {
        let piece = (TASK_CELLS / self.sphere.frequency() as usize).max(1);
        if self.pool.is_some() && rows.len() > piece {
            rows.par_chunks(piece).for_each(&work);
        } else {
            work(rows);
        }
    }

    /// Runs `read` while nothing ticks in this process: it sees one tick's state throughout.
    pub(crate) fn at_rest<T>(
        &self,
        read: impl FnOnce(u64, Option<&Factory>) -> Result<T, Corrupt>,
    ) -> Result<T, WriteError> {
        let mut ticker = self.ticker()?;
        let factory = match &self.cards {
            Some(cards) => Some(&*self.loaded(cards, &mut ticker.factory)?),
            None => None,
        };
        Ok(read(self.tick()?, factory)?)
    }

    /// Copies a row within [`World::at_rest`].
    pub(crate) fn read_at_rest(&self, row: u32, tick: u64, cells: &mut Cells) -> Result<(), Corrupt> {
        let version = self.rows.current(row, tick);
        self.check_stamp(row, tick, version)?;
        let len = self.sphere.row_len(row) as usize;
        cells.codes.resize(len, 0);
        cells.amounts.resize(len, 0);
        self.rows.codes(row, version, &mut cells.codes);
        self.rows.amounts(row, version, &mut cells.amounts);
        Ok(())
    }

    /// Like [`Iterator::map`] over `0..n`, on the pool if there is one; results in order.
    pub(crate) fn map<T: Send>(&self, n: u32, each: impl Fn(u32) -> T + Sync + Send) -> Vec<T> {
        match &self.pool {
            Some(pool) => pool.install(|| (0..n).into_par_iter().map(each).collect()),
            None => (0..n).map(each).collect(),
        }
    }

    /// Takes up to `count` from a cell between two ticks and returns what it gave. At amount 0 the
    /// cell becomes what its kind is spent to. `cell` must exist.
    pub fn harvest(&mut self, cell: u32, count: u16) -> u16 {
        let Site { row, col } = self.sphere.site(cell);
        let col = col as usize;
        // Rows of a paused tick were computed from what is changed here: they must act again.
        self.ticker.get_mut().unwrap_or_else(PoisonError::into_inner).acted = 0;
        let tick = self.tick().unwrap_or_default();
        let mut cells = Cells::default();
        if self.read_at_rest(row, tick, &mut cells).is_err() {
            return 0;
        }
        let given = count.min(cells.amounts[col]);
        let left = cells.amounts[col] - given;
        let kind = cells.codes[col] & 7;
        let kind = if left == 0 { self.options.ruleset.kinds[usize::from(kind)].spent } else { kind };
        cells.amounts[col] = left;
        cells.codes[col] = self.tables.code(kind, left);
        self.rows.rewrite(row, tick, &cells.codes, &cells.amounts);
        given
    }
}
