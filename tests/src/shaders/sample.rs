//! Few shaders that stand for many, for tools that are too slow for all.

use std::collections::HashSet;

use super::collect::Shader;

/// Marks shaders so that every line of text that occurs in one, its numbers aside, occurs in a marked one. The first of several
/// is taken, so the choice is the same in every run.
pub fn sample(shaders: &[Shader]) -> Vec<bool> {
    let mut seen = HashSet::new();
    let adds = |shader: &Shader| shader.wgsl.lines().map(shape).filter(|line| seen.insert(line.clone())).count() > 0;
    shaders.iter().map(adds).collect()
}

/// A line without indentation, with 0 for every number.
fn shape(line: &str) -> String {
    let mut shape = String::with_capacity(line.len());
    for c in line.trim().chars() {
        match (c.is_ascii_digit(), shape.ends_with('0')) {
            (true, true) => {}
            (true, false) => shape.push('0'),
            (false, _) => shape.push(c),
        }
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_represented() {
        let shader =
            |wgsl: &str| Shader { label: String::new(), wgsl: wgsl.to_owned(), subgroups: false, forms: vec![] };
        let shaders = ["let a1 = 20;\nf(a1);", "  let a7 = 3;", "f(a2);\ng(a2);", "g(a10);"].map(shader);
        assert_eq!(sample(&shaders), [true, false, true, false]);
    }
}
