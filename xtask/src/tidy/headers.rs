//! Every file says first what it is.

use super::tree::{Finding, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = vec![];
    for file in tree.ending(".rs") {
        if !file.text.starts_with("//! ") {
            findings.push(Finding::new(&file.path, 1, "begin with a `//!` comment that says what the file is for"));
        }
    }
    for file in tree.ending(".wgsl") {
        if !file.text.starts_with("// ") {
            findings.push(Finding::new(
                &file.path,
                1,
                "begin with a comment: what it computes, its bindings, its dispatch",
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_without_a_header_are_found() {
        let tree = Tree::of(&[
            ("good.rs", "//! Good.\n"),
            ("bad.rs", "use std::fmt;\n"),
            ("good.wgsl", "// Good.\n"),
            ("bad.wgsl", "var<private> a: u32;\n"),
        ]);
        let paths: Vec<String> = check(&tree).into_iter().map(|finding| finding.path).collect();
        assert_eq!(paths, ["bad.rs", "bad.wgsl"]);
    }
}
