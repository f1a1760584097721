//! What lies behind the world: a deep sky, stars, and the air that shines around the limb.

use crate::colour::{Rgb, smoothstep};
use crate::shade::SUN;

/// The sky is cut in squares of which each holds at most one star: this many along a side, but fewer
/// in a small picture, where a star's pixel is a large share of the sky.
const SQUARES: u32 = 36;

/// How far the air reaches, in radii of the world.
const AIR: f32 = 0.03;

/// The sky behind the world.
pub(crate) struct Sky {
    deep: Rgb,
    high: Rgb,
    air: Rgb,
    size: u32,
    squares: u32,
    /// The spread of a star in pixels.
    spread: f32,
}

impl Sky {
    pub fn new(size: u32) -> Self {
        Self {
            deep: Rgb::hex(0x04050b),
            high: Rgb::hex(0x090d1c),
            air: Rgb::hex(0x6aaeff),
            size,
            squares: (size / 14).min(SQUARES),
            spread: (0.75 * size as f32 / 1024.0).max(0.55),
        }
    }

    /// The light at `(u, v)`, in radii of the world from its centre.
    pub fn air(&self, u: f32, v: f32) -> Rgb {
        let r = (u * u + v * v).sqrt();
        let height = (r - 1.0).max(0.0) / AIR;
        let facing = (u * SUN[0] + v * SUN[1]) / r.max(1e-6);
        let lit = 0.07 + 0.93 * smoothstep(-0.55, 0.9, facing);
        let thick = 0.5 * (-1.7 * height).exp() + 0.035 * (-0.30 * height).exp();
        let base = self.deep.mix(self.high, smoothstep(-1.6, 1.6, facing * r));
        base + self.air * (thick * lit)
    }

    /// The starlight in the pixel `(x, y)`.
    pub fn star(&self, x: u32, y: u32) -> Rgb {
        let side = self.size as f32 / self.squares as f32;
        let (px, py) = (x as f32 + 0.5, y as f32 + 0.5);
        let square = ((py / side) as u32) * self.squares + (px / side) as u32;
        let dice = hash(square);
        if dice & 7 > 1 {
            return Rgb::BLACK;
        }
        // Stars keep away from the border of their square, so one square is enough to look at.
        let place = |bits: u32, origin: u32| (origin as f32 + 0.2 + 0.6 * unit(bits)) * side;
        let dx = px - place(dice >> 8, square % self.squares);
        let dy = py - place(hash(dice), square / self.squares);
        let bright = unit(hash(dice ^ 0x5bd1));
        let light = 0.03 + 0.5 * bright * bright * bright * bright;
        let tint = Rgb::hex(0xffe2c4).mix(Rgb::hex(0xbcd4ff), unit(hash(dice ^ 0x77)));
        tint * (light * (-(dx * dx + dy * dy) / (2.0 * self.spread * self.spread)).exp())
    }
}

/// A number that looks random, the same on every machine.
pub(crate) fn hash(n: u32) -> u32 {
    let mut x = n.wrapping_add(0x9e37_79b9);
    x = (x ^ x >> 16).wrapping_mul(0x21f0_aaad);
    x = (x ^ x >> 15).wrapping_mul(0x735a_2d97);
    x ^ x >> 15
}

/// The low 16 bits as a number in `0..1`.
pub(crate) fn unit(bits: u32) -> f32 {
    (bits & 0xffff) as f32 / 65536.0
}
