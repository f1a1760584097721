//! Draws a hex-sphere world as a PNG.
//!
//! Orthographic: the viewer is infinitely far away and sees one half of the world, lit from the upper
//! left. The hue of a cell tells its kind and its brightness tells its amount; embers and crystals give
//! light of their own, so they are seen on the night side too.
//!
//! No I/O. The same input gives the same bytes on one machine, for every number of threads; the colours
//! are computed in floating point, so another machine may differ in the last bit.
//!
//! ```
//! let cells = hexworld::Sphere::new(2)?.cells() as usize;
//! let view = picture::View { size: 64, ..Default::default() };
//! let png = picture::png(2, &vec![1; cells], &vec![300; cells], &view)?;
//! assert!(png.starts_with(b"\x89PNG"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod colour;
mod glow;
mod palette;
mod raster;
mod shade;
mod sky;

use std::ops::RangeInclusive;

use hexworld::{Sphere, SphereError};
use thiserror::Error;

/// The sizes of a picture in pixels.
pub const SIZES: RangeInclusive<u32> = 64..=4096;

/// From where a world is seen and how large it is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// Width and height in pixels, one of [`SIZES`].
    pub size: u32,
    /// Longitude of the point that faces the viewer, in degrees; any finite number.
    pub longitude: f64,
    /// Latitude of the point that faces the viewer, in degrees, north positive; any finite number.
    pub latitude: f64,
}

impl Default for View {
    /// 1024 pixels, a little north of the equator.
    fn default() -> Self {
        Self { size: 1024, longitude: 0.0, latitude: 20.0 }
    }
}

/// Why a picture cannot be drawn.
#[derive(Debug, Error)]
pub enum PictureError {
    /// There is no sphere of this frequency.
    #[error(transparent)]
    Frequency(#[from] SphereError),
    /// There is not one kind for each cell.
    #[error("{found} kinds for {expected} cells")]
    Kinds {
        /// Cells of the sphere.
        expected: usize,
        /// Kinds given.
        found: usize,
    },
    /// There is not one amount for each cell.
    #[error("{found} amounts for {expected} cells")]
    Amounts {
        /// Cells of the sphere.
        expected: usize,
        /// Amounts given.
        found: usize,
    },
    /// The size is not one of [`SIZES`].
    #[error("a size of {0} pixels is not in {min}..={max}", min = SIZES.start(), max = SIZES.end())]
    Size(u32),
    /// Longitude or latitude is infinite or not a number.
    #[error("longitude {longitude}, latitude {latitude} is no direction")]
    Angle {
        /// The longitude given.
        longitude: f64,
        /// The latitude given.
        latitude: f64,
    },
    /// The PNG encoder failed.
    #[error("cannot encode the picture: {0}")]
    Encoding(#[from] png::EncodingError),
}

/// Draws the world whose cells, in order of id, have these kinds and amounts.
///
/// Kinds above 7 are drawn grey; every amount is allowed. The scanlines are drawn by rayon's current
/// thread pool. The memory taken is a few bytes a pixel, whatever the frequency.
pub fn png(frequency: u32, kinds: &[u8], amounts: &[u16], view: &View) -> Result<Vec<u8>, PictureError> {
    let sphere = Sphere::new(frequency)?;
    let expected = sphere.cells() as usize;
    if kinds.len() != expected {
        return Err(PictureError::Kinds { expected, found: kinds.len() });
    }
    if amounts.len() != expected {
        return Err(PictureError::Amounts { expected, found: amounts.len() });
    }
    let View { size, longitude, latitude } = *view;
    if !SIZES.contains(&size) {
        return Err(PictureError::Size(size));
    }
    if !(longitude.is_finite() && latitude.is_finite()) {
        return Err(PictureError::Angle { longitude, latitude });
    }
    encode(size, &raster::draw(sphere, kinds, amounts, view))
}

fn encode(size: u32, pixels: &[u8]) -> Result<Vec<u8>, PictureError> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, size, size);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_source_srgb(png::SrgbRenderingIntent::Perceptual);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(file)
}
