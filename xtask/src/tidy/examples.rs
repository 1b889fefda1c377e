//! Every public item of the package that users import is shown in use.

use super::tree::{File, Finding, Tree};

/// The sources whose public items are the API.
const API: &str = "crates/wgrad/src/";

/// What can stand between `pub` and `fn`.
const QUALIFIERS: &[&str] = &["const ", "async ", "unsafe "];

/// Items that have an example wherever they stand, also in a macro that declares them.
const TYPES: &[&str] = &["struct", "enum", "trait", "union"];

/// Items that have one where they stand by themselves. In an `impl` they may do with that of the type.
const FREE: &[&str] = &["fn", "const", "static", "type"];

/// Words behind the opening of a block that rustdoc compiles. Of the others it runs or compiles nothing.
const COMPILED: &[&str] = &["", "rust", "no_run", "should_panic", "compile_fail"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let sources = tree.ending(".rs").filter(|file| file.path.starts_with(API) && !file.path.ends_with("tests.rs"));
    sources.flat_map(unshown).collect()
}

/// The public items of a file without an example.
fn unshown(file: &File) -> Vec<Finding> {
    let mut findings = vec![];
    let mut comment: Vec<&str> = vec![];
    // Brackets of an attribute that are open.
    let mut open = 0;
    let mut lines = file.text.lines().enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        let code = line.trim_start();
        if code == "#[cfg(test)]"
            && lines.peek().is_some_and(|(_, next)| next.starts_with("mod ") && next.ends_with('{'))
        {
            // The module of tests is the last of a file.
            break;
        }
        if open > 0 || code.starts_with("#[") {
            open = (open + code.matches('[').count()).saturating_sub(code.matches(']').count());
        } else if let Some(text) = code.strip_prefix("///") {
            comment.push(text.trim());
        } else {
            if let Some((kind, name)) = item(line)
                && !has_example(&comment)
            {
                let message = format!(
                    "{kind} {name} has no example: show it in use in its doc comment, in a block of ``` with an assertion"
                );
                findings.push(Finding::new(&file.path, index + 1, message));
            }
            comment.clear();
        }
    }
    findings
}

/// Kind and name of the public item that a line declares, if it is one that needs an example.
fn item(line: &str) -> Option<(&str, &str)> {
    let code = line.trim_start();
    let mut rest = code.strip_prefix("pub ")?;
    while let Some(after) = QUALIFIERS.iter().find_map(|word| rest.strip_prefix(word)) {
        // In `const NAME: u32` it is the item itself.
        if !after.starts_with("fn ") && !QUALIFIERS.iter().any(|word| after.starts_with(word)) {
            break;
        }
        rest = after;
    }
    let (kind, rest) = rest.split_once(' ')?;
    let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
    let needed = TYPES.contains(&kind) || (FREE.contains(&kind) && code.len() == line.len());
    // The name of what a macro declares for others is a `$Name`; its comment comes with the call.
    (needed && !name.is_empty()).then_some((kind, name))
}

/// Whether a comment has a block that is compiled.
fn has_example(comment: &[&str]) -> bool {
    let mut fences = comment.iter().filter_map(|line| line.strip_prefix("```"));
    let mut found = false;
    while let Some(opening) = fences.next() {
        found |= opening.split(',').all(|word| COMPILED.contains(&word.trim()));
        fences.next();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(usize, String)> {
        let findings = check(&Tree::of(&[("crates/wgrad/src/a.rs", text)]));
        let subject = |message: &str| message.split(" has ").next().unwrap_or_default().to_owned();
        findings.iter().map(|finding| (finding.line, subject(&finding.message))).collect()
    }

    /// An item with a comment on it.
    fn with(comment: &str, item: &str) -> String {
        comment.lines().map(|line| format!("/// {line}\n")).collect::<String>() + item + "\n"
    }

    const EXAMPLE: &str = "An item.\n\n```\nassert_eq!(1, 1);\n```";

    #[test]
    fn every_kind_of_item_needs_an_example() {
        for (item, subject) in [
            ("pub struct A;", "struct A"),
            ("pub struct A<'g> {", "struct A"),
            ("pub enum A {", "enum A"),
            ("pub trait A: Debug {", "trait A"),
            ("pub fn a<'g>(x: &'g str) {}", "fn a"),
            ("pub const fn a() {}", "fn a"),
            ("pub const A: u32 = 1;", "const A"),
            ("pub static A: u32 = 1;", "static A"),
            ("pub type A = u32;", "type A"),
            ("        pub enum A {", "enum A"),
        ] {
            assert_eq!(found(&with("An item.", item)), [(2, subject.to_owned())], "{item}");
            assert_eq!(found(&with(EXAMPLE, item)), [], "{item}");
        }
    }

    #[test]
    fn what_is_no_item_of_the_api_needs_none() {
        for other in [
            "struct A;",
            "pub(crate) struct A;",
            "pub use a::A;",
            "pub mod a;",
            "    pub fn method(&self) {}",
            "    pub const ALL: u32 = 1;",
            "    pub field: u32,",
            "        pub struct $Name;",
            "#[cfg(test)]\nmod tests {\n    pub struct A;\n}",
        ] {
            assert_eq!(found(&with("Something.", other)), [], "{other}");
        }
        let elsewhere =
            [("crates/core/src/a.rs", "pub struct A;\n"), ("crates/wgrad/src/a_tests.rs", "pub struct A;\n")];
        assert_eq!(check(&Tree::of(&elsewhere)), []);
    }

    #[test]
    fn the_example_belongs_to_the_item_and_is_compiled() {
        let attributes = "#[derive(Debug)]\n#[expect(\n    clippy::large_enum_variant,\n    reason = \"[few]\"\n)]\n";
        assert_eq!(found(&with(EXAMPLE, &format!("{attributes}pub enum A {{"))), []);
        let formula = "An item.\n\n```text\np <- p - g\n```";
        assert_eq!(found(&with(formula, "pub struct A;")).len(), 1);
        assert_eq!(found(&with(&format!("{formula}\n\n{EXAMPLE}"), "pub struct A;")), []);
        assert_eq!(found(&with("```ignore\nf();\n```", "pub struct A;")).len(), 1);
        assert_eq!(found(&with("```no_run\nf();\n```", "pub struct A;")), []);
        // That of the item above, or of the whole file.
        assert_eq!(found(&(with(EXAMPLE, "pub struct A;") + &with("Another.", "pub struct B;")))[0].1, "struct B");
        assert_eq!(found("//! ```\n//! f();\n//! ```\n\npub struct A;\n").len(), 1);
    }

    #[test]
    fn the_message_says_where_and_what_to_do() {
        let findings = check(&Tree::of(&[("crates/wgrad/src/a.rs", "//! A.\n\n/// An item.\npub struct A;\n")]));
        assert_eq!(
            findings[0].to_string(),
            "crates/wgrad/src/a.rs:4: struct A has no example: show it in use in its doc comment, in a block of ``` with an \
             assertion"
        );
    }
}
