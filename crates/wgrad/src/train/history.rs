//! What became of a training run, epoch by epoch.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::Error;
use crate::data::DataError;
use crate::train::EpochReport;

/// The epochs of a call of [`Trainer::fit`](crate::train::Trainer::fit).
///
/// ```
/// use wgrad::train::{EpochReport, History};
///
/// let report = |epoch, loss| EpochReport { epoch, steps: 4, loss, seconds: 0.5, learning_rate: 0.1, evaluation: None };
/// let mut history = History::default();
/// history.epochs = vec![report(1, 0.5), report(2, 0.25)];
/// assert_eq!(history.to_csv(), "epoch,steps,seconds,learning rate,loss\n1,4,0.5,0.1,0.5\n2,4,0.5,0.1,0.25\n");
/// assert!(history.to_json().contains("\"loss\": 0.25"));
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    /// What each epoch reported.
    pub epochs: Vec<EpochReport>,
    /// Why it ended before all epochs were done, if it did.
    pub stopped: Option<Stopped>,
    pub(super) best: Option<usize>,
}

/// Why training ended before all epochs were done.
///
/// ```
/// use wgrad::train::{EarlyStopping, Fit, Monitor, Stopped};
/// # use wgrad::{BackendChoice, Device, DeviceSelector, data::Dataset, loss::Loss, nn::Linear, optim::Sgd};
/// # use wgrad::train::{TrainOptions, Trainer};
///
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// # let data = Dataset::values(vec![0.0, 1.0], 1, vec![1.0, 2.0], 1)?;
/// # let options = TrainOptions::new(Loss::Mse, Sgd { learning_rate: 0.0, ..Sgd::default() });
/// # let mut trainer = Trainer::new(&device, &Linear::new(1, 1), &data, options)?;
/// // With a learning rate of 0 nothing becomes better after the first epoch.
/// let rule = EarlyStopping { monitor: Monitor::TrainLoss, patience: 3, ..EarlyStopping::default() };
/// let history = trainer.fit(&data, Fit::epochs(100).early_stopping(rule))?;
/// assert_eq!(history.stopped, Some(Stopped::Early));
/// assert_eq!(history.epochs.len(), 4);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// What [`EarlyStopping`](crate::train::EarlyStopping) watched did not become better.
    Early,
    /// A callback wanted it.
    Callback,
    /// A signal did, and [`Fit::stop_on_signals`](crate::train::Fit::stop_on_signals) listened. The epochs are those that were
    /// completed.
    Interrupted,
}

impl History {
    /// The position in `epochs` of the best one, where the best was kept.
    pub const fn best(&self) -> Option<usize> {
        self.best
    }

    /// The names of the metrics that any epoch has, in order.
    pub(super) fn metrics(&self) -> Vec<String> {
        let mut names: Vec<String> = vec![];
        for (name, _) in self.epochs.iter().filter_map(|report| report.evaluation.as_ref()).flat_map(|e| e.metrics()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// A line for each epoch, a column for each number; those of the evaluation begin with `validation`.
    pub fn to_csv(&self) -> String {
        let names = self.metrics();
        let evaluated = self.epochs.iter().any(|report| report.evaluation.is_some());
        let mut header =
            vec!["epoch".to_owned(), "steps".into(), "seconds".into(), "learning rate".into(), "loss".into()];
        if evaluated {
            header.push("validation loss".to_owned());
            header.extend(names.iter().map(|name| format!("validation {name}")));
        }
        let mut text = header.join(",") + "\n";
        for report in &self.epochs {
            let EpochReport { epoch, steps, loss, seconds, learning_rate, evaluation } = report;
            let mut fields = vec![epoch.to_string(), steps.to_string()];
            fields.extend([seconds, learning_rate, loss].map(f64::to_string));
            if evaluated {
                let metrics = evaluation.as_ref().map(|e| e.metrics()).unwrap_or_default();
                fields.push(evaluation.as_ref().map_or_else(String::new, |e| e.loss.to_string()));
                let value = |name: &String| metrics.iter().find(|(n, _)| n == name).map(|(_, value)| value.to_string());
                fields.extend(names.iter().map(|name| value(name).unwrap_or_default()));
            }
            text += &(fields.join(",") + "\n");
        }
        text
    }

    /// An object with a list of epochs. Numbers that are not finite are null.
    pub fn to_json(&self) -> String {
        let epoch = |report: &EpochReport| {
            let EpochReport { epoch, steps, loss, seconds, learning_rate, evaluation } = report;
            let mut object = json!({
                "epoch": epoch, "steps": steps, "seconds": seconds, "learning_rate": learning_rate, "loss": loss,
            });
            if let Some(evaluation) = evaluation {
                let mut validation: Map<String, Value> =
                    evaluation.metrics().into_iter().map(|(name, value)| (name, json!(value))).collect();
                validation.insert("loss".to_owned(), json!(evaluation.loss));
                validation.insert("rows".to_owned(), json!(evaluation.rows));
                if let Some(matrix) = &evaluation.confusion {
                    let row = |class| (0..matrix.classes()).map(|given| matrix.count(class, given)).collect::<Vec<_>>();
                    validation
                        .insert("confusion".to_owned(), json!((0..matrix.classes()).map(row).collect::<Vec<_>>()));
                }
                object["validation"] = Value::Object(validation);
            }
            object
        };
        let stopped = self.stopped.map(|stopped| match stopped {
            Stopped::Early => "early",
            Stopped::Callback => "callback",
            Stopped::Interrupted => "interrupted",
        });
        let epochs: Vec<Value> = self.epochs.iter().map(epoch).collect();
        let best = self.best.map(|best| self.epochs[best].epoch);
        format!("{:#}\n", json!({ "epochs": epochs, "stopped": stopped, "best_epoch": best }))
    }

    /// Writes [`History::to_csv`] to a file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save_csv(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        save(path.as_ref(), &self.to_csv())
    }

    /// Writes [`History::to_json`] to a file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save_json(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        save(path.as_ref(), &self.to_json())
    }

    /// Writes [`History::to_svg`] to a file.
    ///
    /// # Errors
    /// If there is nothing to draw or it cannot be written.
    pub fn save_svg(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        save(path.as_ref(), &self.to_svg()?)
    }
}

pub(super) fn save(path: &Path, text: &str) -> Result<(), Error> {
    let error = |e: std::io::Error| DataError::Io { file: path.display().to_string(), reason: e.to_string() };
    Ok(fs::write(path, text).map_err(error)?)
}
