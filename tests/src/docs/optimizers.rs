//! `docs/optimizers.md`: optimizers, what is around them, and schedules, from their comments and definitions.

use wgrad::Page;
use wgrad::optim::{HostNumber, Now, Optimization, Optimizer, Slot, SlotShape, Varies};

use crate::docs::source::{Definition, Member};
use crate::docs::{defaults, schedules};

const HEAD: &str = "\
# Optimizers and schedules

<!-- Written by `cargo xtask docs` from the comments and definitions in crates/wgrad/src/optim and crates/wgrad/src/schedule. -->

What every optimizer and schedule computes, what it remembers, and in what it differs from torch 2.15, optax 0.2.8 and keras 3.

In formulas `p` is a parameter, `g` its gradient and `t` the step, counted from 1 (in schedules the update, counted from 0). All
operations are on elements unless a formula says otherwise. `x <- y` is what `x` is after the step, and on the right of later lines;
other names stand for what they are equal to. State starts at 0 unless something else is said.

Numbers that a formula needs are computed on the host in double precision and rounded once. Those that vary by something are fed at
every step (by the momentum or the weight decay only where a schedule drives it); the others are constants of the program.
";

/// The whole document. What the sources lack is added to the errors.
pub(super) fn text(errors: &mut Vec<String>) -> String {
    let mut text = HEAD.to_owned() + "\n";
    let pages: Vec<(&Page, Optimizer)> = Optimizer::PAGES.iter().zip(Optimizer::all()).collect();
    let mut families: Vec<&str> = pages.iter().map(|(page, _)| page.family).collect();
    families.dedup();
    text += &overview(&pages);
    for family in families {
        text += &format!("\n## {family}\n");
        for (page, optimizer) in pages.iter().filter(|(page, _)| page.family == family) {
            match section(page, optimizer) {
                Ok(section) => text += &section,
                Err(found) => errors.extend(found),
            }
        }
    }
    text += &around(errors);
    text += &schedules::text(errors);
    text
}

/// A row for each optimizer.
fn overview(pages: &[(&Page, Optimizer)]) -> String {
    let mut text =
        "| optimizer | family | kept for each element | kept besides |\n| --- | --- | --- | --- |\n".to_owned();
    for (page, optimizer) in pages {
        let rule = optimizer.rule();
        let (whole, single): (Vec<Slot>, Vec<Slot>) =
            rule.slots().into_iter().partition(|slot| slot.shape == SlotShape::Parameter);
        let names = |slots: &[Slot]| slots.iter().map(|slot| format!("`{}`", slot.name)).collect::<Vec<_>>().join(", ");
        let besides: Vec<String> = [(single, "each parameter"), (rule.shared_slots(), "all parameters together")]
            .iter()
            .filter(|(slots, _)| !slots.is_empty())
            .map(|(slots, of)| format!("{} for {of}", names(slots)))
            .collect();
        let (link, family) = (page.name.to_lowercase(), page.family);
        text += &format!("| [{}](#{link}) | {family} | {} | {} |\n", page.name, names(&whole), besides.join("; "));
    }
    text + "\nWith the defaults; variants may keep more. After them: [what is around an optimizer](#around-an-optimizer) and\n\
            [schedules](#schedules).\n"
}

fn section(page: &Page, optimizer: &Optimizer) -> Result<String, Vec<String>> {
    let definition = Definition::read(page.file, page.text, page.name).map_err(|e| vec![e])?;
    let errors: Vec<String> = wrong(&definition, optimizer);
    if !errors.is_empty() {
        return Err(errors.into_iter().map(|e| format!("{}: {}: {e}", page.file, page.name)).collect());
    }
    let mut text = format!("\n### {}\n\n{}\n\n", page.name, definition.about.join("\n\n"));
    text += &format!("```text\n{}\n```\n\n", definition.formula.join("\n"));
    text += &format!("State: {}\n\n", sentence(definition.part("State").unwrap_or_default()));
    let numbers: Vec<String> = numbers(optimizer).iter().map(number).collect();
    text += &format!("Numbers, with the defaults: {}.\n\n", numbers.join("; "));
    let ranges = optimizer.rule().hyperparameters();
    let range = |field: &str| ranges.iter().find(|h| h.field == field).map_or("", |h| h.range.describe());
    text += "| hyperparameter | default | allowed | meaning |\n| --- | --- | --- | --- |\n";
    for Member { name, about, default } in &definition.members {
        let default = default.as_deref().unwrap_or_default();
        text += &format!("| `{name}` | {default} | {} | {} |\n", range(name), cell(about));
    }
    Ok(text + &format!("\nDiffers: {}\n", sentence(definition.part("Differs").unwrap_or_default())))
}

/// What the comments of a page lack, or say otherwise than the code.
fn wrong(definition: &Definition, optimizer: &Optimizer) -> Vec<String> {
    let mut wrong: Vec<String> =
        definition.lacks(&["State", "Differs"]).into_iter().map(|part| format!("its comment lacks {part}")).collect();
    let about = definition.about.join(" ");
    if !about.contains('(') || !about.contains(|c: char| c.is_ascii_digit()) {
        wrong.push("its comment lacks a source, as in '(Somebody 1999)'".to_owned());
    }
    let rule = optimizer.rule();
    let state = definition.part("State").unwrap_or_default();
    for slot in rule.slots().into_iter().chain(rule.shared_slots()) {
        if !state.contains(&format!("`{}`", slot.name)) {
            wrong.push(format!("its State does not say what `{}` is", slot.name));
        }
    }
    for member in definition.members.iter().filter(|member| member.default.is_none()) {
        wrong.push(format!("the comment on {} does not end with a default, as in '; 0.5.'", member.name));
    }
    for number in rule.hyperparameters() {
        if !definition.members.iter().any(|member| member.name == number.field) {
            wrong.push(format!("there is no field {}", number.field));
        }
    }
    wrong.extend(defaults::wrong(definition, &rule));
    let formula: Vec<&str> = definition.formula.iter().flat_map(|line| words(line)).collect();
    for number in numbers(optimizer) {
        let unknown = words(number.name).find(|word| !formula.contains(word) && !PLAIN_WORDS.contains(word));
        let complaint =
            |word| format!("its number '{}' has {word} in its name, which the formula does not", number.name);
        wrong.extend(unknown.map(complaint));
    }
    wrong
}

/// Words in the names of numbers that are English.
const PLAIN_WORDS: [&str; 8] = ["after", "as", "at", "first", "or", "set", "step", "the"];

/// The words of a formula that begin with a letter.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with(char::is_alphabetic))
}

fn numbers(optimizer: &Optimizer) -> Vec<HostNumber> {
    let base = optimizer.rule().base();
    optimizer.rule().numbers(Now {
        step: 1,
        learning_rate: base.learning_rate,
        momentum: base.momentum.unwrap_or(0.0),
        weight_decay: base.weight_decay.unwrap_or(0.0),
    })
}

/// A number with what it varies by.
fn number(number: &HostNumber) -> String {
    let varies = [
        (Varies::STEP, "step"),
        (Varies::RATE, "learning rate"),
        (Varies::MOMENTUM, "momentum"),
        (Varies::DECAY, "weight decay"),
    ];
    let by: Vec<_> = varies.iter().filter(|(by, _)| number.varies.meets(*by)).map(|(_, word)| *word).collect();
    let by = if by.is_empty() { "constant".to_owned() } else { format!("by {}", by.join(", ")) };
    format!("`{}` ({by})", number.name)
}

fn around(errors: &mut Vec<String>) -> String {
    let mut text = "\n## Around an optimizer\n".to_owned();
    for Page { name, file, text: source, .. } in Optimization::PAGES {
        match Definition::read(file, source, name) {
            Err(error) => errors.push(error),
            Ok(definition) => {
                text += &format!("\n### {name}\n\n{}\n", definition.about.join("\n\n"));
                if !definition.formula.is_empty() {
                    text += &format!("\n```text\n{}\n```\n", definition.formula.join("\n"));
                }
                for (label, part) in &definition.parts {
                    text += &format!("\n{label}: {}\n", sentence(part));
                }
                text += "\n";
                for member in &definition.members {
                    text += &format!("- `{}`: {}\n", member.name, whole(member));
                }
            }
        }
    }
    text
}

/// What a member is, with its default.
fn whole(Member { name: _, about, default }: &Member) -> String {
    match default {
        None => about.clone(),
        Some(default) => format!("{}; {default}.", about.trim_end_matches('.')),
    }
}

/// With a full stop at its end.
fn sentence(text: &str) -> String {
    format!("{}.", text.trim_end_matches('.'))
}

/// As a cell of a table.
pub(super) fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use wgrad::optim::Adam;

    use super::*;

    #[test]
    fn comments_that_say_otherwise_than_the_code_are_found() {
        let page = Optimizer::PAGES.iter().find(|page| page.name == "Adam").unwrap();
        let messages = |from: &str, to: &str| {
            assert!(page.text.contains(from), "{from}");
            let text = page.text.replacen(from, to, 1);
            let page = Page { text: text.leak(), ..*page };
            section(&page, &Adam::default().into()).err().unwrap_or_default()
        };
        assert_eq!(messages("Adam", "Adam"), [""; 0]);
        let found = |from, to| messages(from, to).join("; ");
        assert!(
            found("; 0.999.", "; 0.99.").contains("adam.rs: Adam: the comment on beta2 says that 0.99 is its default")
        );
        assert!(found("; 0.999.", ".").contains("the comment on beta2 does not end with a default"));
        assert!(found("/// State: ", "/// ").contains("lacks a paragraph that begins with 'State: '"));
        assert!(found("/// Differs: ", "/// ").contains("lacks a paragraph that begins with 'Differs: '"));
        assert!(
            found("; `CorrectedRoot`.", "; `Root`.").contains("the comment on eps_placement says that `Root` is its")
        );
        assert!(found("learning_rate·d", "rate·d").contains("has learning_rate in its name"));
        assert!(found("```text", "```rust").contains("lacks a formula"));
        assert!(found("`v`, that", "that").contains("does not say what `v` is"));
        assert!(found("(Kingma & Ba 2015", "(").contains("lacks a source"));
    }
}
