//! The picture as a caller sees it: its size, its errors, and that it shows what it is given.

use hexworld::{Sphere, SphereError};
use picture::{PictureError, View};

/// A world with every kind in it, and two that do not exist.
fn world(frequency: u32) -> (Vec<u8>, Vec<u16>) {
    let cells = Sphere::new(frequency).unwrap().cells();
    (0..cells).map(|cell| ((cell / 3 % 10) as u8, (cell * 37 % 700) as u16)).unzip()
}

fn view(size: u32) -> View {
    View { size, ..View::default() }
}

fn draw(frequency: u32, view: &View) -> Vec<u8> {
    let (kinds, amounts) = world(frequency);
    picture::png(frequency, &kinds, &amounts, view).unwrap()
}

fn decode(file: &[u8]) -> (u32, u32, Vec<u8>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Rgb, png::BitDepth::Eight));
    (info.width, info.height, pixels)
}

fn pixel(file: &[u8], x: u32, y: u32) -> [u8; 3] {
    let (width, _, pixels) = decode(file);
    let at = (y * width + x) as usize * 3;
    [pixels[at], pixels[at + 1], pixels[at + 2]]
}

#[test]
fn the_picture_has_the_size_asked_for() {
    for size in [64, 65, 200] {
        let (width, height, pixels) = decode(&draw(5, &view(size)));
        assert_eq!((width, height), (size, size));
        assert_eq!(pixels.len(), (size * size * 3) as usize);
    }
}

#[test]
fn the_same_world_gives_the_same_bytes_on_any_number_of_threads() {
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| draw(12, &view(128)))
    };
    let once = with(1);
    assert!(once == with(1) && once == with(3));
}

#[test]
fn frequencies_from_the_least_on_and_every_angle_can_be_drawn() {
    for frequency in [1, 2, 3, 40] {
        draw(frequency, &view(64));
    }
    for (longitude, latitude) in [(0.0, 90.0), (0.0, -90.0), (-720.5, 300.0), (1e300, f64::MIN)] {
        draw(3, &View { size: 64, longitude, latitude });
    }
}

#[test]
fn a_full_turn_changes_nothing_and_half_a_turn_does() {
    let from = |longitude| draw(6, &View { size: 64, longitude, latitude: 0.0 });
    let alike = |a: &[u8], b: &[u8]| {
        let (a, b) = (decode(a).2, decode(b).2);
        a.iter().zip(&b).filter(|(x, y)| x.abs_diff(**y) > 2).count() < 30
    };
    assert!(alike(&from(0.0), &from(360.0)));
    assert!(!alike(&from(0.0), &from(180.0)));
}

#[test]
fn longitude_and_latitude_name_the_point_in_the_middle() {
    let sphere = Sphere::new(6).unwrap();
    let geometry = hexworld::geometry::Geometry::new(sphere);
    let amounts = vec![20; sphere.cells() as usize];
    for cell in [0, 40, 100, 222, sphere.cells() - 2, sphere.cells() - 1] {
        let [x, y, z] = geometry.position(cell);
        let view = View { size: 64, longitude: y.atan2(x).to_degrees(), latitude: z.asin().to_degrees() };
        let middle = |kind| {
            let mut kinds = vec![1; amounts.len()];
            kinds[cell as usize] = kind;
            pixel(&picture::png(6, &kinds, &amounts, &view).unwrap(), 32, 32)
        };
        let ([red, _, blue], [water_red, _, water_blue]) = (middle(6), middle(1));
        assert!(red > blue && water_red < water_blue, "cell {cell}");
    }
}

#[test]
fn north_is_up_and_east_is_right() {
    let geometry = hexworld::geometry::Geometry::new(Sphere::new(20).unwrap());
    let colour = |direction: [f64; 3], x, y| {
        let mut kinds = vec![1; 4002];
        kinds[geometry.hit(direction).cell as usize] = 6;
        let view = View { size: 256, longitude: 0.0, latitude: 0.0 };
        let [red, _, blue] = pixel(&picture::png(20, &kinds, &vec![30; 4002], &view).unwrap(), x, y);
        red > blue
    };
    let reach = (128.0 * 0.92 * 0.5f64) as u32;
    let out = 0.75f64.sqrt();
    assert!(colour([out, 0.5, 0.0], 128 + reach, 128));
    assert!(colour([out, 0.0, 0.5], 128, 128 - reach));
    assert!(!colour([out, -0.5, 0.0], 128 + reach, 128));
}

#[test]
fn one_visible_cell_changes_pixels_and_a_hidden_one_does_not() {
    let (kinds, amounts) = world(8);
    let view = View { size: 128, longitude: 0.0, latitude: 90.0 };
    let before = picture::png(8, &kinds, &amounts, &view).unwrap();
    let (north, south) = (kinds.len() - 2, kinds.len() - 1);

    let mut changed = kinds.clone();
    changed[north] = (changed[north] + 1) % 8;
    assert!(picture::png(8, &changed, &amounts, &view).unwrap() != before);

    let mut changed = kinds.clone();
    changed[south] = (changed[south] + 1) % 8;
    assert!(picture::png(8, &changed, &amounts, &view).unwrap() == before);
}

#[test]
fn an_amount_changes_the_shade_of_every_kind() {
    let cells = 42;
    for kind in 0..=8 {
        let with =
            |amount| pixel(&picture::png(2, &[kind; 42], &vec![amount; cells], &view(64)).unwrap(), 30, 30);
        assert_ne!(with(2), with(24), "kind {kind}");
    }
}

#[test]
fn unknown_kinds_are_grey() {
    let cells = Sphere::new(4).unwrap().cells() as usize;
    let with = |kind| picture::png(4, &vec![kind; cells], &vec![u16::MAX; cells], &view(64)).unwrap();
    assert!(with(8) == with(255));
    let [red, green, blue] = pixel(&with(200), 32, 32);
    assert!(red.abs_diff(green) < 16 && green.abs_diff(blue) < 16, "{red} {green} {blue}");
}

#[test]
fn the_night_side_is_dark_but_not_black_and_embers_shine_there() {
    let cells = Sphere::new(8).unwrap().cells() as usize;
    let night =
        |kind| pixel(&picture::png(8, &vec![kind; cells], &vec![20; cells], &view(256)).unwrap(), 195, 200);
    let [red, green, blue] = night(0);
    assert!(red > 4 && green > 4 && blue > 4 && red < 60, "{red} {green} {blue}");
    assert!(night(6)[0] > 200);
}

#[test]
fn what_cannot_be_drawn_is_refused() {
    let (kinds, amounts) = world(2);
    let draw = |frequency, kinds: &[u8], amounts: &[u16], view: View| {
        picture::png(frequency, kinds, amounts, &view).unwrap_err()
    };
    for frequency in [0, 4097] {
        let error = draw(frequency, &kinds, &amounts, view(64));
        assert!(matches!(error, PictureError::Frequency(SphereError::Frequency(f)) if f == frequency));
    }
    let error = draw(2, &kinds[1..], &amounts, view(64));
    assert!(matches!(error, PictureError::Kinds { expected: 42, found: 41 }));
    assert_eq!(error.to_string(), "41 kinds for 42 cells");
    let error = draw(2, &kinds, &[], view(64));
    assert!(matches!(error, PictureError::Amounts { expected: 42, found: 0 }));
    assert_eq!(error.to_string(), "0 amounts for 42 cells");
    for size in [0, 63, 4097, u32::MAX] {
        let error = draw(2, &kinds, &amounts, view(size));
        assert!(matches!(error, PictureError::Size(found) if found == size));
        assert_eq!(error.to_string(), format!("a size of {size} pixels is not in 64..=4096"));
    }
    for angle in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = draw(2, &kinds, &amounts, View { longitude: angle, ..view(64) });
        assert!(matches!(error, PictureError::Angle { latitude: 20.0, .. }));
        let error = draw(2, &kinds, &amounts, View { latitude: angle, ..view(64) });
        assert!(matches!(error, PictureError::Angle { longitude: 0.0, .. }));
    }
}

#[test]
fn a_failure_of_the_encoder_becomes_an_error_of_ours() {
    let failure = png::EncodingError::IoError(std::io::Error::other("disk full"));
    let error = PictureError::from(failure);
    assert!(matches!(error, PictureError::Encoding(_)));
    assert_eq!(error.to_string(), "cannot encode the picture: disk full");
}
