//! Who may have the reply of a parked call: the waiter, whoever declares the service dead, or the caller
//! after all. Words that the other side cannot write decide, so a broken service cannot complete what nobody
//! waits for, nor complete anything twice.
//!
//! Parking and declaring dead are Dekker's pattern: each stores its word, puts a `SeqCst` fence, and loads
//! the other's. So a call that parks while the service is declared dead is swept up by the one or found by
//! the other, and one atomic step picks one if both see it.

use std::sync::atomic::Ordering::{AcqRel, Relaxed};

use crate::sync::{Parker, Word32};

/// A view of a slot's private word and of the client's. The slot's word counts, and is odd while the call is
/// parked, so a caller that comes late does not take the claim of the slot's next use.
#[derive(Debug)]
pub struct Claim<'a, W, P> {
    parked: &'a W,
    down: &'a W,
    parker: &'a P,
}

/// One use of a slot's claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer(u32);

impl<'a, W: Word32, P: Parker<W>> Claim<'a, W, P> {
    /// A view of both words, which are zero at first.
    pub fn new(parked: &'a W, down: &'a W, parker: &'a P) -> Self {
        Claim { parked, down, parker }
    }

    /// The caller offers the reply to others. Whatever they need to know has been noted before.
    pub fn offer(&self) -> Offer {
        let count = self.parked.load(Relaxed).wrapping_add(1);
        self.parked.swap(count, AcqRel);
        Offer(count)
    }

    /// Takes the reply of the parked call, if there is one; only one of all that try succeeds.
    pub fn take(&self) -> bool {
        let count = self.parked.load(Relaxed);
        !count.is_multiple_of(2) && self.take_back(Offer(count))
    }

    /// The same for the caller, who knows which call it was.
    pub fn take_back(&self, offer: Offer) -> bool {
        self.parked.compare_exchange(offer.0, offer.0.wrapping_add(1), AcqRel, Relaxed).is_ok()
    }

    /// The caller, after it has parked: false if the service is dead and the caller itself is to see to it.
    pub fn settle(&self, offer: Offer) -> bool {
        self.parker.fence();
        self.down.load(Relaxed) == 0 || !self.take_back(offer)
    }

    /// Declares the service dead; every slot is to be [taken](Claim::take) after.
    pub fn declare_dead(down: &W, parker: &P) {
        down.swap(1, AcqRel);
        parker.fence();
    }
}
