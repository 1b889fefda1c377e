//! `cargo xtask tidy`: the rules of the house that no compiler checks, also run by `cargo test`.
//!
//! Every check is a function from the sources to its findings, with a test that shows a bad sample rejected and a good one
//! let through. A message says what to do, not only what is wrong.

mod banned;
mod docs;
mod examples;
mod headers;
mod includes;
mod layers;
mod length;
mod manifests;
mod modules;
mod shaders;
mod tree;
mod whitespace;

use anyhow::{Result, bail};

use crate::process;
use tree::{Finding, Tree};

/// Every check that needs nothing but the sources.
const CHECKS: &[fn(&Tree) -> Vec<Finding>] = &[
    headers::check,
    length::check,
    whitespace::check,
    banned::check,
    modules::check,
    includes::check,
    shaders::check,
    manifests::check,
    docs::check,
    examples::check,
];

pub(crate) fn run() -> Result<()> {
    let tree = Tree::read(&process::root())?;
    for warning in length::warnings(&tree) {
        println!("warning: {warning}");
    }
    let findings = findings(&tree)?;
    for finding in &findings {
        println!("error: {finding}");
    }
    if !findings.is_empty() {
        bail!("{} untidy places", findings.len());
    }
    println!("tidy: {} files, nothing to complain about", tree.files.len());
    Ok(())
}

fn findings(tree: &Tree) -> Result<Vec<Finding>> {
    let mut findings: Vec<Finding> = CHECKS.iter().flat_map(|check| check(tree)).collect();
    findings.extend(layers::check(&layers::read_packages()?));
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_tidy() {
        let tree = Tree::read(&process::root()).unwrap();
        let findings: Vec<String> = findings(&tree).unwrap().iter().map(ToString::to_string).collect();
        assert!(findings.is_empty(), "{}", findings.join("\n"));
    }
}
