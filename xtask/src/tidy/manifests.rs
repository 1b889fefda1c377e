//! Packages take lints, licence and versions from the workspace.

use super::tree::{Finding, Tree};

/// Lines that every package's manifest has.
const REQUIRED: &[&str] = &[
    "version.workspace = true",
    "edition.workspace = true",
    "rust-version.workspace = true",
    "license.workspace = true",
    "publish.workspace = true",
    "[lints]\nworkspace = true",
];

/// The targets of cargo-fuzz are a workspace of their own.
const ALONE: &str = "fuzz/Cargo.toml";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = vec![];
    for file in tree.ending("/Cargo.toml").filter(|file| file.path != ALONE) {
        for required in REQUIRED {
            if !file.text.contains(required) {
                let message = format!("add `{}`", required.replace('\n', " "));
                findings.push(Finding::new(&file.path, 0, message));
            }
        }
        let mut section = "";
        for (index, line) in file.text.lines().enumerate() {
            if line.starts_with('[') {
                section = line;
                continue;
            }
            let declares = section.ends_with("dependencies]") && line.contains('=');
            if declares && !line.trim_start().starts_with('#') && !line.contains("workspace = true") {
                let message = "name the version once, in the workspace's manifest, and write `.workspace = true` here";
                findings.push(Finding::new(&file.path, index + 1, message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_on_their_own_are_found() {
        let good = format!("[package]\n{}\n", REQUIRED.join("\n")) + "[dependencies]\nlog.workspace = true\n";
        assert_eq!(check(&Tree::of(&[("a/Cargo.toml", &good)])), []);
        assert_eq!(check(&Tree::of(&[("a/Cargo.toml", "[package]\n")])).len(), REQUIRED.len());
        let own_version = format!("{good}rayon = \"1\"\n");
        let lines: Vec<usize> = check(&Tree::of(&[("a/Cargo.toml", &own_version)])).iter().map(|f| f.line).collect();
        assert_eq!(lines, [own_version.lines().count()]);
    }
}
