//! A world: a sphere of cells that a ruleset moves from tick to tick.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use rayon::ThreadPool;
use rayon::prelude::*;
use thiserror::Error;

use crate::beat::Slots;
use crate::generate::{Generator, position};
use crate::pool;
use crate::rows::Rows;
use crate::rule::{Isa, Tables};
use crate::ruleset::Ruleset;
use crate::step::{Edges, Scratch, Step};
use crate::topology::{Site, Sphere, SphereError};

/// Most threads a world may ask for.
pub const MAX_THREADS: usize = 256;

/// Cells worth a task of their own: about a tenth of a millisecond of the scalar form.
const TASK_CELLS: usize = 8192;

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

/// Why a world cannot be made.
#[derive(Debug, Error)]
pub enum NewWorldError {
    /// The frequency is out of range.
    #[error(transparent)]
    Sphere(#[from] SphereError),
    /// The number of threads is out of range.
    #[error("{0} threads are not in 1..={MAX_THREADS}")]
    Threads(usize),
    /// The operating system gives no more memory.
    #[error("no memory: {0}")]
    Memory(#[from] std::collections::TryReserveError),
    /// The operating system gives no more threads.
    #[error("no thread pool: {0}")]
    Pool(#[from] rayon::ThreadPoolBuildError),
}

/// Why given cells do not fit a world.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FillError {
    /// The planes do not have one entry for each cell.
    #[error("expected {expected} cells, found {kinds} kinds and {amounts} amounts")]
    Length {
        /// Cells of the world.
        expected: usize,
        /// Kinds given.
        kinds: usize,
        /// Amounts given.
        amounts: usize,
    },
    /// A kind that the ruleset does not have.
    #[error("cell {cell} has kind {kind}; the ruleset has {kinds} kinds")]
    Kind {
        /// The first such cell.
        cell: usize,
        /// Its kind.
        kind: u8,
        /// Kinds of the ruleset.
        kinds: usize,
    },
    /// The world has left tick 0.
    #[error("the world has begun to tick")]
    Started,
}

/// Why cells cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The id is past the end.
    #[error("there is no cell {0}")]
    NoSuchCell(u32),
    /// Ticks overtook the reader again and again; try later.
    #[error("the world ticks faster than the cells can be read")]
    Busy,
}

/// Another call holds the ticker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("another call is advancing this world")]
pub struct Busy;

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
    ticker: Mutex<Ticker>,
}

#[derive(Debug, Default)]
struct Ticker {
    /// Rows generated so far.
    generated: u32,
    /// Acting rows of the unpublished tick that are done.
    acted: usize,
    slots: Slots,
    edges: Edges,
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
        let sphere = Sphere::new(options.frequency)?;
        if !(1..=MAX_THREADS).contains(&options.threads) {
            return Err(NewWorldError::Threads(options.threads));
        }
        // In a small world waking a second thread costs more than it saves.
        let acting = sphere.cells() as usize / usize::from(options.ruleset.beat);
        let parallel = options.threads > 1 && acting > 2 * TASK_CELLS;
        Ok(World {
            sphere,
            ruleset_hash: options.ruleset.hash(),
            tables: Tables::new(&options.ruleset),
            pool: parallel.then(|| pool::of_size(options.threads)).transpose()?,
            rows: Rows::new(sphere, 0)?,
            ticker: Mutex::default(),
            options,
        })
    }

    /// Bytes that a world of this frequency takes.
    pub fn bytes(sphere: Sphere) -> u64 {
        Rows::bytes(sphere)
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
    pub fn tick(&self) -> u64 {
        self.rows.published()
    }

    /// Makes the first state; returns early, with `done: false`, once `go_on` says no.
    pub fn generate(&self, mut go_on: impl FnMut() -> bool + Send) -> Result<Progress, Busy> {
        let mut ticker = self.ticker()?;
        let ticker = &mut *ticker;
        self.on_pool(|| self.generate_rows(ticker, &mut go_on));
        Ok(Progress { tick: self.tick(), done: ticker.generated == self.sphere.rows() })
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
                for &row in rows {
                    let mut cells = self.rows.initial(row);
                    for col in 0..self.sphere.row_len(row) {
                        let (kind, amount) = generator.cell(position(self.sphere, Site { row, col }));
                        cells.codes[col as usize] = self.tables.code(kind, amount);
                        cells.amounts[col as usize] = amount;
                    }
                }
            });
            ticker.generated = end;
            if !go_on() {
                return;
            }
        }
    }

    /// Starts from given cells, in id order, instead of generated ones.
    pub fn fill(&self, kinds: &[u8], amounts: &[u16]) -> Result<(), FillError> {
        let mut ticker = self.ticker.lock().unwrap_or_else(PoisonError::into_inner);
        if self.tick() != 0 || ticker.acted != 0 {
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
        let mut cell = 0;
        for row in 0..self.sphere.rows() {
            let mut cells = self.rows.initial(row);
            for col in 0..cells.codes.len() {
                cells.codes[col] = self.tables.code(kinds[cell], amounts[cell]);
                cells.amounts[col] = amounts[cell];
                cell += 1;
            }
        }
        ticker.generated = self.sphere.rows();
        Ok(())
    }

    /// Ticks until `target` is published; a target that has passed is done at once. `go_on` is asked
    /// every millisecond or so of work: when it says no, the call returns with `done: false`, and the
    /// tick it was in goes on where it stopped when the world is advanced again.
    pub fn advance(&self, target: u64, mut go_on: impl FnMut() -> bool + Send) -> Result<Progress, Busy> {
        let mut ticker = self.ticker()?;
        let ticker = &mut *ticker;
        Ok(self.on_pool(|| self.tick_until(target, ticker, &mut go_on)))
    }

    fn tick_until(&self, target: u64, ticker: &mut Ticker, go_on: &mut impl FnMut() -> bool) -> Progress {
        self.generate_rows(ticker, go_on);
        let stopped = |tick| Progress { tick, done: tick >= target };
        if ticker.generated < self.sphere.rows() {
            return Progress { tick: self.tick(), done: false };
        }
        let (seed, beat) = (self.options.seed, self.options.ruleset.beat);
        let mut tick = self.tick();
        while tick < target {
            let acting = ticker.slots.acting(seed, beat, self.sphere.rows(), tick);
            ticker.edges.copy(&self.rows, self.sphere, tick);
            let step = Step { world: self, tick, edges: &ticker.edges };
            while ticker.acted < acting.len() {
                let end = acting.len().min(ticker.acted + self.batch_rows());
                self.for_rows(&acting[ticker.acted..end], |rows| {
                    let mut scratch = Scratch::new(self.sphere);
                    rows.iter().for_each(|&row| step.act(row, &mut scratch));
                });
                ticker.acted = end;
                if end < acting.len() && !go_on() {
                    return stopped(tick);
                }
            }
            ticker.acted = 0;
            tick += 1;
            self.rows.publish(tick);
            if !go_on() {
                break;
            }
        }
        stopped(tick)
    }

    fn ticker(&self) -> Result<MutexGuard<'_, Ticker>, Busy> {
        match self.ticker.try_lock() {
            Ok(ticker) => Ok(ticker),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(Busy),
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

    /// Kind and amount of `ids`, all at one published tick, which comes first. Never waits for a tick.
    pub fn cells(&self, ids: &[u32]) -> Result<(u64, Vec<(u8, u16)>), ReadError> {
        if let Some(&id) = ids.iter().find(|&&id| id >= self.sphere.cells()) {
            return Err(ReadError::NoSuchCell(id));
        }
        for _ in 0..64 {
            let tick = self.tick();
            let cell = |&id: &u32| {
                let Site { row, col } = self.sphere.site(id);
                let col = col as usize;
                self.rows.try_read(row, tick, |cells| (cells.codes[col] & 7, cells.amounts[col]))
            };
            if let Some(cells) = ids.iter().map(cell).collect() {
                return Ok((tick, cells));
            }
            std::thread::yield_now();
        }
        Err(ReadError::Busy)
    }

    /// Runs `read` while nothing ticks: it sees one tick's state throughout.
    pub(crate) fn at_rest<T>(&self, read: impl FnOnce(u64) -> T) -> Result<T, Busy> {
        let _ticker = self.ticker()?;
        Ok(read(self.tick()))
    }

    /// Like [`Iterator::map`] over `0..n`, on the pool if there is one; results in order.
    pub(crate) fn map<T: Send>(&self, n: u32, each: impl Fn(u32) -> T + Sync + Send) -> Vec<T> {
        match &self.pool {
            Some(pool) => pool.install(|| (0..n).into_par_iter().map(each).collect()),
            None => (0..n).map(each).collect(),
        }
    }

    /// Kinds and amounts of all cells in id order, and the tick they are of.
    pub fn planes(&self) -> Result<(u64, Vec<u8>, Vec<u16>), Busy> {
        self.at_rest(|tick| {
            let cells = self.sphere.cells() as usize;
            let (mut kinds, mut amounts) = (Vec::with_capacity(cells), Vec::with_capacity(cells));
            for row in 0..self.sphere.rows() {
                let cells = self.rows.read(row, tick);
                kinds.extend(cells.codes.iter().map(|code| code & 7));
                amounts.extend_from_slice(&cells.amounts);
            }
            (tick, kinds, amounts)
        })
    }

    /// Takes up to `count` from a cell between two ticks and returns what it gave. At amount 0 the
    /// cell becomes what its kind is spent to. `cell` must exist.
    pub fn harvest(&mut self, cell: u32, count: u16) -> u16 {
        let Site { row, col } = self.sphere.site(cell);
        let col = col as usize;
        // Rows of a paused tick were computed from what is changed here: they must act again.
        self.ticker.get_mut().unwrap_or_else(PoisonError::into_inner).acted = 0;
        let mut cells = self.rows.initial(row);
        let given = count.min(cells.amounts[col]);
        let left = cells.amounts[col] - given;
        let kind = cells.codes[col] & 7;
        let kind = if left == 0 { self.options.ruleset.kinds[usize::from(kind)].spent } else { kind };
        cells.amounts[col] = left;
        cells.codes[col] = self.tables.code(kind, left);
        given
    }
}
