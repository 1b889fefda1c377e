//! Lines, polygons and text on an SVG, in pixels of the picture as it is shown.

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::FontTransform;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// The drawing library has whole pixels only, so everything is drawn this much larger and shown smaller.
const FINE: u32 = 4;
/// The library divides sizes of fonts by this when it writes them.
const FONT_FACTOR: f64 = 1.24;

/// A place in the picture, in pixels from its upper left corner.
pub type Pixel = (f64, f64);

/// Colours that also the colour-blind tell apart (Okabe & Ito 2008), and greys for what stands behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// A dark blue.
    Blue,
    /// A red that is nearly orange.
    Vermillion,
    /// A bluish green.
    Green,
    /// A yellowish orange.
    Orange,
    /// A reddish purple.
    Purple,
    /// For text and axes.
    Black,
    /// For what stands behind.
    Grey,
    /// For grids.
    Pale,
    /// The background.
    White,
}

impl Colour {
    fn rgb(self) -> RGBColor {
        match self {
            Self::Blue => RGBColor(0, 114, 178),
            Self::Vermillion => RGBColor(213, 94, 0),
            Self::Green => RGBColor(0, 158, 115),
            Self::Orange => RGBColor(230, 159, 0),
            Self::Purple => RGBColor(204, 121, 167),
            Self::Black => RGBColor(20, 20, 20),
            Self::Grey => RGBColor(150, 150, 150),
            Self::Pale => RGBColor(225, 225, 225),
            Self::White => WHITE,
        }
    }
}

/// Which part of a text stands at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// The middle of its left side.
    Left,
    /// The middle of its right side.
    Right,
    /// Its middle.
    Middle,
    /// Its middle, and it is read from below.
    Upright,
}

/// How wide a text will be in pixels; fonts differ, so this is for a wide one.
///
/// ```
/// use wgrad_examples::chart::text_width;
///
/// assert!(text_width("mmm", 13.0) > text_width("iii", 13.0));
/// ```
pub fn text_width(text: &str, size: f64) -> f64 {
    let wide = |letter: char| match letter {
        'i' | 'j' | 'l' | 'f' | 't' | 'r' | ' ' | '.' | ',' | '\'' | '(' | ')' | '/' => 0.37,
        'm' | 'w' | 'M' | 'W' => 0.95,
        'A'..='Z' => 0.7,
        _ => 0.62,
    };
    size * text.chars().map(wide).sum::<f64>()
}

/// A white picture under construction.
#[expect(missing_debug_implementations, reason = "the drawing library's area has none")]
pub struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

/// Draws a picture of a width and a height in pixels, and gives the SVG.
///
/// ```
/// use wgrad_examples::chart::{Anchor, Colour, picture};
///
/// let svg = picture((80, 40), |canvas| {
///     canvas.line(&[(5.0, 30.0), (75.0, 30.0)], Colour::Blue, 2.0)?;
///     canvas.text("a line", (40.0, 15.0), 13.0, Anchor::Middle, Colour::Black)
/// })?;
/// assert!(svg.starts_with("<svg width=\"80\" height=\"40\""));
/// # Ok::<(), anyhow::Error>(())
/// ```
///
/// # Errors
/// Those of what draws.
pub fn picture(size: (u32, u32), draw: impl FnOnce(&Canvas<'_>) -> Result<()>) -> Result<String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (FINE * size.0, FINE * size.1)).into_drawing_area();
        area.fill(&WHITE).map_err(|e| anyhow!("{e}"))?;
        let canvas = Canvas { area };
        draw(&canvas)?;
        canvas.area.present().map_err(|e| anyhow!("{e}"))?;
    }
    // Only the outermost element, which comes first, has its size changed.
    let large = format!("width=\"{}\" height=\"{}\"", FINE * size.0, FINE * size.1);
    Ok(text.replacen(&large, &format!("width=\"{}\" height=\"{}\"", size.0, size.1), 1))
}

#[expect(clippy::cast_possible_truncation, reason = "pixels are whole")]
fn fine((x, y): Pixel) -> (i32, i32) {
    let scaled = |v: f64| (v * f64::from(FINE)).round() as i32;
    (scaled(x), scaled(y))
}

fn stroke(colour: Colour, width: f64) -> ShapeStyle {
    let (pixels, _) = fine((width, 0.0));
    colour.rgb().stroke_width(pixels.unsigned_abs())
}

impl Canvas<'_> {
    /// A line through points.
    ///
    /// # Errors
    /// If the drawing library fails.
    pub fn line(&self, points: &[Pixel], colour: Colour, width: f64) -> Result<()> {
        let points: Vec<_> = points.iter().copied().map(fine).collect();
        self.area.draw(&PathElement::new(points, stroke(colour, width))).map_err(|e| anyhow!("{e}"))
    }

    /// A line of dashes and gaps, each of the given lengths.
    ///
    /// # Errors
    /// If the drawing library fails.
    pub fn dashed(&self, points: &[Pixel], colour: Colour, width: f64, dash: (f64, f64)) -> Result<()> {
        let mut drawn = true;
        let mut left = dash.0;
        let mut part: Vec<Pixel> = points.first().copied().into_iter().collect();
        for pair in points.windows(2) {
            let ((mut x, mut y), (to_x, to_y)) = (pair[0], pair[1]);
            loop {
                let length = (to_x - x).hypot(to_y - y);
                if length < left {
                    left -= length;
                    part.push((to_x, to_y));
                    break;
                }
                (x, y) = (x + (to_x - x) * left / length, y + (to_y - y) * left / length);
                part.push((x, y));
                if drawn {
                    self.line(&part, colour, width)?;
                }
                part = vec![(x, y)];
                drawn = !drawn;
                left = if drawn { dash.0 } else { dash.1 };
            }
        }
        if drawn && part.first() != part.last() { self.line(&part, colour, width) } else { Ok(()) }
    }

    /// A filled polygon through which the rest is seen.
    ///
    /// # Errors
    /// If the drawing library fails.
    pub fn polygon(&self, points: &[Pixel], colour: Colour, opacity: f64) -> Result<()> {
        let points: Vec<_> = points.iter().copied().map(fine).collect();
        self.area.draw(&Polygon::new(points, colour.rgb().mix(opacity))).map_err(|e| anyhow!("{e}"))
    }

    /// A filled disc.
    ///
    /// # Errors
    /// If the drawing library fails.
    pub fn disc(&self, at: Pixel, radius: f64, colour: Colour) -> Result<()> {
        let (pixels, _) = fine((radius, 0.0));
        self.area.draw(&Circle::new(fine(at), pixels, colour.rgb().filled())).map_err(|e| anyhow!("{e}"))
    }

    /// The outline of a rectangle between two corners.
    ///
    /// # Errors
    /// If the drawing library fails.
    pub fn frame(&self, (left, top): Pixel, (right, bottom): Pixel, colour: Colour, width: f64) -> Result<()> {
        let corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
        self.line(&corners, colour, width)
    }

    /// One line of text.
    ///
    /// # Errors
    /// If the drawing library fails.
    pub fn text(&self, text: &str, at: Pixel, size: f64, anchor: Anchor, colour: Colour) -> Result<()> {
        let (horizontal, transform) = match anchor {
            Anchor::Left => (HPos::Left, FontTransform::None),
            Anchor::Right => (HPos::Right, FontTransform::None),
            Anchor::Middle => (HPos::Center, FontTransform::None),
            Anchor::Upright => (HPos::Center, FontTransform::Rotate270),
        };
        let scaled = size * f64::from(FINE) * FONT_FACTOR;
        let font = ("sans-serif", scaled).into_font().transform(transform);
        let colour = colour.rgb();
        let style = TextStyle::from(font).color(&colour).pos(Pos::new(horizontal, VPos::Center));
        self.area.draw_text(text, &style, fine(at)).map_err(|e| anyhow!("{e}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_have_the_size_asked_for_and_finer_coordinates() {
        let svg = picture((30, 20), |canvas| {
            canvas.line(&[(0.25, 1.0), (7.5, 2.0)], Colour::Blue, 1.0)?;
            canvas.dashed(&[(0.0, 10.0), (30.0, 10.0)], Colour::Green, 1.0, (4.0, 6.0))?;
            canvas.text("abc", (3.0, 3.0), 13.0, Anchor::Left, Colour::Black)
        })
        .unwrap();
        assert!(svg.starts_with("<svg width=\"30\" height=\"20\" viewBox=\"0 0 120 80\""), "{svg}");
        assert!(svg.contains("points=\"1,4 30,8 \""), "{svg}");
        assert_eq!(svg.matches("stroke=\"#009E73\"").count(), 3, "{svg}");
        assert!(svg.contains("font-size=\"52"), "{svg}");
    }
}
