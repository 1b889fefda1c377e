//! Draws what textbooks draw, from what the engine computes: writes the pictures of `docs/gallery` and its text.
//!
//! ```text
//! cargo run --release --example gallery
//! cargo run --release --example gallery -- --only descent --out target/gallery
//! cargo run --release --example gallery -- --timings
//! ```
//!
//! Seeds are fixed and the CPU's sums have one order, so a run changes nothing that is there already. Times differ from run to run:
//! the picture of them is left alone unless `--timings` asks for it.

mod batches;
mod capacity;
mod depth;
mod descent;
mod graph;
mod graph_svg;
mod learning_curves;
mod noise;
mod overfitting;
mod paths;
mod pictures;
mod readme;
mod saturation;
mod scaling;
mod schedules;
mod switching;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use wgrad_examples::runs::cpu;

use pictures::{Page, Picture};

/// Draws the gallery.
#[derive(Debug, Parser)]
struct Arguments {
    /// One picture only.
    #[arg(long)]
    only: Option<Picture>,
    /// Where pictures and text go.
    #[arg(long, default_value = "docs/gallery")]
    out: PathBuf,
    /// Also measure times and draw the picture of them.
    #[arg(long)]
    timings: bool,
}

fn main() -> Result<()> {
    env_logger::init();
    regenerate(&Arguments::parse())
}

fn regenerate(arguments: &Arguments) -> Result<()> {
    let Arguments { only, out, timings } = arguments;
    let device = cpu()?;
    std::fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    let asked = Picture::value_variants().iter().filter(|picture| match only {
        Some(only) => *picture == only,
        None => !picture.is_measured() || *timings,
    });
    for &picture in asked {
        let Page { svg, text, mut files } = picture.page(&device).with_context(|| picture.name())?;
        files.push((format!("{}.svg", picture.name()), svg));
        for (name, content) in files {
            let file = out.join(name);
            std::fs::write(&file, content).with_context(|| file.display().to_string())?;
            println!("{}", file.display());
        }
        let page = out.join("README.md");
        let before = if page.exists() {
            std::fs::read_to_string(&page).with_context(|| page.display().to_string())?
        } else {
            String::new()
        };
        let after = readme::with_section(&before, picture, &text);
        std::fs::write(&page, after).with_context(|| page.display().to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_changes_nothing() {
        let out = std::env::temp_dir().join(format!("wgrad-gallery-{}", std::process::id()));
        let read = || {
            let mut files: Vec<_> = std::fs::read_dir(&out).unwrap().map(|file| file.unwrap().path()).collect();
            files.sort();
            files.into_iter().map(|file| (std::fs::read_to_string(&file).unwrap(), file)).collect::<Vec<_>>()
        };
        let draw = |only| regenerate(&Arguments { only: Some(only), out: out.clone(), timings: false }).unwrap();
        draw(Picture::Graph);
        draw(Picture::Descent);
        let first = read();
        assert_eq!(first.len(), 4, "two pictures, a graph as text, and the page");
        draw(Picture::Descent);
        draw(Picture::Graph);
        assert!(first == read());
        std::fs::remove_dir_all(out).unwrap();
    }

    /// The page that is committed has a section and a picture for each.
    #[test]
    fn the_committed_gallery_is_complete() {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/gallery");
        let page = std::fs::read_to_string(folder.join("README.md")).unwrap();
        for picture in Picture::value_variants() {
            assert!(page.contains(&format!("\n## {}\n", picture.heading())), "{picture:?}");
            let file = folder.join(format!("{}.svg", picture.name()));
            let length = std::fs::metadata(&file).unwrap().len();
            assert!((2_000..150_000).contains(&length), "{}: {length} bytes", file.display());
        }
    }
}
