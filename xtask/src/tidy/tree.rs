//! The sources as the checks see them, and what a check says.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Every text file of the repository that some check reads.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Sorted by path.
    pub(super) files: Vec<File>,
    /// The path of every file, whatever its kind, and of every folder, with `/` at the end.
    pub(super) paths: Vec<String>,
}

/// A file: path relative to the root, with `/` on every system, and content.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
}

/// One untidy place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) path: String,
    /// From 1; 0 for the file as a whole.
    pub(super) line: usize,
    /// What to do about it.
    pub(super) message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, message } = self;
        if *line == 0 { write!(f, "{path}: {message}") } else { write!(f, "{path}:{line}: {message}") }
    }
}

impl Finding {
    pub(super) fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

const TEXT_ENDINGS: &[&str] = &[".rs", ".wgsl", ".toml", ".md"];

impl Tree {
    /// Reads the repository, leaving out what is built and what belongs to other tools.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        tree.visit(root, "")?;
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        tree.paths.sort();
        Ok(tree)
    }

    fn visit(&mut self, folder: &Path, prefix: &str) -> Result<()> {
        for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            if entry.file_type()?.is_dir() {
                if name == ".git" || name == "target" {
                    continue;
                }
                let inner = format!("{path}/");
                self.visit(&entry.path(), &inner)?;
                self.paths.push(inner);
            } else {
                if TEXT_ENDINGS.iter().any(|ending| name.ends_with(ending)) {
                    let text = fs::read_to_string(entry.path()).with_context(|| format!("cannot read {path}"))?;
                    self.files.push(File { path: path.clone(), text });
                }
                self.paths.push(path);
            }
        }
        Ok(())
    }

    /// The files whose names end so.
    pub(super) fn ending<'a>(&'a self, ending: &'a str) -> impl Iterator<Item = &'a File> {
        self.files.iter().filter(move |file| file.path.ends_with(ending))
    }

    /// A file by its path.
    pub(super) fn find(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The folder of the package that a file belongs to: `crates/core`.
    pub(super) fn package_of<'a>(&self, path: &'a str) -> Option<&'a str> {
        let mut folder = path;
        while let Some((parent, _)) = folder.rsplit_once('/') {
            if self.find(&format!("{parent}/Cargo.toml")).is_some() {
                return Some(parent);
            }
            folder = parent;
        }
        None
    }

    /// A made-up repository.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        for &(path, text) in files {
            tree.files.push(File { path: path.to_owned(), text: text.to_owned() });
            tree.paths.push(path.to_owned());
            for (at, _) in path.match_indices('/') {
                tree.paths.push(path[..=at].to_owned());
            }
        }
        tree.paths.sort();
        tree.paths.dedup();
        tree
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_belong_to_the_nearest_package() {
        let tree = Tree::of(&[("Cargo.toml", ""), ("crates/core/Cargo.toml", ""), ("crates/core/src/a/b.rs", "")]);
        assert_eq!(tree.package_of("crates/core/src/a/b.rs"), Some("crates/core"));
        assert_eq!(tree.package_of("shaders/map.wgsl"), None);
    }

    #[test]
    fn reading_leaves_built_files_out() {
        let tree = Tree::read(&crate::process::root()).unwrap();
        assert!(tree.find("xtask/src/tidy/tree.rs").is_some());
        assert!(tree.paths.iter().all(|path| !path.starts_with("target/") && !path.starts_with(".git/")));
    }

    #[test]
    fn findings_read_like_compiler_messages() {
        assert_eq!(Finding::new("a.rs", 3, "mend it").to_string(), "a.rs:3: mend it");
        assert_eq!(Finding::new("a.rs", 0, "mend it").to_string(), "a.rs: mend it");
    }
}
