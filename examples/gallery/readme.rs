//! The page of the gallery: an introduction and a section for each picture, of which one can be written without the others.

use clap::ValueEnum;

use crate::pictures::Picture;

const INTRODUCTION: &str = "# Gallery

What textbooks draw about training neural networks, from what wgrad computes: every number below comes out of its graphs, gradients,
optimizers and schedules, on its CPU backend. All of it, this text included, is written by

```text
cargo run --release --example gallery
```

from [`examples/gallery/`](../../examples/gallery/), where each picture has a file of its own and a test of what it claims. Seeds are
fixed, so another run on the same machine changes nothing. The digits are those of
[`examples/data/`](../../examples/data/README.md): 8 × 8 pixels, 1437 rows to train on and 360 by other writers to test on.
";

/// The page with a section written anew; the others stay as they are, in the order of the pictures.
pub(crate) fn with_section(page: &str, picture: Picture, text: &str) -> String {
    let mut out = INTRODUCTION.to_owned();
    for &other in Picture::value_variants() {
        if other == picture {
            out.push_str(&section(picture, text));
        } else if let Some(old) = existing(page, other) {
            out.push_str(&old);
        }
    }
    out
}

fn section(picture: Picture, text: &str) -> String {
    let (heading, name) = (picture.heading(), picture.name());
    format!("\n## {heading}\n\n<img src=\"{name}.svg\" alt=\"{heading}\" width=\"800\">\n\n{}\n", wrapped(text))
}

/// A section as it stands on the page, with the empty line before it.
fn existing(page: &str, picture: Picture) -> Option<String> {
    let head = format!("\n## {}\n", picture.heading());
    let start = page.find(&head)?;
    let length = page[start + head.len()..].find("\n## ").map_or(page.len() - start, |next| head.len() + next);
    Some(page[start..start + length].to_owned())
}

/// A paragraph in lines of at most 132 characters.
fn wrapped(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut().filter(|line| line.chars().count() + 1 + word.chars().count() <= 132) {
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_replaced_in_place() {
        let one = with_section("", Picture::Noise, "noise");
        let two = with_section(&one, Picture::Descent, "descent");
        let again = with_section(&two, Picture::Noise, "noise");
        assert_eq!(again, two);
        let other = with_section(&two, Picture::Noise, "other");
        assert_eq!(other, two.replace("\nnoise\n", "\nother\n"));
        assert!(two.find("## The learning rate") < two.find("## Noise of mini-batches"));
    }

    #[test]
    fn paragraphs_are_wrapped() {
        let text = "word ".repeat(60);
        let lines = wrapped(&text);
        assert_eq!(lines.lines().count(), 3);
        assert!(lines.lines().all(|line| line.len() <= 132));
    }
}
