//! The settings of a training as texts, so that those of two can be compared and shown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use flate2::Crc;

use crate::checkpoint::Difference;
use crate::train::{TrainOptions, TrainProgram};

/// Settings by path.
pub(super) type Settings = BTreeMap<String, String>;

/// The checksums among settings.
const CHECKSUMS: [&str; 2] = ["model", "data"];

/// Everything that [`TrainOptions`] says about training, the number of rows that the program was made for, and checksums of model and data.
pub(super) fn settings(options: &TrainOptions, program: &TrainProgram) -> Settings {
    let mut settings = flatten(options);
    settings.insert("rows".to_owned(), program.rows.to_string());
    for (name, checksum) in CHECKSUMS.into_iter().zip([program.model_checksum, program.data_checksum]) {
        settings.insert(name.to_owned(), format!("checksum {checksum:08x}"));
    }
    settings.retain(|path, _| !without_effect(path));
    settings
}

/// Whether a setting changes no training: how much is evaluated at once, what is computed besides, where the data are, and how work is
/// sent to the device.
fn without_effect(path: &str) -> bool {
    let is = |field: &str| path.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    is("eval_rows") || is("residency") || is("metrics") || is("runs_per_submission")
}

/// What differs: first what must not, because the order of the batches or the optimizer's state hangs on it, then what may, the
/// numbers of an optimizer say. Checksums are compared where both have them and can be the same: old checkpoints have none.
pub(super) fn differences(saved: &Settings, present: &Settings) -> (Vec<Difference>, Vec<Difference>) {
    let paths: BTreeSet<_> = saved.keys().chain(present.keys()).collect();
    let is_unknown = |path: &str| {
        let in_both = saved.contains_key(path) && present.contains_key(path);
        // The model's is of its operations on a batch.
        let other_batch = path == "model" && saved.get("batch_rows") != present.get("batch_rows");
        CHECKSUMS.contains(&path) && (!in_both || other_batch)
    };
    let differing = paths.into_iter().filter(|path| saved.get(*path) != present.get(*path) && !is_unknown(path));
    let differences = differing.map(|path| Difference {
        setting: path.clone(),
        saved: saved.get(path).cloned(),
        present: present.get(path).cloned(),
    });
    differences.partition(|difference| is_fixed(&difference.setting))
}

/// Whether a resumed training must have the same.
fn is_fixed(path: &str) -> bool {
    const FIXED: &[&str] = &[
        "batch_rows",
        "seed",
        "optimizer.optimizer",
        "optimizer.accumulate",
        "optimizer.noise.seed",
        "optimizer.average",
        "optimizer.lookahead",
    ];
    let of_group = path.strip_prefix("optimizer.groups.").and_then(|rest| rest.split_once('.')).map(|(_, field)| field);
    FIXED.contains(&path)
        || path.starts_with("sampling")
        || of_group.is_some_and(|field| matches!(field, "pattern" | "treatment" | "treatment.0"))
}

/// Lists with more items than this are told apart by a checksum, so that the scores of a million rows do not fill the header.
const ITEMS_MAX: usize = 16;

/// The fields of a value by their paths, as `Debug` prints them: numbers with all their digits, so that different ones never
/// look alike. `optimizer.clip.max` is the field `max` of whatever is in the field `clip` of the field `optimizer`, and
/// `optimizer.clip` says which variant that is.
fn flatten(value: &impl Debug) -> Settings {
    let mut settings = Settings::new();
    let mut open: Vec<Open> = vec![];
    for line in format!("{value:#?}").lines() {
        let line = line.trim();
        if line.starts_with(['}', ')', ']']) {
            if let Some(Open { path, name: _, items }) = open.pop().filter(|open| open.items > ITEMS_MAX) {
                shorten(&mut settings, &path, items);
            }
            continue;
        }
        let (field, text) = match line.split_once(": ") {
            Some((field, text)) if is_field(field) => (Some(field), text),
            _ => (None, line),
        };
        let inner = text.strip_suffix(['{', '(', '[']).map(str::trim_end);
        let path = match (open.last_mut(), field) {
            (None, _) => String::new(),
            (Some(parent), Some(field)) => parent.join(field),
            (Some(parent), None) if inner.is_some_and(|inner| parent.is_around(inner)) => parent.path.clone(),
            (Some(parent), None) => {
                parent.items += 1;
                parent.join(&(parent.items - 1).to_string())
            }
        };
        match inner {
            Some(name) => {
                if !path.is_empty() && !name.is_empty() {
                    settings.insert(path.clone(), name.to_owned());
                }
                open.push(Open { path, name: name.to_owned(), items: 0 });
            }
            // The address of a function is another one in every process.
            None if text.starts_with("0x") => {}
            None => drop(settings.insert(path, text.trim_end_matches(',').to_owned())),
        }
    }
    settings
}

/// Puts one text in the place of a list's items.
fn shorten(settings: &mut Settings, path: &str, items: usize) {
    let prefix = format!("{path}.");
    let mut crc = Crc::new();
    settings.retain(|path, text| {
        let item = path.starts_with(&prefix);
        if item {
            crc.update(format!("{path}={text}\n").as_bytes());
        }
        !item
    });
    settings.insert(path.to_owned(), format!("{items} items with checksum {:08x}", crc.sum()));
}

/// A value of which the fields are being read.
struct Open {
    path: String,
    name: String,
    /// Fields without names so far.
    items: usize,
}

impl Open {
    fn join(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_owned() } else { format!("{}.{field}", self.path) }
    }

    /// Whether it only wraps a value of that name: a variant named as what it holds, or an option.
    fn is_around(&self, inner: &str) -> bool {
        self.items == 0 && (self.name == "Some" || self.name == inner && !inner.is_empty())
    }
}

fn is_field(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::{Settings, differences, flatten, is_fixed};
    use crate::data::{Curriculum, Sampling};
    use crate::loss::{CustomLoss, Loss};
    use crate::optim::{Adam, Clip, Momentum, Optimization, Optimizer, ParameterGroup, Schedules, Treatment};
    use crate::schedule::{Chain, Constant, Cosine, Piecewise};
    use crate::train::TrainOptions;

    fn options() -> TrainOptions {
        let schedule =
            Chain::new([(Piecewise { initial: 0.1, changes: vec![(3, 1e-9)] }.into(), 5)], Cosine::new(0.1, u64::MAX));
        let group = ParameterGroup::with("odd { [\"*", Momentum::default(), Schedules::default());
        let optimizer = Optimization {
            schedules: Schedules::learning_rate(schedule),
            groups: vec![ParameterGroup::frozen("*.bias"), group],
            clip: Some(Clip::GlobalNorm { max: 0.1 + 0.2, eps: 0.0 }),
            ..Adam::default().into()
        };
        TrainOptions::new(Loss::Mse, optimizer)
    }

    #[test]
    fn every_field_has_a_path() {
        let settings = flatten(&options());
        for (path, text) in [
            ("seed", "0"),
            ("sampling", "Shuffled"),
            ("loss", "Mse"),
            ("optimizer", "Optimization"),
            ("optimizer.optimizer", "Adam"),
            ("optimizer.optimizer.eps", "1e-8"),
            ("optimizer.optimizer.eps_placement", "CorrectedRoot"),
            ("optimizer.clip", "GlobalNorm"),
            ("optimizer.clip.max", "0.30000000000000004"),
            ("optimizer.noise", "None"),
            ("optimizer.schedules.learning_rate", "Chain"),
            ("optimizer.schedules.learning_rate.pieces.0.0", "Piecewise"),
            ("optimizer.schedules.learning_rate.pieces.0.0.changes.0.1", "1e-9"),
            ("optimizer.schedules.learning_rate.pieces.0.1", "5"),
            ("optimizer.schedules.learning_rate.last", "Cosine"),
            ("optimizer.schedules.learning_rate.last.steps", "18446744073709551615"),
            ("optimizer.groups.0.pattern", "\"*.bias\""),
            ("optimizer.groups.0.treatment", "Frozen"),
            ("optimizer.groups.1.pattern", "\"odd { [\\\"*\""),
            ("optimizer.groups.1.treatment", "Optimize"),
            ("optimizer.groups.1.treatment.0", "Momentum"),
            ("optimizer.groups.1.treatment.0.momentum", "0.9"),
        ] {
            assert_eq!(settings.get(path).map(String::as_str), Some(text), "{path}: {settings:#?}");
        }
    }

    type Change = Box<dyn Fn(&mut TrainOptions)>;

    /// Whatever is changed, it shows, and only there.
    #[test]
    fn every_change_is_found() {
        let before = flatten(&options());
        let changes: Vec<(&str, bool, Change)> = vec![
            ("seed", true, Box::new(|o| o.seed = 1)),
            ("batch_rows", true, Box::new(|o| o.batch_rows = 3)),
            ("sampling", true, Box::new(|o| o.sampling = Sampling::InOrder)),
            ("loss", false, Box::new(|o| o.loss = Loss::L1)),
            ("optimizer.accumulate", true, Box::new(|o| o.optimizer.accumulate = 2)),
            ("optimizer.groups.1.pattern", true, Box::new(|o| o.optimizer.groups[1].pattern = "*".to_owned())),
            (
                "optimizer.clip.max",
                false,
                Box::new(|o| o.optimizer.clip = Some(Clip::GlobalNorm { max: 0.3, eps: 0.0 })),
            ),
            (
                "optimizer.optimizer.beta1",
                false,
                Box::new(|o| o.optimizer.optimizer = Adam { beta1: 0.8, ..Adam::default() }.into()),
            ),
            (
                "optimizer.groups.1.treatment.0.nesterov",
                false,
                Box::new(|o| {
                    let rule = Momentum { nesterov: true, ..Momentum::default() };
                    o.optimizer.groups[1].treatment = Treatment::Optimize(rule.into(), Schedules::default());
                }),
            ),
        ];
        for (path, fixed, change) in changes {
            let mut changed = options();
            change(&mut changed);
            let (must, may) = differences(&before, &flatten(&changed));
            let (found, other) = if fixed { (must, may) } else { (may, must) };
            assert_eq!(found.iter().map(|d| d.setting.as_str()).collect::<Vec<_>>(), [path]);
            assert!(other.is_empty(), "{path}: {other:?}");
        }
        let mut changed = options();
        changed.optimizer.schedules = Schedules::learning_rate(Constant { value: 0.1 });
        let (must, may) = differences(&before, &flatten(&changed));
        assert!(must.is_empty() && may.iter().any(|d| d.setting == "optimizer.schedules.learning_rate"), "{may:?}");
    }

    #[test]
    fn long_lists_and_addresses_are_left_out() {
        let scores = |last: f32| {
            let scores: Vec<f32> = (0..999u16).map(f32::from).chain([last]).collect();
            let sampling = Sampling::Curriculum(Curriculum { scores: scores.into(), start: 0.5, epochs: 3 });
            flatten(&TrainOptions { sampling, ..options() })
        };
        assert!(scores(1.0).len() < flatten(&options()).len() + 8, "{:#?}", scores(1.0));
        let (must, may) = differences(&scores(1.0), &scores(1.5));
        assert_eq!(must.iter().map(|d| d.setting.as_str()).collect::<Vec<_>>(), ["sampling.scores"]);
        assert!(may.is_empty(), "{may:?}");

        let loss = Loss::Custom(CustomLoss { name: "own", rows: |output, _| output.sum(&[1], false) });
        let settings = flatten(&TrainOptions { loss, ..options() });
        assert_eq!(settings.get("loss.0.name").map(String::as_str), Some("\"own\""), "{settings:#?}");
        assert!(!settings.contains_key("loss.0.rows"), "{settings:#?}");
    }

    /// Another optimizer differs in its name, even if its numbers are the same.
    #[test]
    fn optimizers_are_told_apart() {
        let of = |optimizer: Optimizer| flatten(&TrainOptions::new(Loss::Mse, optimizer));
        let all = Optimizer::all();
        for (position, one) in all.iter().enumerate() {
            for other in &all[position + 1..] {
                let (must, _) = differences(&of(*one), &of(*other));
                assert!(must.iter().any(|d| d.setting == "optimizer.optimizer"), "{one:?} {other:?}");
            }
        }
        assert_eq!(differences(&Settings::new(), &Settings::new()), (vec![], vec![]));
        assert!(is_fixed("optimizer.groups.12.treatment") && !is_fixed("optimizer.groups.0.treatment.0.eps"));
    }
}
