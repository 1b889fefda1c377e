//! A package includes only its own files, so that it can be moved or published by itself. What may reach out is listed.

use super::tree::{File, Finding, Tree};

/// Which sources may include which files of other places.
const MAY_REACH_OUT: &[(&str, &str)] = &[("crates/gpu/src/", "shaders/")];

const MACROS: &[&str] = &["include_str!(", "include_bytes!(", "include!("];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = vec![];
    for file in tree.ending(".rs") {
        let Some(package) = tree.package_of(&file.path) else { continue };
        for (line, target) in included(file, package) {
            let inside = target.starts_with(&format!("{package}/"));
            let may = MAY_REACH_OUT.iter().any(|(from, to)| file.path.starts_with(from) && target.starts_with(to));
            if !inside && !may {
                let message =
                    format!("includes {target}, outside of its package {package}: move the file into the package");
                findings.push(Finding::new(&file.path, line, message));
            }
        }
    }
    findings
}

/// The files that a source includes, as paths from the root, each with its line.
fn included(file: &File, package: &str) -> Vec<(usize, String)> {
    let mut found = vec![];
    for start in MACROS.iter().flat_map(|name| file.text.match_indices(name)).map(|(at, name)| at + name.len()) {
        let argument: String = file.text[start..].chars().take_while(|&c| c != ';').collect();
        // `concat!(env!("CARGO_MANIFEST_DIR"), "/data.csv")` starts at the package, a plain literal at the file's folder.
        let mut literals = argument.split('"').skip(1).step_by(2);
        let Some(first) = literals.next() else { continue };
        let path = if first == "CARGO_MANIFEST_DIR" {
            format!("{package}/{}", literals.next().unwrap_or_default())
        } else {
            let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{folder}/{first}")
        };
        // A folder, where a macro adds the file's name.
        let slash = if path.ends_with('/') { "/" } else { "" };
        found.push((file.text[..start].lines().count(), normalised(&path) + slash));
    }
    found
}

fn normalised(path: &str) -> String {
    let mut parts: Vec<&str> = vec![];
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_found(path: &str, text: &str) -> Vec<usize> {
        let tree = Tree::of(&[("crates/gpu/Cargo.toml", ""), ("crates/core/Cargo.toml", ""), (path, text)]);
        check(&tree).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn reaching_out_of_a_package_is_found() {
        let out = format!("//! A.\nconst A: &str = {}\"../../../shaders/map.wgsl\");\n", MACROS[0]);
        assert_eq!(lines_found("crates/core/src/a.rs", &out), [2]);
        assert_eq!(lines_found("crates/gpu/src/a.rs", &out), [0; 0]);
        let folder = format!("        {}concat!(\"../../../shaders/\", $file));\n", MACROS[0]);
        assert_eq!(lines_found("crates/core/src/a.rs", &folder), [1]);
        assert_eq!(lines_found("crates/gpu/src/a.rs", &folder), [0; 0]);
        let own = format!("const A: &str = {}\"../data/a.csv\");\n", MACROS[0]);
        assert_eq!(lines_found("crates/core/src/a.rs", &own), [0; 0]);
        let from_package =
            format!("const A: &[u8] = {}concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/../b.csv\"));\n", MACROS[1]);
        assert_eq!(lines_found("crates/core/src/a.rs", &from_package), [1]);
    }

    #[test]
    fn paths_are_normalised() {
        assert_eq!(normalised("crates/gpu/src/../../../shaders/./map.wgsl"), "shaders/map.wgsl");
        assert_eq!(normalised("a/../../b"), "../b");
    }
}
