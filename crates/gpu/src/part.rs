//! What the writers of all kernel kinds share.

use std::fmt::Write;

use crate::form::Form;

/// A kernel's share of a module.
#[derive(Debug)]
pub(crate) struct Part {
    /// Its code; empty if there is nothing to do.
    pub(crate) text: String,
    /// Workgroups that it needs.
    pub(crate) groups: usize,
    /// How it is written.
    pub(crate) form: Form,
}

/// The machine that a dispatch is written for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine {
    /// Whether the adapter is a processor in disguise: workgroups are costly, workgroup memory and barriers more so.
    pub(crate) software: bool,
    /// Invocations of a workgroup, the same for all kernels of a dispatch.
    pub(crate) size: usize,
}

/// Writes the coordinates of the point with the given number in a space, and gives their names.
pub(crate) fn decode(position: &str, sizes: &[String], prefix: &str, out: &mut String) -> Vec<String> {
    if let [_] = sizes {
        return vec![position.to_owned()];
    }
    let mut axes = vec![String::new(); sizes.len()];
    let mut rest = position.to_owned();
    for (axis, size) in sizes.iter().enumerate().rev() {
        let name = format!("{prefix}{axis}");
        if axis == 0 {
            let _ = writeln!(out, "let {name} = {rest};");
        } else {
            let _ = writeln!(out, "let {name} = {rest} % {size};");
            let _ = writeln!(out, "let {prefix}r{axis} = {rest} / {size};");
            rest = format!("{prefix}r{axis}");
        }
        axes[axis] = name;
    }
    axes
}
