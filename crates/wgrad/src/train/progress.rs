//! What is shown while training.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};

use crate::train::EpochReport;

/// What [`Trainer::fit`](crate::train::Trainer::fit) shows on standard error.
///
/// ```
/// use wgrad::train::{Fit, Progress};
///
/// let fit = Fit::epochs(10).progress(Progress::Auto);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nothing.
    Silent,
    /// A bar where standard error is a terminal, else lines.
    Auto,
    /// A bar with epoch, steps per second, time left, the mean loss of the epoch up to a moment ago, and the last evaluation. The steps do
    /// not wait for it.
    Bar,
    /// A line after an epoch; of more than 20 epochs about 20, and one after each that took more than two seconds.
    Lines,
}

const LINES: u32 = 20;
const SLOW_EPOCH: f64 = 2.0;

/// What is shown of one call of fit.
pub(super) struct Display {
    kind: Kind,
    epochs: u32,
    /// Epochs completed.
    done: u32,
    evaluation: String,
}

enum Kind {
    Silent,
    Bar(ProgressBar),
    Lines,
}

impl Display {
    pub(super) fn new(progress: Progress, epochs: u32, steps: usize) -> Self {
        let terminal = io::stderr().is_terminal();
        let kind = match progress {
            Progress::Silent => Kind::Silent,
            Progress::Auto if terminal => Kind::Bar(bar(epochs, steps)),
            Progress::Bar => Kind::Bar(bar(epochs, steps)),
            Progress::Auto | Progress::Lines => Kind::Lines,
        };
        Self { kind, epochs, done: 0, evaluation: String::new() }
    }

    /// After a step.
    pub(super) fn step(&self) {
        if let Kind::Bar(bar) = &self.kind {
            bar.inc(1);
        }
    }

    /// Whether it shows the running loss.
    pub(super) const fn shows_running_loss(&self) -> bool {
        matches!(self.kind, Kind::Bar(_))
    }

    /// The mean loss of the epoch so far.
    pub(super) fn running_loss(&self, loss: f64) {
        if let Kind::Bar(bar) = &self.kind {
            bar.set_message(format!("epoch {}/{} loss {loss:.4}{}", self.done + 1, self.epochs, self.evaluation));
        }
    }

    /// After an epoch.
    pub(super) fn epoch(&mut self, report: &EpochReport) {
        self.done += 1;
        match &self.kind {
            Kind::Silent => {}
            Kind::Bar(bar) => {
                let metrics = |evaluation| format!(", evaluation: {evaluation}");
                self.evaluation = report.evaluation.as_ref().map_or_else(String::new, metrics);
                bar.set_message(format!(
                    "epoch {}/{} loss {:.4}{}",
                    self.done, self.epochs, report.loss, self.evaluation
                ));
            }
            Kind::Lines => {
                let every = self.epochs.div_ceil(LINES).max(1);
                if self.done.is_multiple_of(every) || self.done == 1 || report.seconds > SLOW_EPOCH {
                    // Whoever closed standard error does not want to know.
                    let _ = writeln!(io::stderr(), "{report}");
                }
            }
        }
    }

    /// After the last epoch: the bar goes, its last state stays as a line.
    pub(super) fn finish(&self) {
        if let Kind::Bar(bar) = &self.kind {
            let message = bar.message();
            bar.finish_and_clear();
            bar.suspend(|| {
                let _ = writeln!(io::stderr(), "{message}");
            });
        }
    }
}

fn bar(epochs: u32, steps: usize) -> ProgressBar {
    let bar = ProgressBar::new(u64::from(epochs) * steps as u64);
    let template = "{bar:30} {percent:>3}% {per_sec}, {eta} left; {msg}";
    // The template is fixed and sound; were it not, the bar would only look otherwise.
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(format!("epoch 1/{epochs}"));
    bar
}
