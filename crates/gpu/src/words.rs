//! Argument words: the numbers that a kernel reads at run time, collected in the same walk that writes its text.
//!
//! Whatever is a number and not a structure (sizes, strides, offsets) goes here, so that kernels which differ in numbers only
//! have the same text and share a pipeline.

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
    /// Where they start in the dispatch's block; a multiple of 4.
    base: usize,
    values: Vec<u32>,
    names: String,
}

impl Words {
    /// No words yet, for a kernel whose words start at `base`.
    pub(crate) fn new(base: usize) -> Self {
        Self { base, values: vec![0; HEADER], names: String::new() }
    }

    /// Adds a word and gives the name under which the text can use it.
    pub(crate) fn add(&mut self, value: impl Into<Word>) -> String {
        let position = self.values.len();
        self.values.push(value.into().0);
        let name = format!("n{position}");
        let _ = writeln!(self.names, "    let {name} = {};", word(self.base + position));
        name
    }

    /// A word that is 0, unknown to the compiler: infinities and NaN must not be constant expressions.
    pub(crate) fn zero(&self) -> String {
        word(self.base + ZERO)
    }

    /// Declarations of all names.
    pub(crate) fn names(&self) -> &str {
        &self.names
    }

    /// The text of the condition under which workgroup `group` works on this kernel, if those before don't.
    pub(crate) fn is_mine(&self) -> String {
        format!("group < {}", word(self.base + END))
    }

    /// The number of a workgroup inside this kernel.
    pub(crate) fn local_group(&self) -> String {
        format!("group - {}", word(self.base + START))
    }

    /// The words, once the workgroups of the kernel and the width of the grid are known.
    pub(crate) fn finish(mut self, start: u32, end: u32, grid_width: u32) -> Vec<u32> {
        self.values[START] = start;
        self.values[END] = end;
        self.values[GRID_WIDTH] = grid_width;
        self.values
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }
}

/// The text of a word of the block.
fn word(position: usize) -> String {
    format!("args[{}u].{}", position / 4, ["x", "y", "z", "w"][position % 4])
}

/// The text of the grid's width, the same in every kernel's words.
pub(crate) fn grid_width() -> String {
    word(GRID_WIDTH)
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
