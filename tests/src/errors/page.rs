//! The page: `docs/errors.md`.

use std::fmt::Write;

use super::{Doing, cases, kinds};

const HEAD: &str = "\
# Errors

<!-- Written by `cargo xtask docs` from tests/src/errors/; its head is in page.rs there. -->

What can go wrong, and what wgrad says about it: every kind of error, by what one was doing. A message says what is wrong, where
(file, row and column, line, node, parameter or entry by name), and what to do about it.

Errors are values. `wgrad::Error` holds all the others, and every enum can be matched without a wildcard. Nothing that a user gives
makes the library panic: `tests/tests/bad_input/` calls what is public with zeros, the largest numbers, NaN, infinities and nothing.

Every message below is of a program that was run, in `tests/src/errors/`; those marked _(made by hand)_ take a device that breaks, and
were written down instead. In place of `<the system's words>` stands what the operating system says.

What counts as bad input, and what is done about it:

| input | what happens |
| --- | --- |
| NaN or infinity in features or targets | an error with row and column, from whatever source the data come |
| a label out of range | an error with the row; `wgrad::loss::IGNORED` marks a row without label, which only a loss with `ignore_index` takes |
| rows of a table that differ in length, columns that are missing or share a name, bytes that are not UTF-8 | an error with file, line and column |
| a byte order mark, empty lines, spaces around fields, lines that end with `\\r\\n` | skipped |
| a table, data set or file without rows | read; an error where something has to be learnt of it: fitting, splitting, training, evaluating |
| a column of equal numbers where columns are scaled | moved to 0 (or the low end), not divided |
| a header that announces more or less than there is | an error, before memory is asked for |
| `batch_rows` above the number of rows | one batch of all rows |
| sizes whose product is beyond 32 bits, or beyond what the device or the memory holds | an error when the model is planned or prepared |
| hyperparameters that are NaN, out of range, or no normal number in f32 | an error with field, value and range |
| features of another width given to a model | an error with both widths |

## Readers under mutation

Every reader is fed with damaged files: valid ones that were cut, grown, had bits flipped, ranges moved, removed, doubled, or were spliced
with another one, and fields set to extreme values. None may panic or hold more memory than a small multiple of what was read;
a damaged checkpoint must be refused. `cargo xtask fuzz --count 100000` does so for 100,000 files for each of the readers, `cargo xtask ci`
for 2,000, with the same files for the same seed. `fuzz/` has targets of cargo-fuzz for the same readers.

On 21 November 2026, `cargo xtask fuzz --count 100000 --seed 1` ended without a finding:

| files | read | refused |
| --- | --- | --- |
| tables of plain numbers | 16,917 | 83,083 |
| tables, and what encoders make of them | 30,488 | 69,512 |
| saved encoders | 3,383 | 96,617 |
| IDX | 7,662 | 92,338 |
| NPY | 3,030 | 96,970 |
| NPZ | 3,334 | 96,666 |
| weights | 960 | 99,040 |
| checkpoints (read: those that the damage left as they were) | 432 | 99,568 |
";

/// The page, and what is wrong with the list.
///
/// # Errors
/// What [`cases`] refuses.
pub fn page() -> Result<String, Vec<String>> {
    let cases = cases()?;
    let mut page = HEAD.to_owned();
    for doing in Doing::ALL {
        page += &format!("\n## {}\n", doing.title());
        for case in cases.iter().filter(|case| case.doing == doing) {
            let by_hand = if case.by_hand { " _(made by hand)_" } else { "" };
            // Writing to a text cannot fail.
            let _ = write!(
                page,
                "\n{}: `{}`{by_hand}\n\n```text\n{}\n```\n",
                case.mistake,
                kinds::kind(&case.error),
                case.text.trim_end()
            );
        }
    }
    Ok(page)
}
