//! How fast requests come from each address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::limits::{Bucket, party};

/// The most addresses that are known at a time: some megabytes.
const MOST: usize = 65_536;

/// When there are too many, those who have not asked for long are looked for so often, in milliseconds.
const LOOK_MS: u64 = 100;

/// A bucket for each address that has asked lately. One that is full again is as good as none and is forgotten, so
/// that many addresses cost no memory for long; while there are too many of them, new ones are not counted.
#[derive(Debug)]
pub struct Rates {
    rate: u64,
    burst: u64,
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    buckets: HashMap<IpAddr, Bucket>,
    looked_ms: u64,
}

impl Rates {
    /// So many in a second, and so many at once.
    pub fn new(rate: u64, burst: u64) -> Self {
        Rates { rate, burst, most: MOST, state: Mutex::default() }
    }

    /// Whether this address may ask once more for now.
    pub fn take(&self, address: IpAddr, now_ms: u64) -> bool {
        let address = party(address);
        // Nothing panics while it holds the lock.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = state.buckets.get_mut(&address) {
            return bucket.take(self.rate, self.burst, now_ms);
        }
        if state.buckets.len() == state.buckets.capacity() || state.buckets.len() >= self.most {
            self.forget(&mut state, now_ms);
        }
        if state.buckets.len() < self.most {
            let mut bucket = Bucket::full(self.burst, now_ms);
            bucket.take(self.rate, self.burst, now_ms);
            state.buckets.insert(address, bucket);
        }
        true
    }

    fn forget(&self, state: &mut State, now_ms: u64) {
        if now_ms < state.looked_ms + LOOK_MS {
            return;
        }
        state.looked_ms = now_ms;
        state.buckets.retain(|_, bucket| !bucket.is_full(self.rate, self.burst, now_ms));
        if state.buckets.len() < state.buckets.capacity() / 4 {
            state.buckets.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_rate() {
        let rates = Rates::new(1, 2);
        let [one, other] = [1, 2].map(|n| IpAddr::from([10, 0, 0, n]));
        assert_eq!([1, 1, 1].map(|now| rates.take(one, now)), [true, true, false]);
        assert!(rates.take(other, 1));
        assert!(rates.take(one, 1001));
    }

    #[test]
    fn addresses_are_forgotten_when_they_are_quiet() {
        let rates = Rates { most: 8, ..Rates::new(10, 1) };
        let address = |n: u8| IpAddr::from([10, 0, 0, n]);
        for n in 0..20 {
            assert!(rates.take(address(n), 1000));
        }
        let known = || rates.state.lock().unwrap().buckets.len();
        assert_eq!(known(), 8);
        // Those who are known are held to their rate, and there is no room for others yet.
        assert!(!rates.take(address(0), 1050));
        assert!(rates.take(address(20), 1050));
        assert_eq!(known(), 8);
        assert!(rates.take(address(21), 1500));
        assert_eq!(known(), 1);
    }
}
