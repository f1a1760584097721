//! `world_*`: worlds in the memory of the BEAM, as resources.

mod objects;
mod snapshots;

pub use snapshots::Captured;

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hexworld::diff::DiffError;
use hexworld::{NewWorldError, ReadError, World, WorldOptions, WriteError};
use rustler::{
    Atom, Binary, Encoder, Env, LocalPid, Monitor, NewBinary, NifResult, Resource, ResourceArc, Term,
};
use shm::handover::HandoverError;

use crate::ring::{self, Ring};
use crate::{atoms, ruleset};

/// Ids that may be read on a normal scheduler, far below a millisecond.
const MAX_IDS_AT_ONCE: usize = 256;

/// Cells of a world that may be freed on a normal scheduler, far below a millisecond.
const MAX_CELLS_FREED_AT_ONCE: u32 = 10_000;

/// A world that gives its memory back on a thread of its own if it is large: the last reference may be
/// dropped by garbage collection or by a reader, on a normal scheduler, which must not be held that long.
struct Owned(Option<World>);

impl Deref for Owned {
    type Target = World;

    fn deref(&self) -> &World {
        self.0.as_ref().expect("taken only when dropped")
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let world = self.0.take();
        if world.as_ref().is_some_and(|world| world.sphere().cells() > MAX_CELLS_FREED_AT_ONCE) {
            // If no thread can be had the world is dropped here after all.
            let _ = std::thread::Builder::new().spawn(move || drop(world));
        }
    }
}

/// A world until it is closed, or until the process that made it ends.
struct Handle(Mutex<Option<Arc<Owned>>>);

#[rustler::resource_impl]
impl Resource for Handle {
    const IMPLEMENTS_DOWN: bool = true;

    fn down<'a>(&'a self, _: Env<'a>, _: LocalPid, _: Monitor) {
        drop(self.take());
    }
}

impl Handle {
    fn world(&self) -> Result<Arc<Owned>, Atom> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(atoms::closed())
    }

    fn take(&self) -> Option<Arc<Owned>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// True until `slice_us` have passed.
fn until(slice_us: u64) -> impl FnMut() -> bool + Send {
    let start = Instant::now();
    let slice = Duration::from_micros(slice_us);
    move || start.elapsed() < slice
}

fn error(env: Env, reason: impl Encoder) -> Term {
    (atoms::error(), reason).encode(env)
}

fn read_error(env: Env, fault: ReadError) -> Term {
    match fault {
        ReadError::NoSuchCell(id) => error(env, (atoms::no_such_cell(), id)),
        ReadError::Busy => error(env, atoms::busy()),
        ReadError::Corrupt(_) => error(env, atoms::corrupt_peer()),
    }
}

fn write_error(env: Env, fault: WriteError) -> Term {
    match fault {
        WriteError::Busy => error(env, atoms::busy()),
        WriteError::Fenced(_) => error(env, atoms::closed()),
        WriteError::Corrupt(_) => error(env, atoms::corrupt_peer()),
        WriteError::Full => error(env, atoms::out_of_memory()),
    }
}

fn new_error(env: Env, fault: NewWorldError) -> Term {
    match fault {
        NewWorldError::Sphere(_) => error(env, atoms::out_of_range()),
        fault if fault.out_of_files() => error(env, (atoms::no_shared_memory(), fault.to_string())),
        NewWorldError::Memory(_) | NewWorldError::Cards(_) | NewWorldError::Segments(_) => {
            error(env, atoms::out_of_memory())
        }
        NewWorldError::Threads(_) | NewWorldError::Pool(_) => error(env, atoms::threads()),
    }
}

/// Makes a world that has still to be generated or filled, in memory that can be handed to another process or
/// in memory of this one. It is closed when the calling process ends.
#[rustler::nif(schedule = "DirtyCpu")]
fn world_new<'a>(
    env: Env<'a>,
    frequency: u32,
    seed: u64,
    text: Binary,
    threads: usize,
    shared: bool,
) -> Term<'a> {
    let ruleset = match ruleset::parse(&text) {
        Ok(ruleset) => ruleset,
        Err(fault) => return ruleset::refused(env, &fault),
    };
    let options = WorldOptions { threads, ..WorldOptions::new(frequency, seed, ruleset) };
    match if shared { World::shared(options) } else { World::new(options) } {
        Ok(world) => {
            let handle = ResourceArc::new(Handle(Mutex::new(Some(Arc::new(Owned(Some(world)))))));
            env.monitor(&handle, &env.pid());
            (atoms::ok(), handle).encode(env)
        }
        Err(fault) => new_error(env, fault),
    }
}

/// Generates for about `slice_us`: `{:ok, done?}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn world_generate<'a>(env: Env<'a>, handle: ResourceArc<Handle>, slice_us: u64) -> Term<'a> {
    match handle.world().map(|world| world.generate(until(slice_us))) {
        Ok(Ok(progress)) => (atoms::ok(), progress.done).encode(env),
        Ok(Err(fault)) => write_error(env, fault),
        Err(closed) => error(env, closed),
    }
}

/// Starts from given cells; amounts are little-endian u16.
#[rustler::nif(schedule = "DirtyCpu")]
fn world_fill<'a>(env: Env<'a>, handle: ResourceArc<Handle>, kinds: Binary, amounts: Binary) -> Term<'a> {
    match handle.world().map(|world| world.fill(&kinds, &amounts_from(&amounts))) {
        Ok(Ok(())) => atoms::ok().encode(env),
        Ok(Err(fault)) => error(env, (atoms::wrong_cells(), fault.to_string())),
        Err(closed) => error(env, closed),
    }
}

/// Ticks towards `target` for about `slice_us`: `{:ok, tick, done?}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn world_advance<'a>(env: Env<'a>, handle: ResourceArc<Handle>, target: u64, slice_us: u64) -> Term<'a> {
    match handle.world().map(|world| world.advance(target, until(slice_us))) {
        Ok(Ok(progress)) => (atoms::ok(), progress.tick, progress.done).encode(env),
        Ok(Err(fault)) => write_error(env, fault),
        Err(closed) => error(env, closed),
    }
}

/// The last published tick.
#[rustler::nif]
fn world_tick<'a>(env: Env<'a>, handle: ResourceArc<Handle>) -> Term<'a> {
    match handle.world() {
        Ok(world) => match world.tick() {
            Ok(tick) => (atoms::ok(), tick).encode(env),
            Err(corrupt) => read_error(env, corrupt.into()),
        },
        Err(closed) => error(env, closed),
    }
}

/// Kinds and amounts of at most 256 ids: `{:ok, tick, [{kind, amount}]}`.
#[rustler::nif]
fn world_cells<'a>(env: Env<'a>, handle: ResourceArc<Handle>, ids: Vec<u32>) -> NifResult<Term<'a>> {
    if ids.len() > MAX_IDS_AT_ONCE {
        return Err(rustler::Error::BadArg);
    }
    Ok(read_cells(env, &handle, &ids))
}

/// The same for any number of ids.
#[rustler::nif(schedule = "DirtyCpu")]
fn world_cells_many<'a>(env: Env<'a>, handle: ResourceArc<Handle>, ids: Vec<u32>) -> Term<'a> {
    read_cells(env, &handle, &ids)
}

fn read_cells<'a>(env: Env<'a>, handle: &Handle, ids: &[u32]) -> Term<'a> {
    match handle.world().map(|world| world.cells(ids)) {
        Ok(Ok((tick, cells))) => (atoms::ok(), tick, cells).encode(env),
        Ok(Err(fault)) => read_error(env, fault),
        Err(closed) => error(env, closed),
    }
}

/// The canonical digest of the published state.
#[rustler::nif(schedule = "DirtyCpu")]
fn world_digest<'a>(env: Env<'a>, handle: ResourceArc<Handle>) -> Term<'a> {
    match handle.world().map(|world| world.digest()) {
        Ok(Ok(digest)) => (atoms::ok(), binary(env, &digest)).encode(env),
        Ok(Err(fault)) => write_error(env, fault),
        Err(closed) => error(env, closed),
    }
}

/// All cells in id order: `{:ok, tick, kinds, amounts}`, amounts as little-endian u16.
#[rustler::nif(schedule = "DirtyCpu")]
fn world_planes<'a>(env: Env<'a>, handle: ResourceArc<Handle>) -> Term<'a> {
    match handle.world().map(|world| world.planes()) {
        Ok(Ok((tick, kinds, amounts))) => {
            let mut kind_bytes = NewBinary::new(env, kinds.len());
            kind_bytes.as_mut_slice().copy_from_slice(&kinds);
            let mut amount_bytes = NewBinary::new(env, 2 * amounts.len());
            for (bytes, amount) in amount_bytes.as_mut_slice().chunks_exact_mut(2).zip(amounts) {
                bytes.copy_from_slice(&amount.to_le_bytes());
            }
            (atoms::ok(), tick, Binary::from(kind_bytes), Binary::from(amount_bytes)).encode(env)
        }
        Ok(Err(fault)) => read_error(env, fault),
        Err(closed) => error(env, closed),
    }
}

/// What has changed since a tick: `{:ok, diff}`, `{:error, {:future, tick}}` or `{:error, :too_old}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn world_diff<'a>(env: Env<'a>, handle: ResourceArc<Handle>, since: u64) -> Term<'a> {
    match handle.world().map(|world| world.diff(since)) {
        Ok(Ok(diff)) => (atoms::ok(), binary(env, &diff)).encode(env),
        Ok(Err(DiffError::Future { tick, .. })) => error(env, (atoms::future(), tick)),
        Ok(Err(DiffError::TooOld { .. })) => error(env, atoms::too_old()),
        Ok(Err(DiffError::Read(fault))) => read_error(env, fault),
        Err(closed) => error(env, closed),
    }
}

/// Whether a world's memory is what it must be, while nobody advances it: `{:ok, tick, ready?}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn world_check<'a>(env: Env<'a>, handle: ResourceArc<Handle>) -> Term<'a> {
    match handle.world().map(|world| world.check()) {
        Ok(Ok((tick, ready))) => (atoms::ok(), tick, ready).encode(env),
        Ok(Err(corrupt)) => read_error(env, corrupt.into()),
        Err(closed) => error(env, closed),
    }
}

/// Sends a world's memory to the worker of a ring, under a number of the world's own. As
/// [`ring::handed_over`].
#[rustler::nif(schedule = "DirtyIo")]
fn world_handover<'a>(
    env: Env<'a>,
    handle: ResourceArc<Handle>,
    ring: ResourceArc<Ring>,
    id: u64,
) -> Term<'a> {
    hand_over(env, &handle, &ring, id, usize::MAX)
}

/// The same for the last `count` segments, which have been made since.
#[rustler::nif(schedule = "DirtyIo")]
fn world_handover_extents<'a>(
    env: Env<'a>,
    handle: ResourceArc<Handle>,
    ring: ResourceArc<Ring>,
    id: u64,
    count: usize,
) -> Term<'a> {
    hand_over(env, &handle, &ring, id, count)
}

fn hand_over<'a>(env: Env<'a>, handle: &Handle, ring: &Ring, id: u64, count: usize) -> Term<'a> {
    match handle.world() {
        Ok(world) => {
            let segments = world.segments();
            let last = &segments[segments.len().saturating_sub(count)..];
            let fds: Option<Vec<_>> =
                last.iter().map(|segment| Some((segment.fd()?, segment.len()))).collect();
            ring::handed_over(env, fds.map_or(Err(HandoverError::Closed), |fds| ring.hand_over(id, &fds)))
        }
        Err(closed) => error(env, closed),
    }
}

/// Forbids the process that advanced the world, which is dead, to do so if it comes back.
#[rustler::nif]
fn world_fence(handle: ResourceArc<Handle>) -> Atom {
    if let Ok(world) = handle.world() {
        world.fence_off();
    }
    atoms::ok()
}

/// Gives `handle` the world of `other`, which is empty then. Whoever reads goes on with that one.
#[rustler::nif(schedule = "DirtyCpu")]
fn world_replace(handle: ResourceArc<Handle>, other: ResourceArc<Handle>) -> Atom {
    let Some(world) = other.take() else { return atoms::closed() };
    let mut place = handle.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(old) = &*place {
        world.takes_over(old);
    }
    let old = place.replace(world);
    drop(place);
    drop(old);
    atoms::ok()
}

/// Gives the memory back; every later call answers `{:error, :closed}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn world_close(handle: ResourceArc<Handle>) -> Atom {
    drop(handle.take());
    atoms::ok()
}

/// Bytes that a world of this frequency takes, or 0 if there is none.
#[rustler::nif]
fn world_bytes(frequency: u32) -> u64 {
    hexworld::Sphere::new(frequency).map_or(0, World::bytes)
}

pub fn binary<'a>(env: Env<'a>, bytes: &[u8]) -> Binary<'a> {
    let mut binary = NewBinary::new(env, bytes.len());
    binary.as_mut_slice().copy_from_slice(bytes);
    binary.into()
}

/// Amounts from little-endian bytes; an odd last byte is left out, which makes the plane too short.
pub fn amounts_from(bytes: &[u8]) -> Vec<u16> {
    bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
}
