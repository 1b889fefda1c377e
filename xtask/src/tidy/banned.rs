//! Text that has no place in the sources, each with what to write in its stead.

use super::tree::{File, Finding, Tree};

/// Text banned in the files under a path.
struct Ban {
    text: &'static str,
    /// Where it is banned: files whose paths start so.
    under: &'static [&'static str],
    /// Whether comments may mention it.
    code_only: bool,
    instead: &'static str,
}

const EVERYWHERE: &[&str] = &[""];
const CORE: &[&str] = &["crates/core/src/"];
const LIBRARIES: &[&str] = &["crates/core/src/", "crates/cpu-ref/src/", "crates/gpu/src/"];

const BANS: &[Ban] = &[
    ban("todo!", EVERYWHERE, "write it, or return an error that says what is not supported"),
    ban("unimplemented!", EVERYWHERE, "write it, or return an error that says what is not supported"),
    ban("dbg!", EVERYWHERE, "log::debug!, or nothing"),
    ban("#[ignore", EVERYWHERE, "assert what happens today, and say in a comment what should"),
    ban("#[should_panic", EVERYWHERE, "return an error and assert on it"),
    ban("#[allow(", EVERYWHERE, "#[expect(lint, reason = \"why\")]"),
    ban("#![allow(", EVERYWHERE, "#![expect(lint, reason = \"why\")]"),
    ban("thread_rng", EVERYWHERE, "a generator with a seed that the caller gives"),
    ban("from_entropy", EVERYWHERE, "a generator with a seed that the caller gives"),
    ban("#[non_exhaustive]", CORE, "nothing: a new operation has to light up every match of the workspace"),
    Ban { code_only: false, ..ban("FIXME", EVERYWHERE, "mend it, or describe the limit in the documentation") },
    Ban { code_only: false, ..ban("TODO", EVERYWHERE, "do it, or describe the limit in the documentation") },
    Ban { code_only: false, ..ban("XXX", EVERYWHERE, "a sentence that says what is odd here and why") },
    // What core promises: no input or output, no threads, no clock, no environment.
    ban("std::fs", CORE, "values given by the caller; core does no input or output"),
    ban("std::net", CORE, "values given by the caller; core does no input or output"),
    ban("std::env", CORE, "an argument; core reads no environment"),
    ban("std::thread", CORE, "a loop; core starts no threads"),
    ban("std::time", CORE, "nothing; core has no clock"),
    ban("println!", LIBRARIES, "a returned value, or the log crate where the package has it"),
    ban("print!(", LIBRARIES, "a returned value, or the log crate where the package has it"),
];

const fn ban(text: &'static str, under: &'static [&'static str], instead: &'static str) -> Ban {
    Ban { text, under, code_only: true, instead }
}

/// This file has to name what it bans.
const EXEMPT: &str = "xtask/src/tidy/banned.rs";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = vec![];
    let sources = tree.files.iter().filter(|file| file.path.ends_with(".rs") || file.path.ends_with(".wgsl"));
    for file in sources.filter(|file| file.path != EXEMPT) {
        let tests_start = line_of_tests(file);
        for (index, line) in file.text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for Ban { text, under, code_only, instead } in BANS {
                let place = if *code_only { code } else { line };
                let applies = under.iter().any(|prefix| file.path.starts_with(prefix));
                // What only some packages promise, their tests need not keep.
                let excused = *under != EVERYWHERE && index >= tests_start;
                if place.contains(text) && applies && !excused {
                    findings.push(Finding::new(&file.path, index + 1, format!("instead of `{text}`: {instead}")));
                }
            }
        }
    }
    findings
}

/// Where the module of tests at the end of a file starts, counted from 0.
fn line_of_tests(file: &File) -> usize {
    if file.path.ends_with("tests.rs") || file.path.contains("/tests/") {
        return 0;
    }
    let lines: Vec<&str> = file.text.lines().collect();
    let start = lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].ends_with('{'));
    start.unwrap_or(lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ban_rejects_its_text_and_says_what_to_do() {
        for Ban { text, under, code_only, instead } in BANS {
            let path = format!("{}a.rs", under[0]);
            let findings = check(&Tree::of(&[(&path, &format!("//! A.\n    {text}\n"))]));
            assert!(findings.iter().any(|finding| finding.line == 2 && finding.message.contains(instead)), "{text}");
            let in_comment = check(&Tree::of(&[(&path, &format!("//! On {text}\n"))]));
            assert_eq!(in_comment.is_empty(), *code_only, "{text}");
        }
    }

    #[test]
    fn bans_hold_only_where_they_apply() {
        assert_eq!(check(&Tree::of(&[("examples/digits.rs", "use std::env;\nprintln!();\n")])), []);
        assert_eq!(check(&Tree::of(&[("crates/core/src/graph.rs", "use std::env;\nprintln!();\n")])).len(), 2);
        let tested = "fn f() {}\n#[cfg(test)]\nmod tests {\n    use std::env;\n    dbg!();\n}\n";
        let lines: Vec<usize> =
            check(&Tree::of(&[("crates/core/src/graph.rs", tested)])).iter().map(|f| f.line).collect();
        assert_eq!(lines, [5]);
    }
}
