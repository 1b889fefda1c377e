//! Packages depend only downwards, and what is peculiar to one layer stays there.

use anyhow::{Context, Result, bail};

use super::tree::Finding;
use crate::process;

/// A package of the workspace and the packages that it names.
#[derive(Debug)]
pub(super) struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug)]
struct Dependency {
    name: String,
    /// Of its tests only.
    dev: bool,
}

/// The packages of the workspace, each with those of them that it may use.
const LAYERS: &[(&str, &[&str])] = &[
    ("wgrad-core", &[]),
    ("wgrad-cpu-ref", &["wgrad-core"]),
    ("wgrad-gpu", &["wgrad-core"]),
    ("wgrad", &["wgrad-core", "wgrad-cpu-ref", "wgrad-gpu"]),
    ("wgrad-examples", &["wgrad"]),
    ("wgrad-tests", &["wgrad-core", "wgrad-cpu-ref", "wgrad-gpu", "wgrad"]),
    ("xtask", &[]),
];

/// What the tests of every package may use besides: the oracle says what is right.
const TESTS_MAY_USE: &[&str] = &["wgrad-cpu-ref"];

/// Dependencies from outside that only some packages may name.
const RESERVED: &[(&str, &[&str])] = &[
    ("wgpu", &["wgrad-gpu"]),
    ("wgpu-core", &[]),
    ("wgpu-hal", &[]),
    ("naga", &["wgrad-gpu", "wgrad-tests", "xtask"]),
    ("gemm", &["wgrad-cpu-ref"]),
    ("anyhow", &["wgrad-examples", "xtask"]),
    ("clap", &["wgrad-examples", "xtask"]),
];

/// What core may use from outside.
const CORE_MAY_USE: &[&str] = &["thiserror"];

/// Asks cargo.
pub(super) fn read_packages() -> Result<Vec<Package>> {
    let mut command = process::cargo(&["metadata", "--no-deps", "--locked", "--format-version", "1"]);
    let output = command.output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let name = |value: &serde_json::Value| value["name"].as_str().unwrap_or_default().to_owned();
    let dependency = |value: &serde_json::Value| Dependency { name: name(value), dev: value["kind"] == "dev" };
    let dependencies = |package: &serde_json::Value| {
        package["dependencies"].as_array().map(|list| list.iter().map(dependency).collect()).unwrap_or_default()
    };
    Ok(packages.iter().map(|package| Package { name: name(package), dependencies: dependencies(package) }).collect())
}

pub(super) fn check(packages: &[Package]) -> Vec<Finding> {
    let mut findings = vec![];
    for Package { name, dependencies } in packages {
        let mut complain = |message: String| findings.push(Finding::new(name, 0, message));
        let Some((_, below)) = LAYERS.iter().find(|(layer, _)| layer == name) else {
            complain("is new: give it a layer in xtask/src/tidy/layers.rs and a place in ARCHITECTURE.md".to_owned());
            continue;
        };
        for Dependency { name: dependency, dev } in dependencies {
            let dependency = dependency.as_str();
            let is_ours = LAYERS.iter().any(|(layer, _)| *layer == dependency);
            let for_tests = *dev && TESTS_MAY_USE.contains(&dependency);
            if is_ours && !below.contains(&dependency) && !for_tests {
                complain(format!("may not depend on {dependency}: it is not below it"));
            }
            if RESERVED.iter().any(|(reserved, users)| *reserved == dependency && !users.contains(&name.as_str())) {
                complain(format!("may not name {dependency}: only the packages in RESERVED may"));
            }
            if name == "wgrad-core" && !is_ours && !CORE_MAY_USE.contains(&dependency) {
                complain(format!("may not depend on {dependency}: core stays free of anything heavy"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count_of(name: &str, dependencies: &[&str], dev: bool) -> usize {
        let dependencies = dependencies.iter().map(|&name| Dependency { name: name.to_owned(), dev }).collect();
        check(&[Package { name: name.to_owned(), dependencies }]).len()
    }

    fn count(name: &str, dependencies: &[&str]) -> usize {
        count_of(name, dependencies, false)
    }

    #[test]
    fn tests_may_use_the_oracle_and_nothing_else_from_above() {
        assert_eq!(count_of("wgrad-gpu", &["wgrad-cpu-ref"], true), 0);
        assert_eq!(count_of("wgrad-gpu", &["wgrad"], true), 1);
        assert_eq!(count_of("wgrad-cpu-ref", &["naga"], true), 1);
    }

    #[test]
    fn dependencies_point_downwards() {
        assert_eq!(count("wgrad-cpu-ref", &["wgrad-core", "gemm"]), 0);
        assert_eq!(count("wgrad-cpu-ref", &["wgrad-gpu"]), 1);
        assert_eq!(count("wgrad-gpu", &["wgrad-cpu-ref"]), 1);
        assert_eq!(count("wgrad-core", &["wgrad"]), 1);
        assert_eq!(count("xtask", &["wgrad-tests"]), 1);
        assert_eq!(count("wgrad-new", &[]), 1);
    }

    #[test]
    fn reserved_dependencies_stay_in_their_layer() {
        assert_eq!(count("wgrad-gpu", &["wgpu", "naga"]), 0);
        assert_eq!(count("wgrad", &["wgpu"]), 1);
        assert_eq!(count("wgrad-cpu-ref", &["naga"]), 1);
        assert_eq!(count("wgrad-core", &["thiserror"]), 0);
        assert_eq!(count("wgrad-core", &["rayon"]), 1);
    }

    #[test]
    fn cargo_lists_the_whole_workspace() {
        let packages = read_packages().unwrap();
        assert!(packages.iter().any(|package| package.name == "xtask"));
        assert!(packages.iter().any(|package| package.dependencies.iter().any(|d| d.name == "clap" && !d.dev)));
    }
}
