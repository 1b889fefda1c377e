//! Argument words: the numbers that a kernel reads at run time, collected in the same walk that writes its text.
//!
//! Whatever is a number and not a structure (sizes, strides, offsets) goes here, so that kernels which differ in numbers only
//! have the same text and share a pipeline, or a function of a dispatch: it is told where in the block their words start.

use std::fmt::Write;

/// Words of a kernel's part of the block that are the same for every kind.
const END: usize = 0;
const GRID_WIDTH: usize = 1;
const ZERO: usize = 2;
const START: usize = 3;
const HEADER: usize = 4;

/// The words of one kernel.
#[derive(Debug)]
pub(crate) struct Words {
    values: Vec<u32>,
    names: String,
}

impl Words {
    /// No words yet.
    pub(crate) fn new() -> Self {
        Self { values: vec![0; HEADER], names: String::new() }
    }

    /// Adds a word and gives the name under which the text can use it.
    pub(crate) fn add(&mut self, value: impl Into<Word>) -> String {
        let position = self.values.len();
        self.values.push(value.into().0);
        let name = format!("n{position}");
        let _ = writeln!(self.names, "    let {name} = {};", word("at", position));
        name
    }

    /// A word that is 0, unknown to the compiler: infinities and NaN must not be constant expressions.
    pub(crate) fn zero(&self) -> String {
        word("at", ZERO)
    }

    /// Declarations of all names.
    pub(crate) fn names(&self) -> &str {
        &self.names
    }

    /// The words, once the workgroups of the kernel and the width of the grid are known.
    pub(crate) fn finish(&self, start: u32, end: u32, grid_width: u32) -> Vec<u32> {
        let mut values = self.values.clone();
        (values[START], values[END], values[GRID_WIDTH]) = (start, end, grid_width);
        values
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }
}

/// The text of a word of those that start at some place of the block, in fours.
fn word(at: &str, position: usize) -> String {
    let at = match (at, position / 4) {
        ("", four) => format!("{four}u"),
        (at, 0) => at.to_owned(),
        (at, four) => format!("{at} + {four}u"),
    };
    format!("args[{at}].{}", ["x", "y", "z", "w"][position % 4])
}

/// The text of the grid's width, the same in every kernel's words.
pub(crate) fn grid_width() -> String {
    word("", GRID_WIDTH)
}

/// The text that calls a function for the workgroups of some kernels, if those before are not concerned. For each kernel it is told where its
/// words start in the block, in fours.
pub(crate) fn call(function: &str, starts: &[usize]) -> String {
    let Some((&first, others)) = starts.split_first() else { return String::new() };
    let last = starts[starts.len() - 1];
    let mut text = format!("if (group < {}) {{\n", word(&format!("{last}u"), END));
    if others.is_empty() {
        let _ = writeln!(text, "{function}(group - {}, lane, {first}u);", word(&format!("{first}u"), START));
    } else {
        let _ = writeln!(text, "var at = {first}u;");
        for pair in starts.windows(2) {
            let _ = writeln!(text, "at = select(at, {}u, group >= {});", pair[1], word(&format!("{}u", pair[0]), END));
        }
        let _ = writeln!(text, "{function}(group - {}, lane, at);", word("at", START));
    }
    text.push_str("}\n");
    text
}

/// A word made of a number. Integer arithmetic in kernels wraps, so a negative number is its two's complement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word(u32);

impl From<usize> for Word {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "buffers hold fewer than 2^32 words, and index arithmetic wraps"
    )]
    fn from(value: usize) -> Self {
        Self(value as u32)
    }
}

impl From<i64> for Word {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "two's complement is what is meant")]
    fn from(value: i64) -> Self {
        Self(value as u32)
    }
}

impl From<u32> for Word {
    fn from(value: u32) -> Self {
        Self(value)
    }
}
