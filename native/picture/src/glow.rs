//! The halo around cells that give light: a small, blurred picture of that light alone.

use rayon::prelude::*;

use crate::colour::Rgb;
use crate::raster::Frame;
use crate::shade::Scene;

/// The side of the small picture; a halo holds no detail worth more.
const SIDE: u32 = 256;

/// Samples along each side of a pixel of the small picture.
const GRID: u32 = 3;

/// The light around glowing cells.
pub(crate) struct Halo {
    side: usize,
    light: Vec<Rgb>,
}

impl Halo {
    pub fn new(scene: &Scene, size: u32) -> Self {
        let side = SIDE.min(size);
        let frame = Frame::new(side);
        let mut light: Vec<Rgb> = (0..side * side)
            .into_par_iter()
            .map(|pixel| {
                let mut sum = Rgb::BLACK;
                for sample in 0..GRID * GRID {
                    let place = |n: u32| (f64::from(n) + 0.5) / f64::from(GRID);
                    let x = f64::from(pixel % side) + place(sample % GRID);
                    let y = f64::from(pixel / side) + place(sample / GRID);
                    let (u, v) = frame.plane(x, y);
                    if u * u + v * v < 1.0 {
                        sum += scene.glow(u, v);
                    }
                }
                sum * (1.0 / (GRID * GRID) as f32)
            })
            .collect();
        // A tight halo as wide as the cells and a faint one that reaches further.
        let tight = (0.30 * scene.cell() * frame.radius as f32).clamp(0.9, 5.0);
        let side = side as usize;
        let mut wide = light.clone();
        blur(&mut light, side, tight);
        blur(&mut wide, side, 3.0 * tight);
        for (near, far) in light.iter_mut().zip(&wide) {
            *near = *near * 0.30 + *far * 0.22;
        }
        Self { side, light }
    }

    /// The halo's light at a place in the picture, both coordinates in `0..1`.
    pub fn at(&self, x: f32, y: f32) -> Rgb {
        let last = (self.side - 1) as f32;
        let place = |t: f32| (t * self.side as f32 - 0.5).clamp(0.0, last);
        let (x, y) = (place(x), place(y));
        let (col, row) = (x as usize, y as usize);
        let get =
            |row: usize, col: usize| self.light[row.min(self.side - 1) * self.side + col.min(self.side - 1)];
        let (right, down) = (x.fract(), y.fract());
        let upper = get(row, col).mix(get(row, col + 1), right);
        upper.mix(get(row + 1, col).mix(get(row + 1, col + 1), right), down)
    }
}

/// Blurs along rows, then along columns.
fn blur(light: &mut Vec<Rgb>, side: usize, spread: f32) {
    let reach = (3.0 * spread).ceil() as i32;
    let weights: Vec<f32> =
        (-reach..=reach).map(|n| (-(n * n) as f32 / (2.0 * spread * spread)).exp()).collect();
    let total: f32 = weights.iter().sum();
    for _ in 0..2 {
        // The result is written turned by a quarter, so two rounds blur both ways and turn it back.
        *light = (0..side * side)
            .into_par_iter()
            .map(|at| {
                let (col, row) = (at / side, at % side);
                let mut sum = Rgb::BLACK;
                for (n, weight) in (-reach..=reach).zip(&weights) {
                    let near = col as i32 + n;
                    if (0..side as i32).contains(&near) {
                        sum += light[row * side + near as usize] * *weight;
                    }
                }
                sum * (1.0 / total)
            })
            .collect();
    }
}
