//! Linear light, its way from and to sRGB, and mixing as the eye sees it.

use std::ops::{Add, AddAssign, Mul};

/// Linear light, 1 being the brightest the screen shows.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Rgb(pub [f32; 3]);

impl Add for Rgb {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|n| self.0[n] + other.0[n]))
    }
}

impl AddAssign for Rgb {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Mul<f32> for Rgb {
    type Output = Self;

    fn mul(self, factor: f32) -> Self {
        Self(self.0.map(|x| x * factor))
    }
}

impl Mul for Rgb {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        Self(std::array::from_fn(|n| self.0[n] * other.0[n]))
    }
}

impl Rgb {
    pub const BLACK: Self = Self([0.0; 3]);

    /// An sRGB colour as one writes it, `0xRRGGBB`.
    pub fn hex(colour: u32) -> Self {
        Self([16, 8, 0].map(|shift| {
            let x = (colour >> shift & 0xff) as f32 / 255.0;
            if x <= 0.04045 { x / 12.92 } else { ((x + 0.055) / 1.055).powf(2.4) }
        }))
    }

    /// The straight line from `self` to `other`.
    pub fn mix(self, other: Self, t: f32) -> Self {
        self * (1.0 - t) + other * t
    }

    /// The line from `self` to `other` in Oklab, where equal steps look equal and no hue turns muddy.
    pub fn blend(self, other: Self, t: f32) -> Self {
        let (a, b) = (self.to_oklab(), other.to_oklab());
        Self::from_oklab(std::array::from_fn(|n| a[n] + (b[n] - a[n]) * t))
    }

    fn to_oklab(self) -> [f32; 3] {
        let lms = times(&TO_LMS, self.0).map(f32::cbrt);
        times(&TO_LAB, lms)
    }

    fn from_oklab(lab: [f32; 3]) -> Self {
        let lms = times(&FROM_LAB, lab).map(|x| x * x * x);
        Self(times(&FROM_LMS, lms).map(|x| x.max(0.0)))
    }

    /// The sRGB bytes to show, light beyond the screen's range bent back into it. `dither` in
    /// `-0.5..0.5` is added before rounding, so that dark gradients show no steps.
    pub fn encode(self, dither: f32) -> [u8; 3] {
        self.0.map(|x| {
            let x = shoulder(x);
            let x = if x <= 0.0031308 { x * 12.92 } else { 1.055 * x.powf(1.0 / 2.4) - 0.055 };
            (x * 255.0 + dither + 0.5).clamp(0.0, 255.0) as u8
        })
    }
}

/// Leaves light up to `KNEE` as it is and bends the rest so that it never quite reaches 1.
fn shoulder(x: f32) -> f32 {
    const KNEE: f32 = 0.7;
    if x <= KNEE {
        return x.max(0.0);
    }
    let over = (x - KNEE) / (1.0 - KNEE);
    KNEE + (1.0 - KNEE) * over / (1.0 + over)
}

/// 0 up to `from`, 1 beyond `to`, smooth between.
pub(crate) fn smoothstep(from: f32, to: f32, x: f32) -> f32 {
    let t = ((x - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

fn times(matrix: &[[f32; 3]; 3], v: [f32; 3]) -> [f32; 3] {
    matrix.map(|row| row[0] * v[0] + row[1] * v[1] + row[2] * v[2])
}

// Oklab (Björn Ottosson, 2020).
const TO_LMS: [[f32; 3]; 3] = [
    [0.412_221_46, 0.536_332_55, 0.051_445_995],
    [0.211_903_5, 0.680_699_5, 0.107_396_96],
    [0.088_302_46, 0.281_718_85, 0.629_978_7],
];
const TO_LAB: [[f32; 3]; 3] = [
    [0.210_454_26, 0.793_617_8, -0.004_072_047],
    [1.977_998_5, -2.428_592_2, 0.450_593_7],
    [0.025_904_037, 0.782_771_77, -0.808_675_77],
];
const FROM_LAB: [[f32; 3]; 3] = [
    [1.0, 0.396_337_78, 0.215_803_76],
    [1.0, -0.105_561_346, -0.063_854_17],
    [1.0, -0.089_484_18, -1.291_485_5],
];
const FROM_LMS: [[f32; 3]; 3] = [
    [4.076_741_7, -3.307_711_6, 0.230_969_94],
    [-1.268_438, 2.609_757_4, -0.341_319_38],
    [-0.004_196_086_3, -0.703_418_6, 1.707_614_7],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dark_and_middling_colours_survive_the_way_to_linear_light_and_back() {
        for colour in [0x000000, 0x2985bd, 0x4a2300, 0x23474d, 0x9c6d40, 0xd0d0d0] {
            let [r, g, b] = Rgb::hex(colour).encode(0.0).map(u32::from);
            assert_eq!(r << 16 | g << 8 | b, colour);
        }
    }

    #[test]
    fn blending_starts_and_ends_at_the_colours() {
        let (a, b) = (Rgb::hex(0x23474d), Rgb::hex(0xf0cbf5));
        for (t, wanted) in [(0.0, a), (1.0, b)] {
            let found = a.blend(b, t);
            for n in 0..3 {
                assert!((found.0[n] - wanted.0[n]).abs() < 1e-4, "{found:?} for {wanted:?}");
            }
        }
    }

    #[test]
    fn brighter_light_is_never_shown_darker() {
        let shown: Vec<u8> = (0..4000).map(|n| Rgb([n as f32 / 1000.0; 3]).encode(0.0)[0]).collect();
        assert!(shown.is_sorted());
        assert!(shown[3999] > 245);
    }
}
