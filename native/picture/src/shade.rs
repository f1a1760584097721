//! The camera, and the light that a point of the world sends to it.

use std::f64::consts::PI;

use hexworld::Sphere;
use hexworld::geometry::Geometry;

use crate::View;
use crate::colour::{Rgb, smoothstep};
use crate::palette::{Material, Palette};
use crate::sky::{hash, unit};

/// The way to the sun: right, up, towards the viewer. A unit vector.
pub(crate) const SUN: [f32; 3] = [-0.48, 0.52, 0.706_54];

/// Cells narrower than this many pixels show no border, those beyond the second number all of it.
const BORDER_FADE: (f32, f32) = (8.0, 22.0);

/// A world before a camera.
pub(crate) struct Scene<'a> {
    geometry: Geometry,
    kinds: &'a [u8],
    amounts: &'a [u16],
    palette: Palette,
    /// Right, up and towards the viewer, in the world's own axes.
    axes: [[f64; 3]; 3],
    /// The middle width of a cell, in radii of the world.
    cell: f32,
}

impl<'a> Scene<'a> {
    pub fn new(sphere: Sphere, kinds: &'a [u8], amounts: &'a [u16], view: &View) -> Self {
        let (sin, cos) = view.longitude.to_radians().sin_cos();
        let (up, flat) = view.latitude.to_radians().sin_cos();
        Self {
            geometry: Geometry::new(sphere),
            kinds,
            amounts,
            palette: Palette::new(),
            axes: [[-sin, cos, 0.0], [-up * cos, -up * sin, flat], [flat * cos, flat * sin, up]],
            // A hexagon of area A is sqrt(2A / sqrt(3)) wide.
            cell: (8.0 * PI / (f64::from(sphere.cells()) * 3f64.sqrt())).sqrt() as f32,
        }
    }

    /// The middle width of a cell, in radii of the world.
    pub fn cell(&self) -> f32 {
        self.cell
    }

    /// The cell at `(u, v)`, in radii from the centre of the disc, which must lie on the disc; with it
    /// how near the point is to the cell's border and how far it is turned to the viewer.
    fn look(&self, u: f64, v: f64) -> (usize, f32, f32) {
        let z = (1.0 - u * u - v * v).max(0.0).sqrt();
        let [right, up, towards] = &self.axes;
        let hit = self.geometry.hit(std::array::from_fn(|n| right[n] * u + up[n] * v + towards[n] * z));
        (hit.cell as usize, hit.border as f32, z as f32)
    }

    fn material(&self, cell: usize) -> &Material {
        self.palette.material(self.kinds[cell], self.amounts[cell])
    }

    /// The light of its own that the point sends out.
    pub fn glow(&self, u: f64, v: f64) -> Rgb {
        let (cell, _, z) = self.look(u, v);
        self.material(cell).glow * z
    }

    /// The light that the point sends to the viewer; `radius` is the world's, in pixels.
    pub fn light(&self, u: f64, v: f64, radius: f32) -> Rgb {
        let (cell, border, z) = self.look(u, v);
        let Material { albedo, glow, shine, grain } = *self.material(cell);
        let normal = [u as f32, v as f32, z];
        let sun = dot(normal, SUN);

        let speckle = 1.0 + grain * (2.0 * unit(hash(cell as u32)) - 1.0);
        let line = border_line(border, self.cell * radius, z);
        // Light wraps a little around the terminator, as it does where there is air.
        let wrapped = ((sun + 0.22) / 1.22).max(0.0);
        let day = wrapped * wrapped.sqrt();
        let ambient = Rgb([0.042, 0.056, 0.087]) * (0.55 + 0.45 * z);
        let sunlight = Rgb([1.42, 1.07, 0.79]).mix(Rgb([1.42, 1.37, 1.28]), smoothstep(-0.05, 0.5, sun));
        let mut light = albedo * (speckle * line) * (sunlight * day + ambient);

        if shine > 0.0 && sun > 0.0 {
            let half = [SUN[0], SUN[1], SUN[2] + 1.0];
            let mirror = dot(normal, half) / dot(half, half).sqrt();
            let glint = 0.16 * mirror.powi(180) + 0.03 * mirror.powi(24);
            light += Rgb([0.86, 0.96, 1.0]) * (shine * glint);
        }
        let core = 1.0 + 0.35 * border_fade(self.cell * radius, z) * (0.5 - border * border);
        light += glow * (core * (0.4 + 0.6 * line));

        // Air between the world and the viewer: a thin veil, dense at the limb.
        let veil = (1.0 - z) * (1.0 - z) * (1.0 - z);
        let air = Rgb([0.20, 0.43, 0.92]) * (0.02 + 0.98 * smoothstep(-0.35, 0.75, sun));
        // Blue air over an ember would turn it pink, so strong light of its own pierces the veil.
        let pierce = glow.0[0].min(1.0) * 0.75;
        light * (1.0 - 0.5 * veil) + air * ((0.55 * veil + 0.012) * (1.0 - pierce))
    }
}

/// The share of light that the border leaves: less than 1 near the border of a large cell.
fn border_line(border: f32, width: f32, z: f32) -> f32 {
    let visible = border_fade(width, z);
    if visible == 0.0 {
        return 1.0;
    }
    let from_border = (1.0 - border) * 0.5 * width;
    let thick = (0.02 * width).clamp(0.6, 2.5);
    let line = 1.0 - smoothstep(0.4 * thick, 1.6 * thick, from_border);
    let bevel = border * border * border * border;
    1.0 - visible * (0.34 * line + 0.12 * bevel)
}

/// How much of a border is drawn: none on cells that look small, be it only for lying at the limb.
fn border_fade(width: f32, z: f32) -> f32 {
    smoothstep(BORDER_FADE.0, BORDER_FADE.1, width * z)
}

fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}
