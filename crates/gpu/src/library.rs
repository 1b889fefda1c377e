//! Functions of math.wgsl that a module uses, one element or four at a time.

use std::collections::BTreeSet;

use crate::template::{MATH, TREE};

/// Which library functions a module uses.
#[derive(Debug, Default)]
pub(crate) struct Library {
    used: BTreeSet<String>,
}

impl Library {
    /// Notes the use of a function whose name in math.wgsl ends in `_f32`, and gives its name for one element or for four.
    pub(crate) fn float(&mut self, stem: &str, wide: bool) -> String {
        let name = if wide { format!("{stem}_vec4f") } else { format!("{stem}_f32") };
        self.used.insert(name.clone());
        name
    }

    /// Notes the use of a function that exists in one form.
    pub(crate) fn plain(&mut self, name: &'static str) -> &'static str {
        self.used.insert(name.to_owned());
        name
    }

    /// The text of every function used, directly or by another, in the order of the file.
    ///
    /// # Errors
    /// If a function does not exist: a defect of this crate.
    pub(crate) fn text(&self) -> Result<String, String> {
        let mut functions = functions(TREE);
        for (name, text) in self::functions(MATH) {
            if name.ends_with("_f32") {
                functions.push((widen(&name), widen(&text)));
            }
            functions.push((name, text));
        }
        let mut wanted: Vec<&str> = self.used.iter().map(String::as_str).collect();
        let mut included = BTreeSet::new();
        while let Some(name) = wanted.pop() {
            let Some(position) = functions.iter().position(|(n, _)| n == name) else {
                return Err(format!("no shader file has the function '{name}'"));
            };
            if included.insert(position) {
                let (_, text) = &functions[position];
                let calls = |other: &str| text.contains(&format!("{other}("));
                wanted.extend(functions.iter().map(|(n, _)| n.as_str()).filter(|n| calls(n)));
            }
        }
        Ok(included.into_iter().map(|position| functions[position].1.as_str()).collect())
    }
}

/// A function for four elements, from the one for one: the same text with other types.
fn widen(text: &str) -> String {
    let mut text = text.to_owned();
    for (one, four) in [("f32", "vec4f"), ("u32", "vec4u"), ("i32", "vec4i"), ("bool", "vec4<bool>")] {
        text = text.replace(one, four);
    }
    text
}

/// The functions of a file, each from its `fn` to the `}` at the start of a line.
fn functions(file: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut current: Option<(String, String)> = None;
    for line in file.lines() {
        if let Some(rest) = line.strip_prefix("fn ") {
            let name = rest.split('(').next().unwrap_or_default();
            current = Some((name.to_owned(), String::new()));
        }
        if let Some((_, text)) = &mut current {
            if !line.trim_start().starts_with("//") {
                text.push_str(line);
                text.push('\n');
            }
            if line == "}" {
                found.extend(current.take());
            }
        }
    }
    found
}
