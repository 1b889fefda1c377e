//! No Rust file lies around that no package compiles.

use super::tree::{Finding, Tree};

/// Folders of a package whose files are targets by themselves.
const TARGET_FOLDERS: &[&str] = &["src/bin", "examples", "tests", "benches"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = vec![];
    for file in tree.ending(".rs") {
        let Some(package) = tree.package_of(&file.path) else {
            findings.push(Finding::new(&file.path, 0, "belongs to no package"));
            continue;
        };
        let inside = &file.path[package.len() + 1..];
        if !is_target(tree, package, inside) && !is_declared(tree, &file.path) {
            findings.push(Finding::new(&file.path, 0, "no module declares it: add it with `mod`, or remove it"));
        }
    }
    findings
}

/// Whether cargo compiles it by itself: by its place, or by name in the manifest.
fn is_target(tree: &Tree, package: &str, inside: &str) -> bool {
    let (folder, name) = inside.rsplit_once('/').unwrap_or(("", inside));
    let by_place = matches!(inside, "src/lib.rs" | "src/main.rs" | "build.rs") || TARGET_FOLDERS.contains(&folder);
    let folder_target =
        name == "main.rs" && folder.rsplit_once('/').is_some_and(|(outer, _)| TARGET_FOLDERS.contains(&outer));
    let manifest = tree.find(&format!("{package}/Cargo.toml"));
    by_place || folder_target || manifest.is_some_and(|file| file.text.contains(&format!("path = \"{inside}\"")))
}

/// Whether a parent module has `mod name;`, or `name` in the list of a macro that has `mod $file;`, or some module names the file as the
/// path of one.
fn is_declared(tree: &Tree, path: &str) -> bool {
    let module = path.strip_suffix("/mod.rs").or_else(|| path.strip_suffix(".rs")).unwrap_or(path);
    let Some((folder, name)) = module.rsplit_once('/') else { return false };
    let declaration = format!("mod {name};");
    let declares = |line: &str| line == declaration || line.ends_with(&format!(" {declaration}"));
    let lists = |line: &str| line.starts_with(&format!("{name}::")) || line.ends_with(&format!(" {name} {{"));
    let declared_in = |text: &str| {
        let generates = text.contains("mod $file;");
        text.lines().map(str::trim).any(|line| declares(line) || (generates && lists(line)))
    };
    let parent = format!("{folder}.rs");
    let is_parent = |of: &str| of == parent || (of != path && folder_of(of) == folder);
    tree.ending(".rs").any(|file| is_parent(&file.path) && declared_in(&file.text))
        || tree.ending(".rs").any(|file| {
            let inside = path.strip_prefix(folder_of(&file.path)).and_then(|inside| inside.strip_prefix('/'));
            inside.is_some_and(|inside| file.text.contains(&format!("#[path = \"{inside}\"]")))
        })
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undeclared_files_are_found() {
        let tree = Tree::of(&[
            ("a/Cargo.toml", "[[example]]\npath = \"more/x.rs\"\n"),
            ("a/src/lib.rs", "mod used;\npub mod deep;\nmod pages;\n#[path = \"deep_tests.rs\"]\nmod tests;\n"),
            ("a/src/deep_tests.rs", ""),
            ("a/tests/one.rs", "#[path = \"common/compare.rs\"]\nmod compare;\n"),
            ("a/tests/common/compare.rs", ""),
            ("a/tests/common/dead.rs", ""),
            ("a/src/used.rs", ""),
            ("a/src/deep/mod.rs", "pub(crate) mod inner;\n"),
            ("a/src/deep/inner.rs", "mod tests;\n"),
            ("a/src/deep/inner/tests.rs", ""),
            ("a/src/bin/tool.rs", ""),
            ("a/examples/shown.rs", ""),
            ("a/more/x.rs", ""),
            ("a/src/dead.rs", ""),
            ("a/src/deep/used.rs", ""),
            ("a/src/pages/mod.rs", "$(mod $file;)+\n    one::One,\n    \"Group\" two {\n        Two,\n    }\n"),
            ("a/src/pages/one.rs", ""),
            ("a/src/pages/two.rs", ""),
            ("a/src/pages/three.rs", ""),
            ("stray.rs", ""),
        ]);
        let paths: Vec<String> = check(&tree).into_iter().map(|finding| finding.path).collect();
        assert_eq!(
            paths,
            ["a/tests/common/dead.rs", "a/src/dead.rs", "a/src/deep/used.rs", "a/src/pages/three.rs", "stray.rs"]
        );
    }
}
