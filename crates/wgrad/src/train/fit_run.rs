//! The loop of [`Trainer::fit`](crate::train::Trainer::fit).

use std::io::{self, Write};
use std::path::PathBuf;

use wgrad_core::plan::Source;
use wgrad_core::{HostVec, Op, Role, VarId};

use crate::Error;
use crate::data::Dataset;
use crate::train::fit_state::{Begun, Past, Record};
use crate::train::kept;
use crate::train::not_finite::{Good, after_look};
use crate::train::progress::Display;
use crate::train::running::RunningLoss;
use crate::train::signals::Signals;
use crate::train::{Control, EarlyStopping, EpochReport, Fit, History, Monitor, OnNonFinite, Stopped, Trainer};

/// The best epoch so far, and what the model was.
struct Best {
    monitor: Monitor,
    value: f64,
    position: Option<usize>,
    variables: Vec<(VarId, HostVec)>,
}

impl Best {
    /// Whether the epoch at a position of the history is the best.
    fn observe(&mut self, position: usize, value: f64) -> bool {
        let better = self.monitor.is_better(value, self.value, 0.0);
        if better {
            (self.value, self.position) = (value, Some(position));
        }
        better
    }
}

/// What early stopping counts.
struct Patience {
    rule: EarlyStopping,
    record: f64,
    bad: u32,
}

impl Patience {
    fn observe(&mut self, value: f64) {
        let Self { rule, record, bad } = self;
        (*record, *bad) =
            if rule.monitor.is_better(value, *record, rule.min_delta) { (value, 0) } else { (*record, *bad + 1) };
    }

    fn is_over(&self) -> bool {
        self.bad >= self.rule.patience.max(1)
    }
}

/// What a fit keeps from epoch to epoch.
struct Kept {
    record: Record,
    best: Option<Best>,
    patience: Option<Patience>,
    /// Where the present epoch was saved, once it was.
    saved: Option<PathBuf>,
    /// Where a search for what is not finite would begin.
    good: Option<Good>,
}

/// A fit under way.
struct Course {
    history: History,
    /// What was done of the epoch that comes next.
    begun: Option<Begun>,
    /// Epochs to be made.
    epochs: u32,
    kept: Kept,
    display: Display,
    signals: Option<Signals>,
    /// Whether anything may be saved in which the fit should be found again.
    saves: bool,
}

impl Course {
    /// Whether a signal asked for an end.
    fn is_interrupted(&self) -> bool {
        self.signals.as_ref().is_some_and(Signals::asked)
    }
}

/// How the steps of an epoch ended.
#[derive(Clone, Copy, Default)]
struct Ended {
    by_callback: bool,
    by_signal: bool,
}

impl Trainer {
    /// Trains as `fit` says. What failed is not gone on with; what was saved before is.
    pub(super) fn run_fit(&mut self, train: &Dataset, fit: Fit<'_>) -> Result<History, Error> {
        let outcome = self.run_epochs(train, fit);
        if outcome.is_err() {
            self.forget_fit();
        }
        outcome
    }

    fn run_epochs(&mut self, train: &Dataset, mut fit: Fit<'_>) -> Result<History, Error> {
        check_goals(&fit)?;
        let mut course = self.set_out(train, &fit)?;
        for _ in 0..course.epochs {
            if course.history.stopped.is_some() {
                break;
            }
            self.keep_beginning(&fit, &mut course)?;
            let (report, ended) = self.steps_of_epoch(train, &mut fit, &mut course)?;
            if fit.on_non_finite != OnNonFinite::Ignore && !report.loss.is_finite() {
                course.display.finish();
                let what = format!("the mean loss of epoch {}", report.epoch);
                return Err(self.not_finite(train, course.kept.good.as_ref(), what, report.loss)?);
            }
            if ended.by_signal && self.position > 0 {
                course.history.stopped = Some(Stopped::Interrupted);
                break;
            }
            self.close_epoch(train, &mut fit, &mut course, report, ended)?;
        }
        course.display.finish();
        self.arrive(&fit, course)
    }

    /// What there is before the first epoch.
    fn set_out(&mut self, train: &Dataset, fit: &Fit<'_>) -> Result<Course, Error> {
        let signals = fit.signals.then(Signals::listen).transpose()?;
        let past = if fit.until { Past::of(self)? } else { Past::default() };
        self.forget_fit();
        let mut history = History { epochs: past.epochs, ..History::default() };
        let kept = self.look_back(fit, &mut history)?;
        let epochs = if fit.until { fit.epochs.saturating_sub(self.epoch) } else { fit.epochs };
        let steps = train.rows().div_ceil(self.options.batch_rows).div_ceil(self.options.optimizer.accumulate);
        let display = Display::new(fit.progress, epochs, steps);
        let saves = fit.checkpoints.is_some() || fit.signals || !fit.on_epoch.is_empty() || !fit.on_step.is_empty();
        Ok(Course { history, begun: past.begun, epochs, kept, display, signals, saves })
    }

    /// Before the steps of an epoch: what a search for what is not finite, and a checkpoint in its middle, will want to know.
    fn keep_beginning(&mut self, fit: &Fit<'_>, course: &mut Course) -> Result<(), Error> {
        let Course { begun, kept, saves, .. } = course;
        kept.saved = None;
        if fit.on_non_finite == OnNonFinite::Locate {
            kept.good = Some(Good::Copy(Box::new(self.checkpoint()?)));
        }
        if *saves {
            if self.position == 0 || begun.is_some() {
                kept.record.attach(self);
            }
            self.attach_begun(begun.map_or(self.position, |begun| begun.from));
        }
        Ok(())
    }

    /// After the steps of an epoch: evaluates, lets everybody see the numbers, saves, and finds out whether to go on.
    fn close_epoch(
        &mut self,
        train: &Dataset,
        fit: &mut Fit<'_>,
        course: &mut Course,
        mut report: EpochReport,
        mut ended: Ended,
    ) -> Result<(), Error> {
        let Course { history, kept, display, .. } = course;
        report.evaluation = fit.validation.map(|data| self.evaluate(data)).transpose()?;
        display.epoch(&report);
        let bad_weight = self.bad_weight_after(fit, &report)?;
        if let Some(name) = bad_weight.as_ref().filter(|_| fit.on_non_finite != OnNonFinite::Ignore) {
            display.finish();
            let what = format!("'{name}' after epoch {}", report.epoch);
            return Err(self.not_finite(train, kept.good.as_ref(), what, f64::NAN)?);
        }
        let is_best = self.observe(fit, kept, &report, history.epochs.len())?;
        history.best = kept.best.as_ref().and_then(|best| best.position);
        if course.saves && self.position == 0 {
            kept.record.push(&report)?;
            kept.record.attach(self);
        }
        if report.loss.is_finite() && bad_weight.is_none() {
            self.save_epoch(fit, kept, &report, is_best)?;
        } else if fit.checkpoints.is_some() {
            log::warn!("no checkpoint of epoch {}: its loss or a weight is not finite", report.epoch);
        }
        for call in &mut fit.on_epoch {
            ended.by_callback |= call(self, &report)? == Control::Stop;
        }
        history.epochs.push(report);
        if kept.patience.as_ref().is_some_and(Patience::is_over) {
            history.stopped = Some(Stopped::Early);
        } else if ended.by_callback {
            history.stopped = Some(Stopped::Callback);
        } else if course.is_interrupted() {
            course.history.stopped = Some(Stopped::Interrupted);
        }
        Ok(())
    }

    /// After the last epoch: saves what was interrupted, or goes back to the best.
    fn arrive(&mut self, fit: &Fit<'_>, course: Course) -> Result<History, Error> {
        let Course { history, kept, .. } = course;
        if history.stopped == Some(Stopped::Interrupted) {
            self.save_interrupted(fit, kept.saved)?;
            return Ok(history);
        }
        self.forget_fit();
        for (variable, data) in kept.best.into_iter().flat_map(|best| best.variables) {
            self.session.write(variable, data.as_slice())?;
        }
        Ok(history)
    }

    /// What the epochs before an interruption say about the best of them and about early stopping.
    fn look_back(&mut self, fit: &Fit<'_>, history: &mut History) -> Result<Kept, Error> {
        let mut best =
            fit.keep_best.map(|monitor| Best { monitor, value: monitor.worst(), position: None, variables: vec![] });
        let mut patience = fit.early_stopping.map(|rule| Patience { rule, record: rule.monitor.worst(), bad: 0 });
        for (position, report) in history.epochs.iter().enumerate() {
            // Where nothing was measured then, nothing is known.
            if let Some(best) = &mut best
                && let Some(value) = best.monitor.value(report)
            {
                best.observe(position, value);
            }
            if let Some(patience) = &mut patience
                && let Some(value) = patience.rule.monitor.value(report)
            {
                patience.observe(value);
            }
        }
        if let Some(Best { position: Some(position), variables, .. }) = &mut best {
            let epoch = history.epochs[*position].epoch;
            *variables = if epoch == self.epoch && self.position == 0 {
                self.snapshot_for_prediction()?
            } else {
                self.read_kept(fit.checkpoints.as_ref().map(|(checkpoints, _)| checkpoints), epoch)?
            };
            history.best = Some(*position);
        }
        if patience.as_ref().is_some_and(Patience::is_over) {
            history.stopped = Some(Stopped::Early);
        }
        Ok(Kept { record: Record::of(&history.epochs)?, best, patience, saved: None, good: None })
    }

    /// The steps of an epoch, with progress and callbacks. The running loss is looked at as it comes: no step waits for it.
    fn steps_of_epoch(
        &mut self,
        train: &Dataset,
        fit: &mut Fit<'_>,
        course: &mut Course,
    ) -> Result<(EpochReport, Ended), Error> {
        let (mut ended, mut running) = (Ended::default(), RunningLoss::new());
        let begun = course.begun.take();
        let looked_at = course.display.shows_running_loss() || fit.on_non_finite != OnNonFinite::Ignore;
        let report = self.epoch_with(train, begun, |trainer, weight| {
            course.display.step();
            if looked_at && let Some(loss) = running.after_step(weight, |tag| trainer.late_losses(tag))? {
                course.display.running_loss(loss);
                if after_look(loss, fit.on_non_finite) == Control::Stop {
                    return Ok(Control::Stop);
                }
            }
            for call in &mut fit.on_step {
                ended.by_callback |= call(trainer)? == Control::Stop;
            }
            ended.by_signal = course.is_interrupted();
            Ok(if ended.by_signal || ended.by_callback { Control::Stop } else { Control::Continue })
        })?;
        Ok((report, ended))
    }

    /// Looks at the weights where that is worth reading them: before they are saved, or where there is a suspicion.
    fn bad_weight_after(&mut self, fit: &Fit<'_>, report: &EpochReport) -> Result<Option<String>, Error> {
        let suspicious = report.evaluation.as_ref().is_some_and(|evaluation| !evaluation.loss.is_finite());
        let wanted = fit.checkpoints.is_some()
            || match fit.on_non_finite {
                OnNonFinite::Ignore => false,
                OnNonFinite::Stop => suspicious,
                OnNonFinite::Locate => true,
            };
        Ok(if wanted { self.first_bad_weight()? } else { None })
    }

    /// Lets everything that watches a number see an epoch's, before it is saved. Whether it is the best so far.
    fn observe(
        &mut self,
        fit: &Fit<'_>,
        kept: &mut Kept,
        report: &EpochReport,
        position: usize,
    ) -> Result<bool, Error> {
        let mut is_best = false;
        if let Some(best) = &mut kept.best {
            is_best = best.observe(position, best.monitor.require(report)?);
            if is_best {
                best.variables = self.snapshot_for_prediction()?;
            }
        }
        if let Some((rule, monitor)) = &fit.plateau {
            self.reduce_on_plateau(rule, monitor.require(report)?)?;
        }
        if let Some(patience) = &mut kept.patience {
            patience.observe(patience.rule.monitor.require(report)?);
        }
        Ok(is_best)
    }

    /// Saves the checkpoint of an epoch, if such are wanted.
    fn save_epoch(&mut self, fit: &Fit<'_>, kept: &mut Kept, report: &EpochReport, is_best: bool) -> Result<(), Error> {
        let Some((checkpoints, monitor)) = &fit.checkpoints else { return Ok(()) };
        let metric = monitor.require(report)?;
        // Its weights first: a checkpoint without them could not be gone on from.
        if let Some(best) = kept.best.as_ref().filter(|_| is_best && self.position == 0) {
            self.write_kept(checkpoints, &best.variables)?;
        }
        let path = checkpoints.save(self, Some(metric))?;
        if kept.best.is_some() {
            kept::clean(checkpoints, self.epoch)?;
        }
        if fit.on_non_finite == OnNonFinite::Stop {
            kept.good = Some(Good::File(path.clone()));
        }
        kept.saved = Some(path);
        Ok(())
    }

    /// Saves a trainer whose fit was interrupted where the fit says, unless that was done after its last step, and says so.
    fn save_interrupted(&mut self, fit: &Fit<'_>, saved: Option<PathBuf>) -> Result<(), Error> {
        self.attach_losses()?;
        let mut places = vec![];
        let bad_weight = if saved.is_none() { self.first_bad_weight()? } else { None };
        match (&fit.checkpoints, saved, &bad_weight) {
            (_, Some(path), _) => places.push(path),
            (Some((checkpoints, _)), None, None) => places.push(checkpoints.save(self, None)?),
            (Some(_), None, Some(_)) | (None, None, _) => {}
        }
        if let Some(path) = &fit.signal_file {
            self.save(path)?;
            places.push(path.clone());
        }
        let places: Vec<_> = places.iter().map(|path| path.display().to_string()).collect();
        let what = match (&places[..], bad_weight) {
            ([], Some(name)) => format!("nothing was saved, because '{name}' is not finite"),
            ([], None) => "nothing was saved".to_owned(),
            _ => format!("saved as {}", places.join(" and ")),
        };
        // Whoever closed standard error does not want to know.
        let _ = writeln!(io::stderr(), "interrupted after step {}: {what}", self.step);
        Ok(())
    }

    /// The variables that predictions depend on, and all parameters.
    pub(super) fn wanted_for_prediction(&self) -> Vec<VarId> {
        let program = &self.program.program;
        let mut wanted: Vec<bool> = program.graph.variables().iter().map(|v| v.role == Role::Parameter).collect();
        let reached = program.graph.reachable(program.entries[self.program.predict.0.index()].roots());
        for id in program.graph.ids().filter(|id| reached[id.index()]) {
            if let Op::Variable(variable) = program.graph[id].op {
                wanted[variable.index()] = true;
            }
        }
        (0..wanted.len()).filter(|&i| wanted[i]).map(VarId::from_index).collect()
    }

    /// Their present values.
    fn snapshot_for_prediction(&mut self) -> Result<Vec<(VarId, HostVec)>, Error> {
        let wanted = self.wanted_for_prediction();
        wanted.into_iter().map(|v| Ok((v, self.session.read(Source::Variable(v))?))).collect()
    }
}

/// Whether what is watched is better in the direction in which whoever watches it thinks.
fn check_goals(fit: &Fit<'_>) -> Result<(), Error> {
    let goals = [
        fit.plateau.map(|(rule, monitor)| ("plateau", rule.goal, monitor)),
        fit.checkpoints.as_ref().map(|(checkpoints, monitor)| ("checkpoints", checkpoints.goal, *monitor)),
    ];
    match goals.into_iter().flatten().find(|(_, goal, monitor): &(_, _, Monitor)| *goal != monitor.goal()) {
        Some((what, goal, monitor)) => {
            let reason = format!("the goal of {what} is {goal:?}, but that of {monitor:?} is {:?}", monitor.goal());
            Err(Error::Model { what: "fit".to_owned(), reason })
        }
        None => Ok(()),
    }
}
