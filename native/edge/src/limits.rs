//! How much one client may ask for: connections from an address, messages in a second.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use crate::metrics::Refused;

/// Counts what is open, in all and for each address.
#[derive(Debug)]
pub struct Gate {
    most: u64,
    most_of_one: u64,
    open: Mutex<(u64, HashMap<IpAddr, u64>)>,
}

/// One that is open. Dropping it makes room.
#[derive(Debug)]
pub struct Pass {
    gate: Arc<Gate>,
    address: IpAddr,
}

impl Gate {
    /// A gate for so many in all, and so many of one address.
    pub fn new(most: u64, most_of_one: u64) -> Arc<Self> {
        Arc::new(Gate { most, most_of_one, open: Mutex::default() })
    }

    /// Lets one more in.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Pass, Refused> {
        let address = party(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.0 >= self.most {
            return Err(Refused::MaxConnections);
        }
        let of_one = open.1.entry(address).or_default();
        if *of_one >= self.most_of_one {
            return Err(Refused::PerIp);
        }
        *of_one += 1;
        open.0 += 1;
        Ok(Pass { gate: self.clone(), address })
    }
}

/// Who is behind an address: with IPv6 everybody has as many addresses as a network of 64 bits has.
pub fn party(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut open = self.gate.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.0 -= 1;
        if let Some(of_one) = open.1.get_mut(&self.address) {
            *of_one -= 1;
            if *of_one == 0 {
                open.1.remove(&self.address);
            }
        }
    }
}

/// A token bucket: `burst` at once, refilled by `rate` in a second.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    /// In thousandths of a message.
    tokens: u64,
    filled_ms: u64,
}

impl Bucket {
    /// A full bucket.
    pub fn full(burst: u64, now_ms: u64) -> Self {
        Bucket { tokens: burst.saturating_mul(1000), filled_ms: now_ms }
    }

    /// Whether it is as if nothing had been taken from it.
    pub fn is_full(&self, rate: u64, burst: u64, now_ms: u64) -> bool {
        let passed = now_ms.saturating_sub(self.filled_ms);
        self.tokens.saturating_add(passed.saturating_mul(rate)) >= burst.saturating_mul(1000)
    }

    /// Whether there is one more for now.
    pub fn take(&mut self, rate: u64, burst: u64, now_ms: u64) -> bool {
        let passed = now_ms.saturating_sub(self.filled_ms);
        self.filled_ms = now_ms;
        let filled = self.tokens.saturating_add(passed.saturating_mul(rate));
        self.tokens = filled.min(burst.saturating_mul(1000));
        match self.tokens.checked_sub(1000) {
            Some(left) => {
                self.tokens = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::full(3, 0);
        let mut taken = |now| (0..10).filter(|_| bucket.take(2, 3, now)).count();
        assert_eq!([taken(0), taken(400), taken(500), taken(1500), taken(60_000)], [3, 0, 1, 2, 3]);
    }

    #[test]
    fn a_gate_counts_for_each_address_and_in_all() {
        let gate = Gate::new(3, 2);
        let address = |n: u8| IpAddr::from([127, 0, 0, n]);
        let first = gate.enter(address(1)).unwrap();
        let _second = gate.enter(address(1)).unwrap();
        assert_eq!(gate.enter(address(1)).unwrap_err(), Refused::PerIp);
        let _third = gate.enter(address(2)).unwrap();
        assert_eq!(gate.enter(address(3)).unwrap_err(), Refused::MaxConnections);
        drop(first);
        gate.enter(address(1)).unwrap();
    }

    #[test]
    fn a_network_is_one_address() {
        let party = |text: &str| party(text.parse().unwrap());
        assert_eq!(party("2001:db8:1:2:3::4"), party("2001:db8:1:2:ffff::"));
        assert_ne!(party("2001:db8:1:2::"), party("2001:db8:1:3::"));
        assert_eq!(party("::ffff:10.0.0.1"), party("10.0.0.1"));
    }
}
