//! Documents name only what exists, ARCHITECTURE.md names everything that it should, and Rust code in documents is code that is
//! compiled.

use super::tree::{File, Finding, Tree};

const MAP: &str = "ARCHITECTURE.md";
/// ARCHITECTURE.md is read in one sitting.
const MAP_LINES_MAX: usize = 200;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings: Vec<Finding> = tree.ending(".md").flat_map(|file| broken_paths(tree, file)).collect();
    findings.extend(tree.ending(".md").flat_map(|file| uncompiled_code(tree, file)));
    let Some(map) = tree.find(MAP) else {
        findings.push(Finding::new(MAP, 0, "is missing"));
        return findings;
    };
    let lines = map.text.lines().count();
    if lines > MAP_LINES_MAX {
        findings.push(Finding::new(
            MAP,
            0,
            format!("{lines} lines, at most {MAP_LINES_MAX}: move detail to the sources"),
        ));
    }
    for name in worth_mentioning(tree) {
        if !map.text.contains(&name) {
            findings.push(Finding::new(MAP, 0, format!("does not mention {name}")));
        }
    }
    findings
}

/// Every package's folder, and every file and folder that core is made of.
fn worth_mentioning(tree: &Tree) -> Vec<String> {
    let packages = tree.ending("/Cargo.toml").filter_map(|file| file.path.strip_suffix("Cargo.toml"));
    let core = tree.paths.iter().filter_map(|path| path.strip_prefix("crates/core/src/"));
    let top = core.filter(|inside| !inside.is_empty() && !inside.trim_end_matches('/').contains('/'));
    let top = top.filter(|name| *name != "lib.rs" && !name.ends_with("tests.rs"));
    packages.map(str::to_owned).chain(top.map(str::to_owned)).collect()
}

/// Paths in back-ticks that lead nowhere. A path is from the root, or the end of some file's path: `plan/kernel.rs`.
fn broken_paths(tree: &Tree, file: &File) -> Vec<Finding> {
    let mut findings = vec![];
    let mut fenced = false;
    for (index, line) in file.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for quoted in line.split('`').skip(1).step_by(2).filter(|quoted| looks_like_path(quoted)) {
            let tail = format!("/{quoted}");
            let folder = format!("{}/", quoted.trim_end_matches('/'));
            let exists = tree.paths.iter().any(|p| p == quoted || *p == folder || p.ends_with(&tail));
            // "Put this into `new.csv`:" has the reader write that file.
            let is_written = line.ends_with(&format!("into `{quoted}`:"));
            if !exists && !is_written {
                findings.push(Finding::new(&file.path, index + 1, format!("`{quoted}` does not exist")));
            }
        }
    }
    findings
}

fn looks_like_path(quoted: &str) -> bool {
    const ENDINGS: &[&str] = &[".rs", ".wgsl", ".toml", ".md", ".json", ".csv", "/"];
    let plain = quoted.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    let ends = ENDINGS.iter().any(|ending| quoted.ends_with(ending) && quoted.len() > ending.len());
    plain && ends && !quoted.starts_with('/')
}

/// Blocks of Rust that stand, line by line, in no source (an example, or a doctest).
fn uncompiled_code(tree: &Tree, file: &File) -> Vec<Finding> {
    let mut findings = vec![];
    let mut lines = file.text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        if line.trim() != "```rust" {
            continue;
        }
        let block: Vec<&str> = lines.by_ref().map(|(_, line)| line.trim()).take_while(|line| *line != "```").collect();
        let compiled = tree.ending(".rs").any(|source| contains_lines(&source.text, &block));
        if !compiled {
            let message =
                "no example or doctest has these lines: code in documents is copied from code that is compiled";
            findings.push(Finding::new(&file.path, index + 1, message));
        }
    }
    findings
}

/// Whether the lines follow each other somewhere in the text, leaving indentation, comment signs and hidden doctest lines aside.
fn contains_lines(text: &str, lines: &[&str]) -> bool {
    fn bare(line: &str) -> &str {
        let line = line.trim();
        line.strip_prefix("//!").or_else(|| line.strip_prefix("///")).unwrap_or(line).trim()
    }
    let visible: Vec<&str> = text.lines().map(bare).filter(|line| *line != "#" && !line.starts_with("# ")).collect();
    let lines: Vec<&str> = lines.iter().map(|line| bare(line)).collect();
    !lines.is_empty() && visible.windows(lines.len()).any(|window| window == lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(map: &str) -> Vec<String> {
        let tree = Tree::of(&[
            (MAP, map),
            ("crates/core/Cargo.toml", ""),
            ("crates/core/src/lib.rs", ""),
            ("crates/core/src/op.rs", ""),
            ("crates/core/src/plan/mod.rs", ""),
        ]);
        check(&tree).into_iter().map(|finding| finding.message).collect()
    }

    const GOOD: &str = "The crate `crates/core/` has `op.rs` and `plan/`; `a::b` and `x / y` are not paths.\n";

    #[test]
    fn paths_have_to_exist() {
        assert_eq!(messages(GOOD), Vec::<String>::new());
        assert_eq!(messages(&format!("{GOOD}See `plan/kernel.rs`.\n")), ["`plan/kernel.rs` does not exist"]);
        assert_eq!(messages(&format!("{GOOD}See `crates/none/`.\n")), ["`crates/none/` does not exist"]);
        assert_eq!(messages(&format!("{GOOD}Put this into `new.csv`:\n")), [""; 0]);
    }

    #[test]
    fn code_has_to_be_compiled_somewhere() {
        let document = "# Use\n```rust\nlet a = 1;\n    f(a);\n```\n";
        let found = |source: &str| {
            let tree = Tree::of(&[("README.md", document), ("a.rs", source)]);
            uncompiled_code(&tree, tree.find("README.md").unwrap()).iter().map(|f| f.line).collect::<Vec<_>>()
        };
        assert_eq!(found("fn main() {\n    let a = 1;\n    f(a);\n}\n"), [0; 0]);
        assert_eq!(found("//! let a = 1;\n//! # hidden();\n//! f(a);\n"), [0; 0]);
        assert_eq!(found("fn main() {\n    let a = 2;\n    f(a);\n}\n"), [2]);
    }

    #[test]
    fn packages_and_modules_have_to_be_mentioned() {
        assert_eq!(messages("# Map\n").len(), 3);
    }

    #[test]
    fn the_map_stays_short_and_stays() {
        assert_eq!(messages(&format!("{GOOD}{}", "x\n".repeat(MAP_LINES_MAX))).len(), 1);
        let without = check(&Tree::of(&[("README.md", "")]));
        assert_eq!(without.iter().map(|finding| finding.path.as_str()).collect::<Vec<_>>(), [MAP]);
    }
}
