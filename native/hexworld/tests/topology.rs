//! Cells, sides and chunks: a closed sphere of twelve pentagons and hexagons, equal to the one that
//! `hexasphere` subdivides independently.

mod support;

use glam::{Mat3, Vec3, Vec3A};
use hexasphere::shapes::IcoSphereBase;
use hexasphere::{AdjacencyBuilder, BaseShape, Subdivided, Triangle, interpolation};
use hexworld::geometry::Geometry;
use hexworld::random::mix64;
use hexworld::topology::{CHUNK_SIDE, Site};
use hexworld::{Sphere, SphereError};
use support::sphere;

fn around(sphere: Sphere, cell: u32) -> Vec<u32> {
    sphere.neighbours(cell).collect()
}

fn is_pentagon(sphere: Sphere, cell: u32) -> bool {
    let (f, Site { row, col }) = (sphere.frequency(), sphere.site(cell));
    row >= 10 * f || row % f == f - 1 && col == 0
}

/// What must hold at one cell, whatever the frequency.
fn check_cell(sphere: Sphere, cell: u32) {
    let f = sphere.frequency();
    let ring = around(sphere, cell);
    assert_eq!(ring.len(), if is_pentagon(sphere, cell) { 5 } else { 6 }, "f = {f}, cell {cell}");
    for (n, &other) in ring.iter().enumerate() {
        assert!(other < sphere.cells() && other != cell, "f = {f}, cell {cell} beside {other}");
        assert!(!ring[..n].contains(&other), "f = {f}, cell {cell} beside {other} twice");
        assert!(around(sphere, other).contains(&cell), "f = {f}, {other} does not see {cell}");
        let next = ring[(n + 1) % ring.len()];
        assert!(around(sphere, other).contains(&next), "f = {f}, cell {cell}: a gap after side {n}");
    }
    for direction in 0..6 {
        if let Some(other) = sphere.neighbour(cell, direction) {
            assert_eq!(sphere.side_towards(cell, other), Some(direction), "f = {f}, cell {cell}");
            let back = sphere.side_towards(other, cell).expect("neighbours see each other");
            assert_eq!(sphere.neighbour(other, back), Some(cell), "f = {f}, cell {cell}");
        }
    }
    assert_eq!(sphere.neighbour(cell, 6), None);
    assert_eq!(sphere.side_towards(cell, cell), None);
}

fn check_place(sphere: Sphere, cell: u32) {
    let site = sphere.site(cell);
    assert!(site.row < sphere.rows() && site.col < sphere.row_len(site.row), "cell {cell}: {site:?}");
    assert_eq!(sphere.cell(site), cell);
    let number = sphere.chunk_of(cell);
    assert!(number < sphere.chunks());
    let chunk = sphere.chunk(number);
    assert!((chunk.row..chunk.row + chunk.rows).contains(&site.row), "cell {cell}: {chunk:?}");
    assert!((chunk.col..chunk.col + chunk.cols).contains(&site.col), "cell {cell}: {chunk:?}");
}

#[test]
fn cells_close_to_a_sphere_of_twelve_pentagons() {
    for f in 1..=40 {
        let sphere = sphere(f);
        assert_eq!(sphere.cells(), 10 * f * f + 2);
        (0..sphere.cells()).for_each(|cell| check_cell(sphere, cell));
        let pentagons = (0..sphere.cells()).filter(|&cell| around(sphere, cell).len() == 5).count();
        assert_eq!(pentagons, 12, "f = {f}");
    }
}

#[test]
fn site_and_cell_are_inverse() {
    for f in 1..=40 {
        let sphere = sphere(f);
        let sites =
            (0..sphere.rows()).flat_map(|row| (0..sphere.row_len(row)).map(move |col| Site { row, col }));
        for (cell, site) in (0..).zip(sites) {
            assert_eq!((sphere.cell(site), sphere.site(cell)), (cell, site), "f = {f}");
        }
        assert_eq!((0..sphere.rows()).map(|row| sphere.row_len(row)).sum::<u32>(), sphere.cells());
    }
}

#[test]
fn chunks_partition_the_cells() {
    for f in (1..=40).chain([63, 64, 65, 128, 130]) {
        let sphere = sphere(f);
        let mut covered = vec![false; sphere.cells() as usize];
        for number in 0..sphere.chunks() {
            let chunk = sphere.chunk(number);
            assert!((1..=CHUNK_SIDE).contains(&chunk.rows) && (1..=CHUNK_SIDE).contains(&chunk.cols));
            for row in chunk.row..chunk.row + chunk.rows {
                for col in chunk.col..chunk.col + chunk.cols {
                    let cell = sphere.cell(Site { row, col });
                    assert_eq!(sphere.chunk_of(cell), number, "f = {f}, cell {cell}");
                    assert!(!std::mem::replace(&mut covered[cell as usize], true), "f = {f}, cell {cell}");
                }
            }
        }
        assert!(covered.iter().all(|&c| c), "f = {f}");
    }
}

#[test]
fn frequencies_out_of_range_are_refused() {
    for f in [0, 4097, u32::MAX] {
        assert_eq!(Sphere::new(f), Err(SphereError::Frequency(f)));
    }
}

/// Every corner and edge of the diamonds, and a scatter of the cells between, of spheres too large to
/// walk; dev builds check for overflow.
#[test]
fn the_largest_spheres_hold_where_sampled() {
    for f in [1000, 4095, 4096] {
        let sphere = sphere(f);
        let along = [0, 1, 2, f / 2, f - 2, f - 1];
        for d in 0..10 {
            for (i, j) in along.iter().flat_map(|&i| along.map(|j| (i, j))) {
                check_cell(sphere, (d * f + i) * f + j);
                check_place(sphere, (d * f + i) * f + j);
            }
        }
        let scattered = (0..20_000).map(|n| (mix64(n) % u64::from(sphere.cells())) as u32);
        for cell in scattered.chain(sphere.cells() - 2..sphere.cells()) {
            check_cell(sphere, cell);
            check_place(sphere, cell);
        }
    }
}

/// `hexasphere`'s icosahedron without its projection to the sphere: projecting only at the end is the
/// gnomonic map that [`Geometry`] draws, so points can be matched by place at any frequency.
struct FlatIcosahedron;

impl BaseShape for FlatIcosahedron {
    fn initial_points(&self) -> Vec<Vec3A> {
        IcoSphereBase.initial_points()
    }

    fn triangles(&self) -> Box<[Triangle]> {
        IcoSphereBase.triangles()
    }

    const EDGES: usize = IcoSphereBase::EDGES;

    fn interpolate(&self, a: Vec3A, b: Vec3A, p: f32) -> Vec3A {
        interpolation::lerp(a, b, p)
    }
}

/// Axes set by a vertex and one beside it.
fn axes(vertex: Vec3, beside: Vec3) -> Mat3 {
    let across = vertex.cross(beside).normalize();
    Mat3::from_cols(vertex, across, vertex.cross(across))
}

/// Of each cell the point of `points` that it lies on. The icosahedron looks the same from every pair
/// of vertices that share an edge, so any pair may be laid upon any other.
fn matched(sphere: Sphere, points: &[Vec3]) -> Vec<usize> {
    let geometry = Geometry::new(sphere);
    let position = |cell| Vec3::from_array(geometry.position(cell).map(|x| x as f32));
    let f = sphere.frequency();
    let (north, pentagon) = (10 * f * f, (f - 1) * f);
    let beside = *points[1..12]
        .iter()
        .max_by(|a, b| a.dot(points[0]).total_cmp(&b.dot(points[0])))
        .expect("an icosahedron has twelve vertices");
    let turn = axes(points[0], beside) * axes(position(north), position(pentagon)).transpose();
    (0..sphere.cells())
        .map(|cell| {
            let place = turn * position(cell);
            let (n, point) = points
                .iter()
                .enumerate()
                .min_by(|(_, a), (_, b)| a.distance(place).total_cmp(&b.distance(place)))
                .expect("points");
            // Cells are at least 0.6 / f apart.
            assert!(point.distance(place) < 0.01 / f as f32, "f = {f}, cell {cell} lies on no point");
            n
        })
        .collect()
}

#[test]
fn cells_touch_where_hexasphere_says_they_do() {
    for f in [1, 2, 3, 4, 5, 8, 13] {
        let sphere = sphere(f);
        let theirs = Subdivided::new_custom_shape(f as usize - 1, |_| (), FlatIcosahedron);
        let points: Vec<_> = theirs.raw_points().iter().map(|p| Vec3::from(p.normalize())).collect();
        assert_eq!(points.len() as u32, sphere.cells(), "f = {f}");
        let mut adjacency = AdjacencyBuilder::new(points.len());
        adjacency.add_indices(&theirs.get_all_indices());
        let adjacency = adjacency.finish();

        let point_of = matched(sphere, &points);
        let mut points_met = point_of.clone();
        points_met.sort_unstable();
        assert!(points_met.into_iter().eq(0..points.len()), "f = {f}: two cells lie on one point");

        for cell in 0..sphere.cells() {
            let mut ours: Vec<_> = sphere.neighbours(cell).map(|c| point_of[c as usize]).collect();
            let mut theirs = adjacency[point_of[cell as usize]].to_vec();
            ours.sort_unstable();
            theirs.sort_unstable();
            assert_eq!(ours, theirs, "f = {f}, cell {cell}");
        }
    }
}

#[test]
fn the_wire_lays_rows_and_chunks_as_the_topology_does() {
    for f in [1, 3, 63, 64, 65, 130, 4096] {
        let (sphere, grid) = (sphere(f), wire::field::Grid::new(f).unwrap());
        assert_eq!(grid.cells(), sphere.cells() as usize);
        assert_eq!((grid.rows(), grid.chunks()), (sphere.rows(), sphere.chunks()));
        for cell in (0..sphere.cells()).step_by(1 + sphere.cells() as usize / 997).chain([sphere.cells() - 1])
        {
            let site = sphere.site(cell);
            assert_eq!(grid.first_cell(site.row) + site.col as usize, cell as usize);
            assert_eq!(grid.row_len(site.row), sphere.row_len(site.row) as usize);
            assert_eq!(grid.chunk_of(site.row, site.col as usize), sphere.chunk_of(cell));
        }
        for chunk in (0..sphere.chunks()).step_by(1 + sphere.chunks() as usize / 97) {
            let window = sphere.chunk(chunk);
            let rows = window.row..window.row + window.rows;
            let cols = window.col as usize..(window.col + window.cols) as usize;
            assert_eq!(grid.window(chunk), Some((rows, cols)));
        }
        assert_eq!(grid.window(sphere.chunks()), None);
    }
    assert_eq!((wire::field::Grid::new(0), wire::field::Grid::new(4097)), (None, None));
}

#[test]
fn the_chunks_around_a_cell() {
    let sphere = sphere(128);
    let inside = sphere.cell(Site { row: 32, col: 32 });
    assert_eq!(sphere.chunks_around(inside, 0), [sphere.chunk_of(inside)]);
    assert_eq!(sphere.chunks_around(inside, 10), [sphere.chunk_of(inside)]);
    // Every cell within the radius, and nothing but their chunks.
    let north = sphere.cells() - 2;
    let around = sphere.chunks_around(north, 1);
    let mut expected: Vec<_> = sphere.neighbours(north).chain([north]).map(|c| sphere.chunk_of(c)).collect();
    expected.sort_unstable();
    assert_eq!(around, expected);
    assert_eq!(sphere.chunks_around(inside, 10_000).len() as u32, sphere.chunks());
}
