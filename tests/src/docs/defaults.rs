//! Compares the defaults that comments name with those that the code has, as `{:?}` prints them.

use std::fmt::Debug;

use crate::docs::source::{Definition, Member};

/// The fields of a struct, each with its value, as they are printed.
pub fn printed(value: &dyn Debug) -> Vec<(String, String)> {
    let text = format!("{value:?}");
    let Some((_, inside)) = text.split_once(" { ") else { return vec![] };
    let inside = inside.trim_end_matches(" }").to_owned() + ", ";
    let (mut fields, mut depth, mut start) = (vec![], 0, 0);
    for (at, c) in inside.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                if let Some((name, value)) = inside[start..at].trim().split_once(": ") {
                    fields.push((name.to_owned(), value.to_owned()));
                }
                start = at + 1;
            }
            _ => {}
        }
    }
    fields
}

/// The comments on fields that name a default which the struct does not have.
pub(super) fn wrong(definition: &Definition, value: &dyn Debug) -> Vec<String> {
    let said = |name: &str| {
        let Member { default, .. } = definition.members.iter().find(|member| member.name == name)?;
        default.clone()
    };
    let differs = |(name, value): (String, String)| {
        let said = said(&name).filter(|said| !same(said, &value))?;
        Some(format!("the comment on {name} says that {said} is its default, which is {value}"))
    };
    printed(value).into_iter().filter_map(differs).collect()
}

/// Whether a default in words is what was printed.
fn same(said: &str, printed: &str) -> bool {
    // What depends on other fields cannot be compared.
    if said.contains('`') && said.contains('/') {
        return true;
    }
    let said = said.replace('`', "");
    let printed = printed.strip_prefix("Some(").and_then(|inside| inside.strip_suffix(')')).unwrap_or(printed);
    let numbers = |text: &str| -> Vec<f64> { text.split(", ").map_while(|word| word.parse().ok()).collect() };
    let wanted = numbers(printed.trim_matches(['[', ']']));
    if !wanted.is_empty() {
        return numbers(&said) == wanted;
    }
    let word = said.split([',', ' ']).next().unwrap_or_default().rsplit("::").next().unwrap_or_default();
    word == printed || word == "none" && printed == "None"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    #[expect(dead_code, reason = "what is printed is looked at, not the fields")]
    struct Bag {
        rate: f64,
        list: [f64; 2],
        choice: Option<Choice>,
        last: bool,
    }

    #[derive(Debug)]
    #[expect(dead_code, reason = "what is printed is looked at, not the fields")]
    enum Choice {
        One { number: u64, other: u64 },
    }

    #[test]
    fn fields_are_read_from_what_is_printed() {
        let choice = Some(Choice::One { number: 1, other: 2 });
        let bag = Bag { rate: 1e-8, list: [1.0, 2.0], choice, last: false };
        let fields = printed(&bag);
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let choice = "Some(One { number: 1, other: 2 })";
        assert_eq!(fields, [("rate", "1e-8"), ("list", "[1.0, 2.0]"), ("choice", choice), ("last", "false")]);
        assert_eq!(printed(&"bare"), []);
    }

    #[test]
    fn defaults_in_words_are_compared() {
        for (said, value) in [
            ("0.5", "0.5"),
            ("1e-8", "0.00000001"),
            ("0, which keeps none", "0.0"),
            ("0.004", "Some(0.004)"),
            ("1, -2.5", "[1.0, -2.5]"),
            ("true", "true"),
            ("`Kind::One`", "One"),
            ("none", "None"),
            ("`peak`/25", "0.3"),
        ] {
            assert!(same(said, value), "{said} {value}");
        }
        for (said, value) in [
            ("0.5", "0.6"),
            ("none", "0.0"),
            ("1, -2.5", "[1.0, 2.5]"),
            ("1", "[1.0, 2.5]"),
            ("true", "false"),
            ("`Kind::One`", "Two"),
            ("all of them", "Two"),
        ] {
            assert!(!same(said, value), "{said} {value}");
        }
    }
}
