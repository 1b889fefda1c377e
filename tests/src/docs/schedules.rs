//! The part of `docs/optimizers.md` that is about schedules.

use wgrad::Page;
use wgrad::schedule::{ReduceOnPlateau, Schedule};

use crate::docs::defaults;
use crate::docs::examples::{Example, examples, kind};
use crate::docs::optimizers::cell;
use crate::docs::source::Definition;

const HEAD: &str = "
## Schedules

A schedule gives the value that a learning rate, a momentum or a weight decay has at update `t`, counted from 0. It is a function of
nothing else, so it goes on after a resumption as if nothing had happened.

![Every schedule](schedules.svg)

| schedule | value at update `t` | defaults | after its end |
| --- | --- | --- | --- |
";

/// The part. What the sources lack is added to the errors.
pub(super) fn text(errors: &mut Vec<String>) -> String {
    let examples = examples();
    let (mut table, mut differences) = (HEAD.to_owned(), String::new());
    for page in Schedule::PAGES {
        match entry(page, &examples) {
            Err(found) => errors.extend(found),
            Ok((row, difference)) => {
                table += &row;
                differences += &difference;
            }
        }
    }
    let plateau = plateau().map_err(|found| errors.extend(found)).unwrap_or_default();
    table + "\nWhere they come from, and how libraries differ:\n\n" + &differences + &plateau
}

fn entry(page: &Page, examples: &[Example]) -> Result<(String, String), Vec<String>> {
    let definition = Definition::read(page.file, page.text, page.name).map_err(|e| vec![e])?;
    let mut errors: Vec<String> =
        definition.lacks(&["End", "Differs"]).into_iter().map(|part| format!("its comment lacks {part}")).collect();
    match examples.iter().find(|example| kind(&example.schedule) == page.name) {
        None => errors.push("tests/src/docs/examples.rs has no example of it".to_owned()),
        Some(example) => errors.extend(defaults::wrong(&definition, &example.schedule.curve())),
    }
    if !errors.is_empty() {
        return Err(errors.into_iter().map(|e| format!("{}: {}: {e}", page.file, page.name)).collect());
    }
    let formula: Vec<String> = definition.formula.iter().map(|line| format!("`{}`", cell(line))).collect();
    let defaults = definition.members.iter().map(|m| match &m.default {
        None => format!("`{}`", m.name),
        Some(default) => format!("`{}` = {default}", m.name),
    });
    let defaults: Vec<String> = defaults.collect();
    let part = |label| definition.part(label).unwrap_or_default();
    let row =
        format!("| {} | {} | {} | {} |\n", page.name, formula.join("<br>"), defaults.join(", "), cell(part("End")));
    Ok((row, format!("- **{}**: {} {}\n", page.name, definition.about.join(" "), upper(part("Differs")))))
}

fn plateau() -> Result<String, Vec<String>> {
    let page = ReduceOnPlateau::PAGE;
    let definition = Definition::read(page.file, page.text, page.name).map_err(|e| vec![e])?;
    let mut errors = definition.lacks(&["State", "Differs"]);
    errors.extend(defaults::wrong(&definition, &ReduceOnPlateau::default()));
    if !errors.is_empty() {
        return Err(errors.into_iter().map(|e| format!("{}: {}: {e}", page.file, page.name)).collect());
    }
    let mut text = format!("\n### ReduceOnPlateau\n\n{}\n\n", definition.about.join("\n\n"));
    text += &format!("```text\n{}\n```\n\n", definition.formula.join("\n"));
    let part = |label| definition.part(label).unwrap_or_default();
    text += &format!("State: {}\n\n| field | default | meaning |\n| --- | --- | --- |\n", part("State"));
    for member in &definition.members {
        let default = member.default.as_deref().unwrap_or_default();
        text += &format!("| `{}` | {default} | {} |\n", member.name, cell(&member.about));
    }
    Ok(text + &format!("\nDiffers: {}\n", part("Differs")))
}

/// With a capital at its start.
fn upper(text: &str) -> String {
    let mut rest = text.chars();
    // Names of libraries and of code stay as they are.
    let named = ["torch", "optax", "keras", "`"].iter().any(|name| text.starts_with(name));
    match rest.next() {
        Some(first) if !named => first.to_uppercase().chain(rest).collect(),
        _ => text.to_owned(),
    }
}
