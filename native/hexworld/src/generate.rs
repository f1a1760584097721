//! World generation: value noise in integers over integer positions, so that every machine and
//! every language makes the same world.

use crate::random::{key, mix64};
use crate::ruleset::{Generation, Kind, Ruleset};
use crate::topology::{Site, Sphere};

/// Icosahedron vertices in units of 1/65536 of the radius, 65536 being the centre.
const NORTH: [i64; 3] = [65536, 65536, 131072];
const SOUTH: [i64; 3] = [65536, 65536, 0];
const UPPER: [[i64; 3]; 5] = [
    [124153, 65536, 94845],
    [83650, 121284, 94845],
    [18114, 99990, 94845],
    [18114, 31082, 94845],
    [83650, 9788, 94845],
];
const LOWER: [[i64; 3]; 5] = [
    [112958, 99990, 36227],
    [47422, 121284, 36227],
    [6919, 65536, 36227],
    [47422, 9788, 36227],
    [112958, 31082, 36227],
];

/// A cell's position in 1/256 of (roughly) a cell.
pub fn position(sphere: Sphere, site: Site) -> [i64; 3] {
    let f = i64::from(sphere.frequency());
    if site.row >= 10 * sphere.frequency() {
        let pole = if site.row == 10 * sphere.frequency() { NORTH } else { SOUTH };
        return pole.map(|v| (v * f) >> 8);
    }
    let d = (site.row / sphere.frequency()) as usize;
    let (i, j) = (i64::from(site.row % sphere.frequency()) + 1, i64::from(site.col));
    let (k, next) = (d % 5, (d + 1) % 5);
    let [o, p, q, r] = if d < 5 {
        [NORTH, UPPER[k], UPPER[next], LOWER[k]]
    } else {
        [UPPER[next], LOWER[k], LOWER[next], SOUTH]
    };
    std::array::from_fn(|n| {
        let sum = if i + j <= f {
            o[n] * (f - i - j) + p[n] * i + q[n] * j
        } else {
            r[n] * (i + j - f) + p[n] * (f - j) + q[n] * (f - i)
        };
        sum >> 8
    })
}

/// One octave of value noise, remembering the lattice cube it last looked at: neighbouring cells
/// mostly lie in the same one.
struct Octave {
    stream: u64,
    shift: u32,
    cube: [i64; 3],
    corners: [i64; 8],
}

impl Octave {
    fn new(stream: u64, shift: u32) -> Self {
        Octave { stream, shift, cube: [-1; 3], corners: [0; 8] }
    }

    fn at(&mut self, p: [i64; 3]) -> i64 {
        let cube = p.map(|x| x >> self.shift);
        if cube != self.cube {
            self.cube = cube;
            let [x, y, z] = cube.map(|c| c as u64);
            self.corners = std::array::from_fn(|n| {
                let (x, y, z) = (x + (n as u64 & 1), y + (n as u64 >> 1 & 1), z + (n as u64 >> 2));
                (mix64(self.stream ^ x ^ y << 21 ^ z << 42) >> 48) as i64
            });
        }
        let [u, v, w] = p.map(|x| {
            let t = ((x & ((1 << self.shift) - 1)) << 12) >> self.shift;
            (t * t * (12288 - 2 * t)) >> 24
        });
        let lerp = |a: i64, b: i64, u: i64| a + (((b - a) * u) >> 12);
        let c = &self.corners;
        let y0 = lerp(lerp(c[0], c[1], u), lerp(c[2], c[3], u), v);
        let y1 = lerp(lerp(c[4], c[5], u), lerp(c[6], c[7], u), v);
        lerp(y0, y1, w)
    }
}

/// Octaves from coarse to fine, each half as strong as the one before.
struct Noise<const N: usize>([Octave; N]);

impl<const N: usize> Noise<N> {
    fn new(seed: u64, salt: u64, top: u32) -> Self {
        Noise(std::array::from_fn(|o| Octave::new(key(seed, salt, o as u64, 2), top - o as u32)))
    }

    /// 0…65535.
    fn at(&mut self, p: [i64; 3]) -> i64 {
        let sum: i64 = self.0.iter_mut().enumerate().map(|(o, octave)| octave.at(p) << (N - 1 - o)).sum();
        sum / ((1 << N) - 1)
    }
}

/// Makes the first state of cells, best in the order they lie in.
pub struct Generator<'a> {
    parameters: &'a Generation,
    kinds: &'a [Kind],
    elevation: Noise<5>,
    vein: Noise<3>,
    moisture: Noise<3>,
    charge: Noise<3>,
}

impl<'a> Generator<'a> {
    /// `None` if the ruleset generates nothing: all kind 0 with amount 0.
    pub fn new(ruleset: &'a Ruleset, seed: u64) -> Option<Self> {
        Some(Generator {
            parameters: ruleset.generation.as_ref()?,
            kinds: &ruleset.kinds,
            elevation: Noise::new(seed, 1, 14),
            vein: Noise::new(seed, 2, 12),
            moisture: Noise::new(seed, 3, 12),
            charge: Noise::new(seed, 4, 12),
        })
    }

    /// Kind and amount of the cell at `p`, as [`position`] gives it.
    pub fn cell(&mut self, p: [i64; 3]) -> (u8, u16) {
        let g = self.parameters;
        let cap = |kind: usize| i64::from(self.kinds[kind].cap);
        let over = |x: i64, threshold: u16| x > i64::from(threshold);

        let height = self.elevation.at(p) - i64::from(g.sea);
        if height < 0 {
            return (1, (-height >> 4).clamp(1, cap(1)) as u16);
        }
        let (v, m, c) = (self.vein.at(p), self.moisture.at(p), self.charge.at(p));
        if (v - 32768).abs() < i64::from(g.vein) && over(m, g.ore) {
            let amount = i64::from(g.ore_amount) + ((height >> 4) << 2);
            (4, amount.min(cap(4)) as u16)
        } else if height < i64::from(g.shore) && over(m, g.moss) {
            if over(m, g.thicket) {
                (3, (64 + ((m - i64::from(g.thicket)) >> 6)).min(cap(3)) as u16)
            } else {
                (2, 8)
            }
        } else if over(c, g.crystal) {
            (5, 1 + (v & 31) as u16)
        } else if c < i64::from(g.ember) {
            (6, 20)
        } else if over(m, g.peat) {
            (7, 100)
        } else {
            (0, (v >> 3 & 15) as u16)
        }
    }
}
