//! What a cell of a kind and an amount is made of: its colour, its light, its shine.

use crate::colour::Rgb;

const SHADES: usize = 256;

/// What a cell looks like before light falls on it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Material {
    /// Share of the light thrown back.
    pub albedo: Rgb,
    /// Light of its own.
    pub glow: Rgb,
    /// How much of the sun it mirrors.
    pub shine: f32,
    /// How rough it looks: the spread of brightness among equal cells.
    pub grain: f32,
}

/// How the amounts of one kind become shades.
struct Ramp {
    /// The amount of the last shade; more looks the same.
    full: u16,
    /// The exponent below 1 spreads small amounts, where the eye should see most.
    curve: f32,
    /// Colours at places in `0..=1`, ascending.
    colours: &'static [(f32, u32)],
    /// Colours of its own light, and how strong it is.
    glow: (f32, &'static [(f32, u32)]),
    shine: f32,
    grain: f32,
}

const DARK: (f32, &[(f32, u32)]) = (0.0, &[(0.0, 0)]);

/// Rock, water, moss, thicket, ferrite, crystal, ember, peat, and whatever else there may be.
const RAMPS: [Ramp; 9] = [
    Ramp {
        full: 60,
        curve: 0.8,
        colours: &[(0.0, 0x4a4745), (0.45, 0x77726e), (1.0, 0xb9b4ad)],
        glow: DARK,
        shine: 0.0,
        grain: 0.10,
    },
    Ramp {
        full: 600,
        curve: 0.6,
        colours: &[(0.0, 0x5cc0d0), (0.14, 0x3da3d4), (0.38, 0x2985bd), (0.7, 0x175a9e), (1.0, 0x0d3878)],
        glow: DARK,
        shine: 1.0,
        grain: 0.0,
    },
    Ramp {
        full: 24,
        curve: 1.0,
        colours: &[(0.0, 0x6c8a45), (1.0, 0x78c656)],
        glow: DARK,
        shine: 0.0,
        grain: 0.14,
    },
    Ramp {
        full: 160,
        curve: 0.8,
        colours: &[(0.0, 0x41885a), (0.5, 0x2a6754), (1.0, 0x1f4a4b)],
        glow: DARK,
        shine: 0.0,
        grain: 0.16,
    },
    Ramp {
        full: 4500,
        curve: 0.8,
        colours: &[(0.0, 0x6e4426), (0.5, 0x96653a), (1.0, 0xc0854c)],
        glow: DARK,
        shine: 0.5,
        grain: 0.16,
    },
    Ramp {
        full: 40,
        curve: 1.0,
        colours: &[(0.0, 0x2b1646), (0.3, 0x5b2a8c), (0.6, 0xa45fd0), (0.85, 0xf0b6f2), (1.0, 0xfff2fb)],
        glow: (0.10, &[(0.0, 0x200838), (0.5, 0x8a3fd0), (1.0, 0xffd0ff)]),
        shine: 0.25,
        grain: 0.0,
    },
    Ramp {
        full: 60,
        curve: 0.6,
        colours: &[(0.0, 0x2a0d06), (1.0, 0x2a0d06)],
        glow: (1.15, &[(0.0, 0xd84400), (0.3, 0xff6200), (0.65, 0xff8a10), (1.0, 0xffd470)]),
        shine: 0.0,
        grain: 0.0,
    },
    Ramp {
        full: 240,
        curve: 1.0,
        colours: &[(0.0, 0x2f1805), (0.5, 0x4f2c10), (1.0, 0x75481f)],
        glow: DARK,
        shine: 0.0,
        grain: 0.18,
    },
    Ramp {
        full: 1000,
        curve: 0.6,
        colours: &[(0.0, 0x6c6c6c), (1.0, 0xa8a8a8)],
        glow: DARK,
        shine: 0.0,
        grain: 0.0,
    },
];

/// The materials of every kind, computed once for a picture.
pub(crate) struct Palette(Vec<[Material; SHADES]>);

impl Palette {
    pub fn new() -> Self {
        Self(
            RAMPS
                .iter()
                .map(|ramp| {
                    std::array::from_fn(|n| {
                        let at = n as f32 / (SHADES - 1) as f32;
                        let (strength, glow) = ramp.glow;
                        Material {
                            albedo: sample(ramp.colours, at),
                            glow: sample(glow, at) * strength,
                            shine: ramp.shine,
                            grain: ramp.grain,
                        }
                    })
                })
                .collect(),
        )
    }

    /// The material of a cell; kinds without colours of their own are grey.
    pub fn material(&self, kind: u8, amount: u16) -> &Material {
        let kind = usize::from(kind).min(RAMPS.len() - 1);
        let ramp = &RAMPS[kind];
        let share = f32::from(amount.min(ramp.full)) / f32::from(ramp.full);
        &self.0[kind][(share.powf(ramp.curve) * (SHADES - 1) as f32).round() as usize]
    }
}

fn sample(colours: &[(f32, u32)], at: f32) -> Rgb {
    for pair in colours.windows(2) {
        let ((start, from), (end, to)) = (pair[0], pair[1]);
        if at <= end {
            return Rgb::hex(from).blend(Rgb::hex(to), (at - start) / (end - start));
        }
    }
    Rgb::hex(colours[colours.len() - 1].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_and_amount_has_a_material() {
        let palette = Palette::new();
        for kind in 0..=255 {
            for amount in [0, 1, 24, 600, 4500, u16::MAX] {
                let material = palette.material(kind, amount);
                assert!(material.albedo.0.iter().all(|x| (0.0..=1.001).contains(x)), "{kind} {amount}");
            }
        }
        assert_eq!(palette.material(8, 500), palette.material(255, 500));
    }

    #[test]
    fn the_ends_of_a_ramp_are_its_outer_colours() {
        let colours = [(0.0, 0x102030), (0.5, 0x405060), (1.0, 0x708090)];
        for (at, wanted) in [(0.0, 0x102030), (0.5, 0x405060), (1.0, 0x708090)] {
            let found = sample(&colours, at).encode(0.0).map(u32::from);
            assert_eq!(found[0] << 16 | found[1] << 8 | found[2], wanted);
        }
    }
}
