//! Reads definitions out of source files: the comment on a type, and its fields or variants with theirs.

/// What a file says about a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The paragraphs of its comment that are no other part, links made plain; examples are left out.
    pub about: Vec<String>,
    /// The lines of its formula; empty if there is none.
    pub formula: Vec<String>,
    /// The parts of its comment that begin with a label and a colon.
    pub parts: Vec<(String, String)>,
    /// Its fields, or variants with their fields, as they stand.
    pub members: Vec<Member>,
}

/// A field or variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name; a variant's field is `Variant.field`.
    pub name: String,
    /// What its comment says, without the default.
    pub about: String,
    /// The default, which its comment says at its end behind a semicolon.
    pub default: Option<String>,
}

/// Labels of parts.
const LABELS: [&str; 3] = ["State", "End", "Differs"];

impl Definition {
    /// Reads the type of a name.
    ///
    /// # Errors
    /// If the text has no such type, or the type or a member has no comment; the message names the file.
    pub fn read(file: &str, text: &str, name: &str) -> Result<Self, String> {
        let lines: Vec<&str> = text.lines().collect();
        let opens = |line: &str| {
            ["pub struct", "pub enum"].iter().any(|kind| {
                let rest = line.strip_prefix(kind).and_then(|rest| rest.trim().strip_prefix(name));
                rest.is_some_and(|rest| rest.starts_with([' ', ';', '<']))
            })
        };
        let Some(start) = lines.iter().position(|line| opens(line)) else {
            return Err(format!("{file}: there is no type {name}"));
        };
        let comment = comment_before(&lines[..start]);
        if comment.is_empty() {
            return Err(format!("{file}: {name} has no comment"));
        }
        let mut definition = Self::of_comment(&comment);
        if lines[start].ends_with('{') {
            let end = lines[start..].iter().position(|line| *line == "}").unwrap_or(lines.len() - start);
            definition.members = members(&lines[start + 1..start + end]);
        }
        match definition.members.iter().find(|member| member.about.is_empty()) {
            Some(member) => Err(format!("{file}: {name}: {} has no comment", member.name)),
            None => Ok(definition),
        }
    }

    fn of_comment(comment: &[String]) -> Self {
        let mut definition = Self { about: vec![], formula: vec![], parts: vec![], members: vec![] };
        let mut lines = comment.iter().map(String::as_str);
        let mut paragraph = Vec::new();
        loop {
            let line = lines.next();
            match line {
                Some("```text") => {
                    definition.formula = lines.by_ref().take_while(|l| *l != "```").map(str::to_owned).collect();
                }
                // Examples are for the documentation of the API.
                Some(line) if line.starts_with("```") => drop(lines.by_ref().find(|l| *l == "```")),
                Some(line) if !line.is_empty() => paragraph.push(line),
                _ => {
                    definition.add_paragraph(&plain(&paragraph.join(" ")));
                    paragraph.clear();
                }
            }
            if line.is_none() {
                return definition;
            }
        }
    }

    fn add_paragraph(&mut self, paragraph: &str) {
        let labelled = LABELS.iter().find_map(|label| {
            let rest = paragraph.strip_prefix(label)?.strip_prefix(": ")?;
            Some(((*label).to_owned(), rest.to_owned()))
        });
        match labelled {
            Some(part) => self.parts.push(part),
            None if paragraph.is_empty() => {}
            None => self.about.push(paragraph.to_owned()),
        }
    }

    /// A part of the comment.
    pub fn part(&self, label: &str) -> Option<&str> {
        self.parts.iter().find(|(found, _)| found == label).map(|(_, text)| text.as_str())
    }

    /// What the comment lacks of what it has to have: what it is, a formula, and parts of these labels.
    pub fn lacks(&self, labels: &[&str]) -> Vec<String> {
        let mut lacks = Vec::new();
        if !self.about.first().is_some_and(|about| about.ends_with('.')) {
            lacks.push("a sentence that says what it is".to_owned());
        }
        if self.formula.is_empty() {
            lacks.push("a formula in a block of ```text".to_owned());
        }
        let absent = labels.iter().filter(|label| self.part(label).is_none());
        lacks.extend(absent.map(|label| format!("a paragraph that begins with '{label}: '")));
        lacks
    }
}

/// The lines of the comment at the end of some lines, attributes left aside.
fn comment_before(lines: &[&str]) -> Vec<String> {
    let upwards = lines.iter().rev().skip_while(|line| line.starts_with("#["));
    let mut comment: Vec<String> = upwards.map_while(|line| comment_line(line)).collect();
    comment.reverse();
    comment
}

fn comment_line(line: &str) -> Option<String> {
    let rest = line.trim_start().strip_prefix("///")?;
    Some(rest.strip_prefix(' ').unwrap_or(rest).to_owned())
}

/// The members between the braces of a type, as rustfmt lays them out.
fn members(lines: &[&str]) -> Vec<Member> {
    let mut members = Vec::new();
    let mut comment: Vec<String> = Vec::new();
    let mut variant: Option<String> = None;
    for line in lines {
        if let Some(text) = comment_line(line) {
            comment.push(text);
            continue;
        }
        let (indent, line) = (line.len() - line.trim_start().len(), line.trim());
        if line.starts_with("#[") || line.is_empty() {
            continue;
        }
        if line == "}," {
            variant = None;
            continue;
        }
        let declaration = line.strip_prefix("pub ").unwrap_or(line);
        let word: String = declaration.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let name = match &variant {
            Some(variant) if indent > 4 => format!("{variant}.{word}"),
            _ => word.clone(),
        };
        if line.ends_with('{') {
            variant = Some(word);
        }
        let (about, default) = split_default(&plain(&comment.join(" ")));
        members.push(Member { name, about, default });
        comment.clear();
    }
    members
}

/// Splits `Step size; 0.001.` into what it is and the default.
fn split_default(comment: &str) -> (String, Option<String>) {
    let Some((about, default)) = comment.rsplit_once("; ") else { return (comment.to_owned(), None) };
    (format!("{about}."), Some(default.trim_end_matches('.').to_owned()))
}

/// Links to other items become their names: ``[`Chain`](super::Chain)`` becomes `` `Chain` ``.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once("[`") {
        let Some((name, after)) = link.split_once("`]") else { break };
        plain.push_str(before);
        plain.push_str(&format!("`{name}`"));
        let target = after.strip_prefix('(').and_then(|target| target.split_once(')'));
        rest = target.map_or(after, |(_, after)| after);
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
//! A file.

/// A rule (Somebody 1999), see [`Other`] and [`Third`](crate::Third).
///
/// ```text
/// p <- p - g
/// ```
///
/// State: `m`, which is something
///
/// Differs: nobody.
///
/// ```
/// let rule = Rule { rate: 0.5, steps: 1 };
///
/// assert_eq!(rule.steps, 1);
/// ```
#[derive(Debug)]
pub struct Rule {
    /// Step size; needs care; 0.5.
    pub rate: f64,
    /// Number of steps.
    pub steps: u64,
}

/// A choice.
pub enum Choice {
    /// The one.
    One,
    /// The two.
    Two {
        /// Its number; 3.
        number: u64,
    },
}

pub struct Bare;
";

    #[test]
    fn a_definition_is_read() {
        let rule = Definition::read("a.rs", TEXT, "Rule").unwrap();
        assert_eq!(rule.about, ["A rule (Somebody 1999), see `Other` and `Third`."]);
        assert_eq!(rule.formula, ["p <- p - g"]);
        assert_eq!(rule.part("State"), Some("`m`, which is something"));
        assert_eq!(rule.part("Differs"), Some("nobody."));
        assert_eq!(rule.lacks(&["State", "Differs"]), [""; 0]);
        assert_eq!(rule.lacks(&["End"]), ["a paragraph that begins with 'End: '"]);
        let members: Vec<_> =
            rule.members.iter().map(|m| (m.name.as_str(), m.about.as_str(), m.default.as_deref())).collect();
        assert_eq!(members, [("rate", "Step size; needs care.", Some("0.5")), ("steps", "Number of steps.", None)]);
        let choice = Definition::read("a.rs", TEXT, "Choice").unwrap();
        let names: Vec<_> = choice.members.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["One", "Two", "Two.number"]);
        assert_eq!(choice.lacks(&[]), ["a formula in a block of ```text"]);
    }

    #[test]
    fn what_is_missing_is_named_with_its_file() {
        let message = |text: &str, name: &str| Definition::read("a.rs", text, name).unwrap_err();
        assert_eq!(message(TEXT, "Absent"), "a.rs: there is no type Absent");
        assert_eq!(message(TEXT, "Bare"), "a.rs: Bare has no comment");
        assert_eq!(message("/// A.\npub struct A {\n    pub b: f64,\n}\n", "A"), "a.rs: A: b has no comment");
    }
}
