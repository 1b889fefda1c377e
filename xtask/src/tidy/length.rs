//! Files stay short enough to be read in one go.

use super::tree::{Finding, Tree};

/// Past this many lines a file is mentioned.
const LINES_WARNED: usize = 400;
/// Past this many lines a file fails, unless listed below.
const LINES_MAX: usize = 600;
/// An example is read at once, by somebody who is new here.
const EXAMPLE_LINES_MAX: usize = 150;

/// Examples of generated code, which are as long as they are.
const GENERATED: &str = "tests/snapshots/";

/// Files allowed to be longer, with their length. Entries may only shrink: a file that got shorter has its number lowered, one
/// that fits has its entry removed, and nothing is added.
const LONG_FILES: &[(&str, usize)] = &[];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    check_against(tree, LONG_FILES)
}

pub(super) fn warnings(tree: &Tree) -> Vec<Finding> {
    let long = counted(tree).filter(|&(_, lines)| lines > LINES_WARNED);
    long.map(|(path, lines)| {
        Finding::new(
            path,
            0,
            format!("{lines} lines; past {LINES_WARNED} think of splitting it, past {LINES_MAX} it fails"),
        )
    })
    .collect()
}

fn counted(tree: &Tree) -> impl Iterator<Item = (&str, usize)> {
    let sources = tree.files.iter().filter(|file| file.path.ends_with(".rs") || file.path.ends_with(".wgsl"));
    let sources = sources.filter(|file| !file.path.starts_with(GENERATED));
    sources.map(|file| (file.path.as_str(), file.text.lines().count()))
}

fn check_against(tree: &Tree, long_files: &[(&str, usize)]) -> Vec<Finding> {
    let mut findings = vec![];
    for (path, lines) in counted(tree) {
        if path.starts_with("examples/") && !path.starts_with("examples/src/") && lines > EXAMPLE_LINES_MAX {
            let message =
                format!("{lines} lines, at most {EXAMPLE_LINES_MAX} for an example: let the library do more of it");
            findings.push(Finding::new(path, 0, message));
        }
        let listed = long_files.iter().find(|(listed, _)| *listed == path);
        let message = match listed {
            None if lines > LINES_MAX => format!("{lines} lines, at most {LINES_MAX}: split it by topic"),
            None => continue,
            Some(_) if lines <= LINES_MAX => format!("{lines} lines fit now: remove its entry in LONG_FILES"),
            Some(&(_, limit)) if lines > limit => {
                format!("{lines} lines, and LONG_FILES allows {limit}: it may only shrink")
            }
            Some(&(_, limit)) if lines < limit => format!("{lines} lines: lower its entry in LONG_FILES from {limit}"),
            Some(_) => continue,
        };
        findings.push(Finding::new(path, 0, message));
    }
    for (path, _) in long_files {
        if tree.find(path).is_none() {
            findings.push(Finding::new(path, 0, "listed in LONG_FILES but gone: remove the entry"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree_with(lines: usize) -> Tree {
        Tree::of(&[("long.rs", &"x\n".repeat(lines))])
    }

    #[test]
    fn long_files_fail_and_listed_ones_only_shrink() {
        let count = |lines, listed: &[(&str, usize)]| check_against(&tree_with(lines), listed).len();
        assert_eq!(count(LINES_MAX, &[]), 0);
        assert_eq!(count(LINES_MAX + 1, &[]), 1);
        assert_eq!(count(700, &[("long.rs", 700)]), 0);
        assert_eq!(count(701, &[("long.rs", 700)]), 1);
        assert_eq!(count(699, &[("long.rs", 700)]), 1);
        assert_eq!(count(600, &[("long.rs", 700)]), 1);
        assert_eq!(count(10, &[("gone.rs", 700)]), 1);
    }

    #[test]
    fn examples_are_short() {
        let count = |path, lines: usize| check(&Tree::of(&[(path, &"x\n".repeat(lines))])).len();
        assert_eq!(count("examples/digits.rs", EXAMPLE_LINES_MAX), 0);
        assert_eq!(count("examples/digits.rs", EXAMPLE_LINES_MAX + 1), 1);
        assert_eq!(count("examples/src/lib.rs", EXAMPLE_LINES_MAX + 1), 0);
    }

    #[test]
    fn long_files_are_mentioned_before_they_fail() {
        assert_eq!(warnings(&tree_with(LINES_WARNED)).len(), 0);
        assert_eq!(warnings(&tree_with(LINES_WARNED + 1)).len(), 1);
        let generated = Tree::of(&[("tests/snapshots/long.wgsl", &"x\n".repeat(LINES_MAX + 1))]);
        assert_eq!((check(&generated).len(), warnings(&generated).len()), (0, 0));
    }
}
