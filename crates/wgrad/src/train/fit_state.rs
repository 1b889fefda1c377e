//! What a fit has to remember besides the trainer's state, so that an interrupted one ends as if it had not been: the reports of its
//! epochs, and what of the present epoch was done. It is saved with checkpoints as attachments of reserved names.
//!
//! Counters of early stopping and the best value are not saved: they follow from the reports, whose numbers are exact.

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::train::{ConfusionMatrix, EpochReport, Evaluation, Trainer};

/// The epochs that a fit has completed, in JSON.
const EPOCHS: &str = "wgrad.fit.epochs";
/// `epoch position`: where the fit began with the present epoch.
const BEGUN: &str = "wgrad.fit.begun";
/// `step sum`: the sum of the present epoch's losses after that step.
const LOSSES: &str = "wgrad.fit.losses";

/// What is known of epochs before the first that a fit makes.
#[derive(Debug, Default)]
pub(super) struct Past {
    pub(super) epochs: Vec<EpochReport>,
    pub(super) begun: Option<Begun>,
}

/// An epoch that a fit had begun when it was interrupted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Begun {
    /// Batches of the epoch that were taken before.
    pub(super) from: usize,
    /// The sum of the losses since.
    pub(super) losses: f32,
}

/// The reports as they are saved: kept as text, so that none is written twice.
#[derive(Debug, Default)]
pub(super) struct Record(String);

impl Record {
    pub(super) fn of(epochs: &[EpochReport]) -> Result<Self, Error> {
        let mut record = Self::default();
        epochs.iter().try_for_each(|report| record.push(report))?;
        Ok(record)
    }

    /// Adds a completed epoch.
    pub(super) fn push(&mut self, report: &EpochReport) -> Result<(), Error> {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0 += &serde_json::to_string(&ReportText::of(report)).map_err(|e| refused(EPOCHS, &e.to_string()))?;
        Ok(())
    }

    /// Attaches what a checkpoint of the trainer is to have from now on.
    pub(super) fn attach(&self, trainer: &mut Trainer) {
        let text = format!("{{\"completed\":{},\"epochs\":[{}]}}", trainer.epoch, self.0);
        trainer.forget_fit();
        trainer.attachments.insert(EPOCHS.to_owned(), text);
    }
}

impl Past {
    /// What the trainer's attachments say, if it is of the epoch and the step that the trainer is at.
    pub(super) fn of(trainer: &Trainer) -> Result<Self, Error> {
        let mut past = Self::default();
        if let Some(text) = trainer.attachments.get(EPOCHS) {
            let saved: EpochsText = serde_json::from_str(text).map_err(|e| refused(EPOCHS, &e.to_string()))?;
            if saved.completed == trainer.epoch {
                past.epochs = saved.epochs.into_iter().map(ReportText::parse).collect::<Result<_, _>>()?;
            }
        }
        if let (Some(begun), Some(losses)) = (trainer.attachments.get(BEGUN), trainer.attachments.get(LOSSES)) {
            let (epoch, from): (u32, usize) = pair(BEGUN, begun)?;
            let (step, losses): (u64, f32) = pair(LOSSES, losses)?;
            if (epoch, step) == (trainer.epoch, trainer.step) && (from..).contains(&trainer.position) {
                past.begun = (trainer.position > 0).then_some(Begun { from, losses });
            }
        }
        Ok(past)
    }
}

impl Trainer {
    /// Notes that a fit begins with the present epoch, from a batch on.
    pub(super) fn attach_begun(&mut self, from: usize) {
        self.attachments.insert(BEGUN.to_owned(), format!("{} {from}", self.epoch));
        self.attachments.remove(LOSSES);
    }

    /// Notes the sum of the losses of an epoch that a fit is in the middle of.
    pub(super) fn attach_losses(&mut self) -> Result<(), wgrad_core::plan::BackendError> {
        let begun = self.attachments.get(BEGUN).and_then(|text| pair::<u32, usize>(BEGUN, text).ok());
        if self.position > 0 && begun.is_some_and(|(epoch, from)| epoch == self.epoch && from <= self.position) {
            let losses = self.number(self.program.train_loss)?;
            self.attachments.insert(LOSSES.to_owned(), format!("{} {losses:?}", self.step));
        }
        Ok(())
    }

    /// Forgets about a fit: it has ended, or a new one begins.
    pub(super) fn forget_fit(&mut self) {
        for name in [EPOCHS, BEGUN, LOSSES] {
            self.attachments.remove(name);
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EpochsText {
    completed: u32,
    epochs: Vec<ReportText>,
}

/// [`EpochReport`] in JSON. Floats are texts, because JSON has no infinity.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReportText {
    epoch: u32,
    steps: usize,
    loss: String,
    seconds: String,
    learning_rate: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    evaluation: Option<EvaluationText>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EvaluationText {
    rows: usize,
    loss: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    accuracy: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    top_k: Vec<(usize, String)>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    mean_absolute_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    r2: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    confusion: Option<Vec<u32>>,
}

impl ReportText {
    fn of(report: &EpochReport) -> Self {
        let EpochReport { epoch, steps, loss, seconds, learning_rate, evaluation } = report;
        Self {
            epoch: *epoch,
            steps: *steps,
            loss: exact(loss),
            seconds: exact(seconds),
            learning_rate: exact(learning_rate),
            evaluation: evaluation.as_ref().map(EvaluationText::of),
        }
    }

    fn parse(self) -> Result<EpochReport, Error> {
        let Self { epoch, steps, loss, seconds, learning_rate, evaluation } = self;
        Ok(EpochReport {
            epoch,
            steps,
            loss: number(EPOCHS, &loss)?,
            seconds: number(EPOCHS, &seconds)?,
            learning_rate: number(EPOCHS, &learning_rate)?,
            evaluation: evaluation.map(EvaluationText::parse).transpose()?,
        })
    }
}

impl EvaluationText {
    fn of(evaluation: &Evaluation) -> Self {
        let Evaluation { rows, loss, accuracy, top_k, mean_absolute_error, r2, confusion } = evaluation;
        let counts = |matrix: &ConfusionMatrix| {
            let classes = matrix.classes();
            (0..classes * classes).map(|at| matrix.count(at / classes, at % classes)).collect()
        };
        Self {
            rows: *rows,
            loss: exact(loss),
            accuracy: accuracy.as_ref().map(exact),
            top_k: top_k.iter().map(|(k, value)| (*k, exact(value))).collect(),
            mean_absolute_error: mean_absolute_error.as_ref().map(exact),
            r2: r2.as_ref().map(exact),
            confusion: confusion.as_ref().map(counts),
        }
    }

    fn parse(self) -> Result<Evaluation, Error> {
        let Self { rows, loss, accuracy, top_k, mean_absolute_error, r2, confusion } = self;
        let optional = |text: Option<String>| text.map(|text| number(EPOCHS, &text)).transpose();
        Ok(Evaluation {
            rows,
            loss: number(EPOCHS, &loss)?,
            accuracy: optional(accuracy)?,
            top_k: top_k.into_iter().map(|(k, text)| Ok((k, number(EPOCHS, &text)?))).collect::<Result<_, Error>>()?,
            mean_absolute_error: optional(mean_absolute_error)?,
            r2: optional(r2)?,
            confusion: confusion.map(ConfusionMatrix::new),
        })
    }
}

/// The shortest text that gives the same number again.
fn exact(value: &f64) -> String {
    format!("{value:?}")
}

fn number(attachment: &str, text: &str) -> Result<f64, Error> {
    text.parse().map_err(|_| refused(attachment, &format!("'{}' is no number", text.escape_debug())))
}

fn pair<A: std::str::FromStr, B: std::str::FromStr>(attachment: &str, text: &str) -> Result<(A, B), Error> {
    let parsed = text.split_once(' ').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    parsed.ok_or_else(|| refused(attachment, &format!("'{}' is not two numbers", text.escape_debug())))
}

fn refused(attachment: &str, reason: &str) -> Error {
    Error::Model {
        what: "fit".to_owned(),
        reason: format!("the trainer's attachment '{attachment}', a name kept for fits, is not one's: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{EpochsText, Record, ReportText};
    use crate::train::{ConfusionMatrix, EpochReport, Evaluation};

    #[test]
    fn reports_come_back_to_the_bit() {
        let evaluation = Evaluation {
            loss: f64::from_bits(0x3fd5_5555_5555_5557),
            accuracy: Some(1.0 / 3.0),
            top_k: vec![(3, 0.1 + 0.2)],
            r2: Some(f64::NEG_INFINITY),
            confusion: Some(ConfusionMatrix::new(vec![1, 2, 3, 4])),
            ..Evaluation::of_rows(7)
        };
        let report = |epoch, evaluation| EpochReport {
            epoch,
            steps: 9,
            loss: 5e-324,
            seconds: 0.1,
            learning_rate: 1e-3,
            evaluation,
        };
        let epochs = [report(1, None), report(2, Some(evaluation))];
        let record = Record::of(&epochs).unwrap();
        let text = format!("{{\"completed\":2,\"epochs\":[{}]}}", record.0);
        let saved: EpochsText = serde_json::from_str(&text).unwrap();
        let back: Vec<_> = saved.epochs.into_iter().map(|text| ReportText::parse(text).unwrap()).collect();
        assert_eq!(back, epochs);
    }
}
