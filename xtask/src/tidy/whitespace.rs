//! Text files end with one line feed and hold neither tabs, carriage returns nor trailing blanks.

use super::tree::{Finding, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = vec![];
    for file in &tree.files {
        for (index, line) in file.text.split('\n').enumerate() {
            let message = if line.contains('\r') {
                "end lines with a line feed alone"
            } else if line.contains('\t') {
                "indent with spaces"
            } else if line.ends_with(' ') {
                "remove the trailing blanks"
            } else {
                continue;
            };
            findings.push(Finding::new(&file.path, index + 1, message));
        }
        if !file.text.is_empty() && (!file.text.ends_with('\n') || file.text.ends_with("\n\n")) {
            findings.push(Finding::new(&file.path, 0, "end the file with exactly one line feed"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untidy_whitespace_is_found() {
        for (text, line) in [("a\r\n", 1), ("a\n\tb\n", 2), ("a \n", 1), ("a", 0), ("a\n\n", 0)] {
            let lines: Vec<usize> = check(&Tree::of(&[("a.md", text)])).iter().map(|finding| finding.line).collect();
            assert_eq!(lines, [line], "{text:?}");
        }
        assert_eq!(check(&Tree::of(&[("a.md", "a\n\n    b\n"), ("empty.md", "")])), []);
    }
}
