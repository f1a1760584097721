//! Where cells lie on the unit sphere, and which cell a direction from the centre hits.
//!
//! For drawing and picking only: floating point never reaches the rule. A point is the normalised
//! linear mix of its triangle's three icosahedron vertices (the gnomonic map), so straight lines of
//! cells are great circles and the inverse is exact; cells are about 1.9 times as large in the middle
//! of a triangle as at a pentagon.

use crate::topology::{Site, Sphere};

type Vec3 = [f64; 3];

/// What a direction from the centre of the sphere hits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// The cell.
    pub cell: u32,
    /// 0 at the cell's centre, 1 on its border.
    pub border: f64,
}

/// Precomputed corners and inverse bases of the twenty triangles of one sphere.
#[derive(Debug, Clone)]
pub struct Geometry {
    sphere: Sphere,
    /// Per diamond the corners O, P, Q, R.
    corners: [[Vec3; 4]; 10],
    /// Per triangle (diamond, upper or lower) the rows of the inverse of its three corners.
    inverse: [[[Vec3; 3]; 2]; 10],
}

fn cross(a: Vec3, b: Vec3) -> Vec3 {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn dot(a: Vec3, b: Vec3) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn scale(a: Vec3, s: f64) -> Vec3 {
    a.map(|x| x * s)
}

/// Vertex `k` of the ring at latitude ±atan(1/2), the southern one turned by 36°.
fn ring(k: usize, north: bool) -> Vec3 {
    let turn = (k % 5) as f64 * 72.0 + if north { 0.0 } else { 36.0 };
    let (sin, cos) = turn.to_radians().sin_cos();
    let z = 1.0 / 5f64.sqrt();
    [2.0 * z * cos, 2.0 * z * sin, if north { z } else { -z }]
}

fn invert(a: Vec3, b: Vec3, c: Vec3) -> [Vec3; 3] {
    let volume = dot(a, cross(b, c));
    [cross(b, c), cross(c, a), cross(a, b)].map(|v| scale(v, 1.0 / volume))
}

impl Geometry {
    /// The geometry of `sphere`.
    pub fn new(sphere: Sphere) -> Self {
        let corners: [[Vec3; 4]; 10] = std::array::from_fn(|d| {
            let k = d % 5;
            if d < 5 {
                [[0.0, 0.0, 1.0], ring(k, true), ring(k + 1, true), ring(k, false)]
            } else {
                [ring(k + 1, true), ring(k, false), ring(k + 1, false), [0.0, 0.0, -1.0]]
            }
        });
        let inverse = corners.map(|[o, p, q, r]| [invert(o, p, q), invert(r, p, q)]);
        Self { sphere, corners, inverse }
    }

    /// The centre of `cell` as a unit vector; `z` points to the north pole.
    pub fn position(&self, cell: u32) -> [f64; 3] {
        let f = self.sphere.frequency();
        let Site { row, col } = self.sphere.site(cell);
        if row >= 10 * f {
            return [0.0, 0.0, if row == 10 * f { 1.0 } else { -1.0 }];
        }
        let [o, p, q, r] = self.corners[(row / f) as usize];
        let (f, i, j) = (f64::from(f), f64::from(row % f + 1), f64::from(col));
        let weights = if i + j <= f {
            [(o, f - i - j), (p, i), (q, j)]
        } else {
            [(r, i + j - f), (p, f - j), (q, f - i)]
        };
        let sum = weights.iter().fold([0.0; 3], |sum, (v, w)| std::array::from_fn(|n| sum[n] + v[n] * w));
        scale(sum, 1.0 / dot(sum, sum).sqrt())
    }

    /// The cell that the ray from the centre along `direction` leaves the sphere through.
    /// `direction` need not be a unit vector; the zero vector hits the north pole.
    pub fn hit(&self, direction: [f64; 3]) -> Hit {
        let f = f64::from(self.sphere.frequency());
        let mut best = (f64::NEG_INFINITY, 0, 0, [0.0; 3]);
        for (d, halves) in self.inverse.iter().enumerate() {
            for (lower, rows) in halves.iter().enumerate() {
                let weights = rows.map(|row| dot(row, direction));
                let least = weights[0].min(weights[1]).min(weights[2]);
                if least > best.0 {
                    best = (least, d, lower, weights);
                }
            }
        }
        let (least, d, lower, weights) = best;
        let sum: f64 = weights.iter().sum();
        if !(least.is_finite() && sum > 0.0) {
            return Hit { cell: self.sphere.cells() - 2, border: 0.0 };
        }
        // Barycentric coordinates scaled to the lattice; the nearest lattice point is found by
        // rounding all three and mending the one that was furthest off.
        let exact = weights.map(|w| w / sum * f);
        let mut whole = exact.map(f64::round);
        let off: [f64; 3] = std::array::from_fn(|n| exact[n] - whole[n]);
        let worst = (0..3).max_by(|&a, &b| off[a].abs().total_cmp(&off[b].abs())).unwrap_or(0);
        whole[worst] = f - whole[(worst + 1) % 3] - whole[(worst + 2) % 3];
        let off: [f64; 3] = std::array::from_fn(|n| exact[n] - whole[n]);
        let border =
            (off[0] - off[1]).abs().max((off[1] - off[2]).abs()).max((off[2] - off[0]).abs()).min(1.0);

        let [_, p, q] = whole.map(|w| w as i32);
        let f = f as i32;
        let (i, j) = if lower == 0 { (p, q) } else { (f - q, f - p) };
        let site = self.sphere.resolve(d as u32, i, j).unwrap_or(Site { row: 10 * f as u32, col: 0 });
        Hit { cell: self.sphere.cell(site), border }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_centre_hits_its_own_cell() {
        for f in [1, 2, 3, 7, 20] {
            let geometry = Geometry::new(Sphere::new(f).unwrap());
            for cell in 0..geometry.sphere.cells() {
                let hit = geometry.hit(scale(geometry.position(cell), 3.0));
                assert_eq!(hit.cell, cell, "f = {f}");
                assert!(hit.border < 1e-6);
            }
        }
    }

    #[test]
    fn a_direction_hits_the_nearest_cell_or_one_beside_it() {
        let geometry = Geometry::new(Sphere::new(9).unwrap());
        for n in 0..500 {
            let (a, b) = (f64::from(n) * 2.399, 1.0 - f64::from(n) / 250.0);
            let ray = [(1.0 - b * b).sqrt() * a.cos(), (1.0 - b * b).sqrt() * a.sin(), b];
            let nearest = (0..geometry.sphere.cells())
                .max_by(|&x, &y| dot(geometry.position(x), ray).total_cmp(&dot(geometry.position(y), ray)))
                .unwrap();
            let hit = geometry.hit(ray);
            assert!(hit.cell == nearest || geometry.sphere.neighbours(nearest).any(|c| c == hit.cell));
        }
    }

    #[test]
    fn directions_turn_left_seen_from_outside() {
        let geometry = Geometry::new(Sphere::new(6).unwrap());
        for cell in 0..geometry.sphere.cells() {
            let centre = geometry.position(cell);
            let ring: Vec<_> = geometry.sphere.neighbours(cell).map(|c| geometry.position(c)).collect();
            for n in 0..ring.len() {
                let (a, b) = (ring[n], ring[(n + 1) % ring.len()]);
                assert!(dot(cross(a, b), centre) > 0.0, "cell {cell}, side {n}");
            }
        }
    }

    #[test]
    fn no_direction_panics() {
        let geometry = Geometry::new(Sphere::new(3).unwrap());
        for ray in [[0.0; 3], [f64::NAN; 3], [f64::INFINITY, 0.0, 0.0], [1e-320, 0.0, 0.0]] {
            geometry.hit(ray);
        }
    }
}
