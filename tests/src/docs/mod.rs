//! The documents that are made from the code, so that they say what the code does: `docs/optimizers.md`,
//! `docs/schedules.svg` and `docs/errors.md`.
//!
//! The comment on each optimizer and schedule is the source of what is said about it. One that lacks a part, or says something
//! else than the code, is an error that names the file and the part.

mod defaults;
pub mod examples;
mod optimizers;
mod picture;
mod schedules;
pub mod source;

pub use defaults::printed;

use std::path::PathBuf;

/// A document: its path from the root of the repository, and its content.
pub type Document = (&'static str, String);

/// Every document.
///
/// # Errors
/// Everything that the comments lack.
pub fn documents() -> Result<Vec<Document>, Vec<String>> {
    let mut errors = Vec::new();
    let text = optimizers::text(&mut errors);
    let picture = picture::picture(&picture::curves()).map_err(|e| errors.push(e)).unwrap_or_default();
    let messages = crate::errors::page().map_err(|e| errors.extend(e)).unwrap_or_default();
    if errors.is_empty() {
        Ok(vec![("docs/optimizers.md", text), ("docs/schedules.svg", picture), ("docs/errors.md", messages)])
    } else {
        Err(errors)
    }
}

fn path(document: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(document)
}

/// Writes every document.
///
/// # Errors
/// Everything that the comments lack, or why a file cannot be written.
pub fn write() -> Result<(), Vec<String>> {
    for (name, content) in documents()? {
        std::fs::write(path(name), content).map_err(|e| vec![format!("{name}: {e}")])?;
    }
    Ok(())
}

/// Checks that every document is what the code makes of it.
///
/// # Errors
/// Everything that the comments lack, or the documents that differ.
pub fn check() -> Result<(), Vec<String>> {
    let stale = |(name, content): Document| {
        let present = std::fs::read_to_string(path(name)).unwrap_or_default();
        let same = present.lines().zip(content.lines()).take_while(|(present, made)| present == made).count();
        let message =
            format!("{name} is not what the code makes of it from line {} on: run `cargo xtask docs`", same + 1);
        (present != content).then_some(message)
    };
    let errors: Vec<String> = documents()?.into_iter().filter_map(stale).collect();
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}
