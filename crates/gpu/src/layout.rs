//! Indentation and blank lines of generated text: people read it in snapshots and in messages of drivers.

/// Columns of a line.
const WIDTH: usize = 120;
const INDENT: usize = 4;
/// How the line before the entry point begins.
const ENTRY: &str = "@compute";

/// The same text, one statement on a line, indented by its brackets, with blank lines around functions.
pub(crate) fn lay_out(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 5 / 4);
    let mut depth = 0_usize;
    // A function that was just written takes several lines.
    let mut after_function = false;
    for line in joined(text) {
        let top = depth == 0 && !out.is_empty() && !line.starts_with('}');
        let starts_function = line.starts_with(ENTRY) || line.ends_with('{') && !last_line(&out).starts_with(ENTRY);
        if top && (after_function || starts_function) {
            out.push('\n');
        }
        let closing = line.chars().take_while(|&c| is_closing(c)).count();
        let indent = depth.saturating_sub(closing);
        wrap(&line, indent, &mut out);
        depth += line.chars().filter(|&c| is_opening(c)).count();
        depth = depth.saturating_sub(line.chars().filter(|&c| is_closing(c)).count());
        after_function = depth == 0 && line == "}";
    }
    out
}

/// Writes a line; one that is too long is broken up at the commas of its longest list in brackets.
fn wrap(line: &str, indent: usize, out: &mut String) {
    let is_long = indent * INDENT + line.len() > WIDTH;
    if let Some((start, end)) = is_long.then(|| longest_list(line)).flatten() {
        let (head, list, tail) = (&line[..start], &line[start..end], &line[end..]);
        wrap(head, indent, out);
        let mut from = 0;
        for (at, _) in at_depth(list, 0).filter(|&(_, c)| c == ',') {
            wrap(list[from..=at].trim_start(), indent + 1, out);
            from = at + 1;
        }
        wrap(list[from..].trim_start(), indent + 1, out);
        wrap(tail, indent, out);
        return;
    }
    out.extend(std::iter::repeat_n(' ', indent * INDENT));
    out.push_str(line);
    out.push('\n');
}

/// Where the longest list of several elements that stands in no other brackets lies, without its brackets.
fn longest_list(line: &str) -> Option<(usize, usize)> {
    let opened = at_depth(line, 1).filter(|&(_, c)| c == '(').map(|(at, _)| at + 1);
    let closed = at_depth(line, 0).filter(|&(_, c)| c == ')').map(|(at, _)| at);
    let lists = opened.zip(closed).filter(|&(start, end)| at_depth(&line[start..end], 0).any(|(_, c)| c == ','));
    lists.max_by_key(|(start, end)| end - start)
}

/// The characters after which as many brackets are open, with their places.
fn at_depth(text: &str, wanted: usize) -> impl Iterator<Item = (usize, char)> {
    let mut depth = 0_usize;
    text.char_indices().filter(move |&(_, c)| {
        depth = (depth + usize::from(is_opening(c))).saturating_sub(usize::from(is_closing(c)));
        depth == wanted
    })
}

const fn is_opening(c: char) -> bool {
    matches!(c, '(' | '{' | '[')
}

const fn is_closing(c: char) -> bool {
    matches!(c, ')' | '}' | ']')
}

fn last_line(text: &str) -> &str {
    text.trim_end().rsplit('\n').next().unwrap_or_default()
}

/// The lines without indentation; those that a hole has torn apart within round brackets are one again, where that fits.
fn joined(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut open = 0_isize;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match lines.last_mut().filter(|last| open > 0 && last.len() + line.len() < WIDTH) {
            Some(last) => {
                if !last.ends_with('(') && !line.starts_with(')') {
                    last.push(' ');
                }
                last.push_str(line);
            }
            None => lines.push(line.to_owned()),
        }
        let count = |bracket: char| line.chars().filter(|&c| c == bracket).count();
        open += count('(').cast_signed() - count(')').cast_signed();
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::lay_out;

    #[test]
    fn long_lines_are_broken_up_at_their_longest_list() {
        let [a, b] = ["a", "b"].map(|name| name.repeat(60));
        let line = format!("let x = f(1, 2) + select(g(0), vec2f({a}, h({b}, 1)), c);\n");
        let broken = format!(
            "let x = f(1, 2) + select(\n    g(0),\n    vec2f(\n        {a},\n        h({b}, 1)\n    ),\n    c\n);\n"
        );
        assert_eq!(lay_out(&line), broken);
    }

    #[test]
    fn torn_lines_are_joined_and_blocks_indented() {
        let torn = "@group(0) @binding(0) var<uniform> a: f32;\nfn f() { return; }\nfn g(x: u32) {\nif (x <\n    1u\n) {\nf();\n}\n\
            }\n@compute @workgroup_size(\n8\n)\nfn main(\n@builtin(workgroup_id) id: vec3u\n) {\ng(id.x);\n}\n";
        let whole = "@group(0) @binding(0) var<uniform> a: f32;\nfn f() { return; }\n\nfn g(x: u32) {\n    if (x < 1u) {\n        f();\n    }\n}\n\n\
            @compute @workgroup_size(8)\nfn main(@builtin(workgroup_id) id: vec3u) {\n    g(id.x);\n}\n";
        assert_eq!(lay_out(torn), whole);
        assert_eq!(lay_out(whole), whole);
    }
}
