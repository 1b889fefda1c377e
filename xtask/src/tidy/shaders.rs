//! Every shader is used.

use super::tree::{Finding, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let shaders = tree.ending(".wgsl").filter_map(|file| Some((file, file.path.strip_prefix("shaders/")?)));
    let unused = shaders.filter(|(_, name)| {
        let quoted = [format!("\"{name}\""), format!("/{name}\"")];
        let mut users = tree.ending(".rs").filter(|file| file.path.starts_with("crates/gpu/src/"));
        !users.any(|user| quoted.iter().any(|quoted| user.text.contains(quoted)))
    });
    unused
        .map(|(file, _)| Finding::new(&file.path, 0, "crates/gpu does not name it: use it there, or remove it"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unused_shaders_are_found() {
        let tree = Tree::of(&[
            ("crates/gpu/src/shader.rs", "include!(\"../shaders/a.wgsl\"); NAME = \"b.wgsl\"; // c.wgsl\n"),
            ("shaders/a.wgsl", ""),
            ("shaders/b.wgsl", ""),
            ("shaders/c.wgsl", ""),
        ]);
        let paths: Vec<String> = check(&tree).into_iter().map(|finding| finding.path).collect();
        assert_eq!(paths, ["shaders/c.wgsl"]);
    }
}
