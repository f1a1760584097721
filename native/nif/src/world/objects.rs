//! Actions on a world, and what stands on it: machines, players and outcomes, as canonical bytes.

use hexworld::factory::{BatchError, PlayerOutcome, SiteView};
use rustler::{Binary, Encoder, Env, NifResult, ResourceArc, Term};

use super::{Handle, binary, error, new_error, read_error};
use crate::atoms;

/// Ids that may be read on a normal scheduler, far below a millisecond.
const MAX_IDS_AT_ONCE: usize = 64;

/// Gives a world the actions of `tick`, the next one to be executed.
#[rustler::nif(schedule = "DirtyCpu")]
fn world_act<'a>(env: Env<'a>, handle: ResourceArc<Handle>, tick: u64, batch: Binary) -> Term<'a> {
    match handle.world().map(|world| world.act(tick, &batch)) {
        Ok(Ok(())) => atoms::ok().encode(env),
        Ok(Err(fault)) => batch_error(env, fault),
        Err(closed) => error(env, closed),
    }
}

fn batch_error(env: Env, fault: BatchError) -> Term {
    match fault {
        BatchError::NoEconomy => error(env, atoms::no_economy()),
        BatchError::Busy => error(env, atoms::busy()),
        BatchError::Corrupt(_) => error(env, atoms::corrupt_peer()),
        BatchError::Action(_) | BatchError::Early { .. } => {
            error(env, (atoms::invalid_batch(), fault.to_string()))
        }
    }
}

/// Makes room for what that many actions may make: `{:ok, n}`, with the number of new segments.
#[rustler::nif(schedule = "DirtyIo")]
fn world_reserve<'a>(env: Env<'a>, handle: ResourceArc<Handle>, actions: usize) -> Term<'a> {
    match handle.world().map(|world| world.reserve(actions)) {
        Ok(Ok(made)) => (atoms::ok(), made).encode(env),
        Ok(Err(fault)) => new_error(env, fault),
        Err(closed) => error(env, closed),
    }
}

/// At most 64 cells with what is on them: `{:ok, tick, [{kind, amount, machine | nil, owner, grant}]}`.
#[rustler::nif]
fn world_sites<'a>(env: Env<'a>, handle: ResourceArc<Handle>, ids: Vec<u32>) -> NifResult<Term<'a>> {
    if ids.len() > MAX_IDS_AT_ONCE {
        return Err(rustler::Error::BadArg);
    }
    Ok(read_sites(env, &handle, &ids))
}

/// The same for any number of ids.
#[rustler::nif(schedule = "DirtyCpu")]
fn world_sites_many<'a>(env: Env<'a>, handle: ResourceArc<Handle>, ids: Vec<u32>) -> Term<'a> {
    read_sites(env, &handle, &ids)
}

fn read_sites<'a>(env: Env<'a>, handle: &Handle, ids: &[u32]) -> Term<'a> {
    match handle.world().map(|world| world.sites(ids)) {
        Ok(Ok((tick, sites))) => {
            let site = |site: SiteView| {
                let machine = match &site.machine {
                    Some(bytes) => binary(env, bytes).encode(env),
                    None => atoms::nil().encode(env),
                };
                (site.kind, site.amount, machine, site.owner, site.grant)
            };
            (atoms::ok(), tick, sites.into_iter().map(site).collect::<Vec<_>>()).encode(env)
        }
        Ok(Err(fault)) => read_error(env, fault),
        Err(closed) => error(env, closed),
    }
}

/// All players by number: `{:ok, tick, [bytes]}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn world_players<'a>(env: Env<'a>, handle: ResourceArc<Handle>) -> Term<'a> {
    match handle.world().map(|world| world.players()) {
        Ok(Ok((tick, players))) => {
            let players: Vec<Binary> = players.iter().map(|bytes| binary(env, bytes)).collect();
            (atoms::ok(), tick, players).encode(env)
        }
        Ok(Err(fault)) => read_error(env, fault),
        Err(closed) => error(env, closed),
    }
}

/// Outcomes after a tick, in order: `{:ok, [{player, tick, seq, code, id}]}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn world_outcomes<'a>(env: Env<'a>, handle: ResourceArc<Handle>, since: u64) -> Term<'a> {
    match handle.world().map(|world| world.outcomes(since)) {
        Ok(Ok(outcomes)) => {
            let one = |PlayerOutcome { player, outcome }: &PlayerOutcome| {
                (*player, outcome.tick, outcome.seq, outcome.code, binary(env, &outcome.id))
            };
            let outcomes: Vec<_> = outcomes.iter().map(one).collect();
            (atoms::ok(), outcomes).encode(env)
        }
        Ok(Err(fault)) => read_error(env, fault),
        Err(closed) => error(env, closed),
    }
}
