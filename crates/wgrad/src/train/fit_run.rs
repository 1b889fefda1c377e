//! The loop of [`Trainer::fit`](crate::train::Trainer::fit).

use std::io::{self, Write};
use std::path::PathBuf;

use wgrad_core::plan::Source;
use wgrad_core::{HostVec, Op, Role, VarId};

use crate::Error;
use crate::checkpoint::Checkpoints;
use crate::data::Dataset;
use crate::train::fit_state::{Past, Record};
use crate::train::kept;
use crate::train::not_finite::{Good, Looks, after_look};
use crate::train::progress::Display;
use crate::train::signals::Signals;
use crate::train::{Control, EarlyStopping, Fit, History, Monitor, OnNonFinite, Stopped, Trainer};

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

impl Trainer {
    /// Trains as `fit` says.
    pub(super) fn run_fit(&mut self, train: &Dataset, mut fit: Fit<'_>) -> Result<History, Error> {
        check_goals(&fit)?;
        let signals = fit.signals.then(Signals::listen).transpose()?;
        let asked = || signals.as_ref().is_some_and(Signals::asked);
        let past = if fit.until { Past::of(self)? } else { Past::default() };
        self.forget_fit();
        let (mut history, mut begun) = (History { epochs: past.epochs, ..History::default() }, past.begun);
        let mut record = Record::of(&history.epochs)?;
        let mut best =
            fit.keep_best.map(|monitor| Best { monitor, value: monitor.worst(), position: None, variables: vec![] });
        let mut patience = fit.early_stopping.map(|rule| Patience { rule, record: rule.monitor.worst(), bad: 0 });
        for (position, report) in history.epochs.iter().enumerate() {
            if let Some((best, value)) = best.as_mut().and_then(|best| best.monitor.value(report).map(|v| (best, v))) {
                best.observe(position, value);
            }
            if let Some((patience, value)) =
                patience.as_mut().and_then(|patience| patience.rule.monitor.value(report).map(|v| (patience, v)))
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

        let epochs = if fit.until { fit.epochs.saturating_sub(self.epoch) } else { fit.epochs };
        let steps = train.rows().div_ceil(self.options.batch_rows).div_ceil(self.options.optimizer.accumulate);
        let mut display = Display::new(fit.progress, epochs, steps);
        // Whether anything may be saved in which the fit should be found again.
        let saves = fit.checkpoints.is_some() || fit.signals || !fit.on_epoch.is_empty() || !fit.on_step.is_empty();
        let policy = fit.on_non_finite;
        let mut saved = None;
        let mut good = match policy {
            OnNonFinite::Locate if history.stopped.is_none() && epochs > 0 => Some(self.copy()?),
            OnNonFinite::Locate | OnNonFinite::Stop | OnNonFinite::Ignore => None,
        };
        for _ in 0..epochs {
            if history.stopped.is_some() {
                break;
            }
            if saves {
                if self.position == 0 || begun.is_some() {
                    record.attach(self);
                }
                self.attach_begun(begun.map_or(self.position, |begun| begun.from));
            }
            let (mut stop, mut interrupted, mut looks) = (Control::Continue, false, Looks::new());
            let mut report = self.epoch_with(train, begun.take(), |trainer, weight| {
                let mut read = None;
                display.step(|| {
                    let loss = trainer.mean_loss(weight)?;
                    read = Some(loss);
                    Ok(loss)
                })?;
                if after_look(looks.loss(read, || trainer.mean_loss(weight))?, policy) == Control::Stop {
                    return Ok(Control::Stop);
                }
                for call in &mut fit.on_step {
                    if call(trainer)? == Control::Stop {
                        stop = Control::Stop;
                    }
                }
                interrupted = asked();
                Ok(if interrupted { Control::Stop } else { stop })
            })?;
            if policy != OnNonFinite::Ignore && !report.loss.is_finite() {
                display.finish();
                let what = format!("the mean loss of epoch {}", report.epoch);
                return Err(self.not_finite(train, good.as_ref(), what, report.loss)?);
            }
            if interrupted && self.position > 0 {
                history.stopped = Some(Stopped::Interrupted);
                saved = None;
                break;
            }
            report.evaluation = fit.validation.map(|data| self.evaluate(data)).transpose()?;
            display.epoch(&report);
            let evaluated = report.evaluation.as_ref().is_none_or(|evaluation| evaluation.loss.is_finite());
            let looks_at_weights = match policy {
                OnNonFinite::Ignore => fit.checkpoints.is_some(),
                OnNonFinite::Stop => fit.checkpoints.is_some() || !evaluated,
                OnNonFinite::Locate => true,
            };
            let bad_weight = if looks_at_weights { self.first_bad_weight()? } else { None };
            if let Some(name) = bad_weight.as_ref().filter(|_| policy != OnNonFinite::Ignore) {
                display.finish();
                let what = format!("'{name}' after epoch {}", report.epoch);
                return Err(self.not_finite(train, good.as_ref(), what, f64::NAN)?);
            }
            let is_best = match &mut best {
                Some(best) => {
                    let value = best.monitor.require(&report)?;
                    let is_best = best.observe(history.epochs.len(), value);
                    if is_best {
                        best.variables = self.snapshot_for_prediction()?;
                        history.best = best.position;
                    }
                    is_best
                }
                None => false,
            };
            if let Some((rule, monitor)) = &fit.plateau {
                self.reduce_on_plateau(rule, monitor.require(&report)?)?;
            }
            if let Some(patience) = &mut patience {
                patience.observe(patience.rule.monitor.require(&report)?);
            }
            if saves && self.position == 0 {
                record.push(&report)?;
                record.attach(self);
            }
            if let Some((checkpoints, monitor)) = &fit.checkpoints {
                let metric = monitor.require(&report)?;
                if report.loss.is_finite() && bad_weight.is_none() {
                    if let Some(best) = best.as_ref().filter(|_| is_best && self.position == 0) {
                        self.write_kept(checkpoints, &best.variables)?;
                    }
                    let path = checkpoints.save(self, Some(metric))?;
                    if best.is_some() {
                        kept::clean(checkpoints, self.epoch)?;
                    }
                    saved = Some(path);
                } else {
                    log::warn!("no checkpoint of epoch {}: its loss or a weight is not finite", report.epoch);
                }
            }
            good = match policy {
                OnNonFinite::Ignore => None,
                OnNonFinite::Stop => saved.clone().map(Good::File).or(good),
                OnNonFinite::Locate => Some(self.copy()?),
            };
            for call in &mut fit.on_epoch {
                if call(self, &report)? == Control::Stop {
                    stop = Control::Stop;
                }
            }
            history.epochs.push(report);
            if patience.as_ref().is_some_and(Patience::is_over) {
                history.stopped = Some(Stopped::Early);
            } else if stop == Control::Stop {
                history.stopped = Some(Stopped::Callback);
            } else if asked() {
                history.stopped = Some(Stopped::Interrupted);
            }
        }
        display.finish();
        if history.stopped == Some(Stopped::Interrupted) {
            self.save_interrupted(&fit, saved)?;
            return Ok(history);
        }
        self.forget_fit();
        for (variable, data) in best.into_iter().flat_map(|best| best.variables) {
            self.session.write(variable, data.as_slice())?;
        }
        Ok(history)
    }

    /// Saves a trainer whose fit was interrupted where the fit says, unless that was done after its last step, and says so.
    fn save_interrupted(&mut self, fit: &Fit<'_>, saved: Option<PathBuf>) -> Result<(), Error> {
        self.attach_losses()?;
        let mut places = vec![];
        if let Some((checkpoints, _)) = &fit.checkpoints {
            places.push(match saved {
                Some(path) => path,
                None => self.save_rest(checkpoints)?,
            });
        }
        if let Some(path) = &fit.signal_file {
            self.save(path)?;
            places.push(path.clone());
        }
        let places: Vec<_> = places.iter().map(|path| path.display().to_string()).collect();
        let what = match places[..] {
            [] => "nothing was saved".to_owned(),
            _ => format!("saved as {}", places.join(" and ")),
        };
        // Whoever closed standard error does not want to know.
        let _ = writeln!(io::stderr(), "interrupted after step {}: {what}", self.step);
        Ok(())
    }

    /// A checkpoint between epochs' ends.
    fn save_rest(&mut self, checkpoints: &Checkpoints) -> Result<PathBuf, Error> {
        Ok(checkpoints.save(self, None)?)
    }

    /// All that is needed to come back here, in memory.
    fn copy(&mut self) -> Result<Good, Error> {
        Ok(Good::Copy(Box::new(self.checkpoint()?)))
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
