//! Copying a world out of its memory, and making one from a snapshot.

use hexworld::snapshot::{Capture, RestoreError};
use rustler::{Binary, Encoder, Env, LocalPid, Reference, Resource, ResourceArc, Term};

use super::{Handle, error, read_error};
use crate::atoms;

/// A copy of a world; freed on a thread of its own if it is large, as a world is.
pub struct Captured(Option<Capture>);

#[rustler::resource_impl]
impl Resource for Captured {}

impl Captured {
    /// What was copied.
    pub fn capture(&self) -> &Capture {
        self.0.as_ref().expect("taken only when dropped")
    }
}

impl Drop for Captured {
    fn drop(&mut self) {
        let capture = self.0.take();
        let many = super::MAX_CELLS_FREED_AT_ONCE as usize;
        if capture.as_ref().is_some_and(|capture| capture.contents().kinds().len() > many) {
            let _ = std::thread::Builder::new().spawn(move || drop(capture));
        }
    }
}

/// Copies the published state, of which no tick may be published until `{:captured, ref}` is sent to `pid`; with nil
/// in its place, until this returns. `{:ok, capture}`, or `{:error, :busy}` if it is to be tried again.
#[rustler::nif(schedule = "DirtyCpu")]
fn world_capture<'a>(
    env: Env<'a>,
    handle: ResourceArc<Handle>,
    pid: Option<LocalPid>,
    reference: Reference<'a>,
) -> Term<'a> {
    let resume = || {
        if let Some(pid) = pid {
            // Whoever waits also ends its wait when the caller is gone.
            let _ = env.send(&pid, (atoms::captured(), reference));
        }
    };
    match handle.world().map(|world| world.capture(resume)) {
        Ok(Ok(capture)) => (atoms::ok(), ResourceArc::new(Captured(Some(capture)))).encode(env),
        Ok(Err(fault)) => read_error(env, fault),
        Err(closed) => error(env, closed),
    }
}

/// Makes the first state of a fresh world from a snapshot of one with the same options: `{:ok, tick}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn world_restore<'a>(env: Env<'a>, handle: ResourceArc<Handle>, snapshot: Binary) -> Term<'a> {
    match handle.world().map(|world| world.restore(&snapshot)) {
        Ok(Ok(tick)) => (atoms::ok(), tick).encode(env),
        Ok(Err(fault)) => error(env, restore_error(env, &fault)),
        Err(closed) => error(env, closed),
    }
}

fn restore_error<'a>(env: Env<'a>, fault: &RestoreError) -> Term<'a> {
    match fault {
        RestoreError::Memory(fault) if fault.out_of_files() => {
            (atoms::no_shared_memory(), fault.to_string()).encode(env)
        }
        RestoreError::Memory(_) => atoms::out_of_memory().encode(env),
        fault => (atoms::invalid_snapshot(), fault.to_string()).encode(env),
    }
}
