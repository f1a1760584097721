//! The worlds that this process ticks.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use hexworld::World;

/// Worlds by the id that the BEAM gave them.
#[derive(Debug, Default)]
pub struct Worlds(RwLock<HashMap<u64, Arc<World>>>);

impl Worlds {
    /// The world of this id.
    pub fn get(&self, id: u64) -> Option<Arc<World>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Takes a world on, in the place of one of the same id.
    pub fn put(&self, id: u64, world: World) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::new(world));
    }

    /// Lets go of a world; its memory lives on with whoever else has it.
    pub fn remove(&self, id: u64) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}
