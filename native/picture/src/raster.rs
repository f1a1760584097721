//! From a scene to pixels: where samples lie, and how they become bytes.

use hexworld::Sphere;
use rayon::prelude::*;

use crate::View;
use crate::colour::Rgb;
use crate::glow::Halo;
use crate::shade::Scene;
use crate::sky::{Sky, hash, unit};

/// The share of the picture's half side that the world takes; the rest is sky.
const FILL: f64 = 0.92;

/// Samples of a pixel as eighths of its side: no two in a row or column, so edges of every slope
/// come out smooth.
const SAMPLES: [(u8, u8); 8] = [(0, 3), (1, 6), (2, 1), (3, 4), (4, 7), (5, 2), (6, 5), (7, 0)];

/// Where the world's disc lies in a square picture.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    middle: f64,
    /// The world's radius in pixels.
    pub radius: f64,
}

impl Frame {
    pub fn new(size: u32) -> Self {
        let middle = f64::from(size) / 2.0;
        Self { middle, radius: middle * FILL }
    }

    /// A place in pixels from the upper left corner, as radii right of and above the disc's centre.
    pub fn plane(&self, x: f64, y: f64) -> (f64, f64) {
        ((x - self.middle) / self.radius, (self.middle - y) / self.radius)
    }
}

/// Draws three bytes a pixel, row by row from the top.
pub(crate) fn draw(sphere: Sphere, kinds: &[u8], amounts: &[u16], view: &View) -> Vec<u8> {
    let size = view.size;
    let scene = Scene::new(sphere, kinds, amounts, view);
    let halo = Halo::new(&scene, size);
    let sky = Sky::new(size);
    let frame = Frame::new(size);
    let mut bytes = vec![0; size as usize * size as usize * 3];
    bytes.par_chunks_exact_mut(size as usize * 3).enumerate().for_each(|(y, line)| {
        for (x, pixel) in line.chunks_exact_mut(3).enumerate() {
            let (x, y) = (x as u32, y as u32);
            let mut light = pixel_light(&scene, &sky, &frame, x, y);
            let place = |n: u32| (n as f32 + 0.5) / size as f32;
            light += halo.at(place(x), place(y));
            pixel.copy_from_slice(&light.encode(unit(hash(y * size + x)) - 0.5));
        }
    });
    bytes
}

fn pixel_light(scene: &Scene, sky: &Sky, frame: &Frame, x: u32, y: u32) -> Rgb {
    let (u, v) = frame.plane(f64::from(x) + 0.5, f64::from(y) + 0.5);
    let from_centre = (u * u + v * v).sqrt() * frame.radius;
    let behind = || sky.air(u as f32, v as f32) + sky.star(x, y);
    // A pixel that the limb cannot touch is all sky.
    if from_centre > frame.radius + 1.0 {
        return behind();
    }
    let mut sum = Rgb::BLACK;
    let mut missed = 0;
    for (dx, dy) in SAMPLES {
        let place = |n: u32, d: u8| f64::from(n) + (f64::from(d) + 0.5) / SAMPLES.len() as f64;
        let (u, v) = frame.plane(place(x, dx), place(y, dy));
        if u * u + v * v < 1.0 {
            sum += scene.light(u, v, frame.radius as f32);
        } else {
            missed += 1;
        }
    }
    if missed > 0 {
        sum += behind() * missed as f32;
    }
    sum * (1.0 / SAMPLES.len() as f32)
}
