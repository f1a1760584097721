//! Counter-based random numbers: pure functions of a seed and the place they are used at, so that
//! any row of any tick can be computed by anybody, in any order.

/// The finaliser of SplitMix64 (Steele, Lea, Flood, 2014): a bijection of 64 bits.
#[inline]
pub fn mix64(mut x: u64) -> u64 {
    x ^= x >> 30;
    x = x.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x ^= x >> 27;
    x = x.wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A 64-bit key for the place `(a, b)`; `salt` separates what the key is used for.
#[inline]
pub fn key(seed: u64, a: u64, b: u64, salt: u64) -> u64 {
    let place = a.wrapping_mul(0xD1B5_4A32_D192_ED03) ^ b.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let stream = mix64(seed.wrapping_add(salt.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    mix64(stream ^ mix64(place))
}

/// A bijection of 16 bits, cheap in 16-bit vector lanes.
#[inline]
pub fn mix16(mut x: u16) -> u16 {
    x ^= x >> 8;
    x = x.wrapping_mul(0x88B5);
    x ^= x >> 7;
    x = x.wrapping_mul(0xDB2D);
    x ^ (x >> 9)
}

/// The dice of the two columns `2m` and `2m + 1` of the row with key `row_key`.
///
/// The low bytes of the pair are the bytes A and B of the even column, the high bytes those of the
/// odd one; A holds the nibbles z0 (low) and z1 (high), B holds z2 and z3.
#[inline]
pub fn dice_pair(row_key: u64, m: u16) -> (u16, u16) {
    let x = mix16(m.wrapping_add(row_key as u16)) ^ (row_key >> 32) as u16;
    let y = mix16(m.wrapping_add((row_key >> 16) as u16)) ^ (row_key >> 48) as u16;
    (x, y)
}

/// The four nibbles of the cell in column `j` of the row with key `row_key`.
#[inline]
pub fn dice(row_key: u64, j: u32) -> [u8; 4] {
    let (x, y) = dice_pair(row_key, (j >> 1) as u16);
    let shift = (j & 1) * 8;
    let (a, b) = ((x >> shift) as u8, (y >> shift) as u8);
    [a & 15, a >> 4, b & 15, b >> 4]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixers_are_bijections_where_it_can_be_seen() {
        let mut seen = vec![false; 1 << 16];
        for x in 0..=u16::MAX {
            assert!(!std::mem::replace(&mut seen[usize::from(mix16(x))], true));
        }
    }

    /// Pearson's chi-square over 16 faces; 15 degrees of freedom, 44.3 is the 0.01 % point.
    #[test]
    fn nibbles_are_fair() {
        let mut faces = [[0u32; 16]; 4];
        let draws = 80_000;
        for n in 0..draws {
            let z = dice(key(3, u64::from(n / 400), 17, 0), n % 400);
            for (face, q) in faces.iter_mut().zip(z) {
                face[usize::from(q)] += 1;
            }
        }
        let expected = f64::from(draws) / 16.0;
        for face in faces {
            let chi: f64 = face.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
            assert!(chi < 44.3, "chi-square {chi}");
        }
    }
}
