//! The shader files and their holes.
//!
//! Every file is valid WGSL as it stands. Text between a line `//# hole name` and the line `//# end` is an example that
//! generated text replaces.

/// A shader file: its name and text.
pub type ShaderFile = (&'static str, &'static str);

macro_rules! shader_files {
    ($($(#[$doc:meta])* $name:ident = $file:literal,)+) => {
        $($(#[$doc])* pub(crate) const $name: &str = include_str!(concat!("../../../shaders/", $file));)+

        /// Every shader file.
        pub const SHADERS: &[ShaderFile] = &[$(($file, $name)),+];
    };
}

shader_files! {
    /// Scalar functions.
    MATH = "math.wgsl",
    /// Folds over a workgroup.
    TREE = "tree.wgsl",
    /// The entry point, which hands each workgroup to its kernel.
    MAIN = "main.wgsl",
    /// Points on their own.
    MAP = "map.wgsl",
    /// Rows, an invocation each.
    ROWS = "rows.wgsl",
    /// Rows, a workgroup each.
    ROWS_WORKGROUP = "rows_workgroup.wgsl",
    /// Matrix products, operands broadcast within a subgroup.
    MATMUL_SUBGROUP = "matmul_subgroup.wgsl",
    /// Matrix products, operands staged in workgroup memory.
    MATMUL_TILE = "matmul_tile.wgsl",
    /// Matrix products, each invocation on its own.
    MATMUL_SMALL = "matmul_small.wgsl",
}

/// Fills the holes of a template and drops its comments. The hole `standalone` holds what makes the file valid as it stands and
/// is always emptied.
///
/// # Errors
/// With the name of a hole that the file has and `fill` lacks, or the reverse: a defect of this crate.
pub(crate) fn fill(template: &str, fill: &[(&str, &str)]) -> Result<String, String> {
    let mut out = String::with_capacity(template.len());
    let mut inside = false;
    let mut filled = 0;
    for line in template.lines() {
        let trimmed = line.trim_start();
        if let Some(name) = trimmed.strip_prefix("//# hole ") {
            inside = true;
            if name != "standalone" {
                let Some((_, text)) = fill.iter().find(|(hole, _)| *hole == name) else {
                    return Err(format!("nothing fills the hole '{name}'"));
                };
                out.push_str(text);
                if !text.is_empty() && !text.ends_with('\n') {
                    out.push('\n');
                }
                filled += 1;
            }
        } else if trimmed == "//# end" {
            inside = false;
        } else if !inside && !trimmed.starts_with("//") && !trimmed.is_empty() {
            out.push_str(line);
            out.push('\n');
        }
    }
    if filled == fill.len() { Ok(out) } else { Err(format!("the template lacks one of {} holes", fill.len())) }
}

/// Gives the module-scope names of a template, which all start with `part`, the prefix of one kernel of a dispatch.
pub(crate) fn rename(text: &str, prefix: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("part") {
        let whole = !rest[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let before_is_word = at == 0 && out.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let follows = rest[at + 4..].starts_with(['(', '_']);
        out.push_str(&rest[..at]);
        out.push_str(if whole && !before_is_word && follows { prefix } else { "part" });
        rest = &rest[at + 4..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::{SHADERS, fill, rename};

    #[test]
    fn holes() {
        let template = "a\n//# hole x\nold\n//# end\n// note\nb\n//# hole standalone\nc\n//# end\n";
        assert_eq!(fill(template, &[("x", "new\n")]), Ok("a\nnew\nb\n".to_owned()));
        assert!(fill(template, &[]).is_err());
        assert!(fill(template, &[("x", ""), ("y", "")]).is_err());
    }

    #[test]
    fn names() {
        assert_eq!(
            rename("fn part(x) { part_a(x); apart(x); part.x; }", "p0"),
            "fn p0(x) { p0_a(x); apart(x); part.x; }"
        );
    }

    /// Every hole ends, and none is inside of another.
    #[test]
    fn files() {
        for (name, text) in SHADERS {
            let mut open = false;
            for line in text.lines().map(str::trim_start) {
                if line.starts_with("//# hole ") {
                    assert!(!open, "{name}");
                    open = true;
                } else if line.starts_with("//#") {
                    assert!(open && line == "//# end", "{name}: {line}");
                    open = false;
                }
            }
            assert!(!open, "{name}");
        }
    }
}
