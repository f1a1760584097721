//! A doorbell: a word that says whether its owner is awake, so that ringing an awake one costs no system
//! call.
//!
//! The owner says *asleep*, looks once more for work, and sleeps only if there is none. A ringer publishes
//! work, and wakes the owner only if the word says asleep. Both put a `SeqCst` fence between their store and
//! their load (Dekker's pattern), so at least one of them sees the other's store: no wake-up is lost.

use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::time::Duration;

use crate::sync::{Parker, Word32};

const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;

/// A view of a bell's word. A fresh word is zero: awake.
#[derive(Debug)]
pub struct Bell<'a, W, P> {
    word: &'a W,
    parker: &'a P,
}

/// What a ring did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rung {
    /// The owner was awake, no system call was made.
    Awake,
    /// The owner was asleep and has been woken.
    Woken,
}

impl<'a, W: Word32, P: Parker<W>> Bell<'a, W, P> {
    /// A bell over `word`, whose owner sleeps by `parker`.
    pub fn new(word: &'a W, parker: &'a P) -> Self {
        Bell { word, parker }
    }

    /// Sleeps until rung, at most `timeout`, unless `has_work` says at once that there is some. May return
    /// early for no reason. Only the owner calls this.
    pub fn sleep(&self, timeout: Option<Duration>, has_work: impl FnOnce() -> bool) {
        // Read-modify-write, as in `ring`: all changes of the word are then in one order that both sides see.
        self.word.swap(ASLEEP, AcqRel);
        self.parker.fence();
        if !has_work() {
            self.parker.park(self.word, ASLEEP, timeout);
        }
        self.word.swap(AWAKE, AcqRel);
    }

    /// Tells the owner that there is work, which has been published before.
    pub fn ring(&self) -> Rung {
        self.parker.fence();
        if self.word.load(Relaxed) == ASLEEP && self.word.swap(AWAKE, AcqRel) == ASLEEP {
            self.parker.unpark(self.word);
            return Rung::Woken;
        }
        Rung::Awake
    }

    /// True if ringing would cost no system call.
    pub fn is_awake(&self) -> bool {
        self.word.load(Relaxed) == AWAKE
    }
}
