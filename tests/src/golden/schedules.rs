//! Reference schedules: from the name of a case and its hyperparameters to the project's own.

use serde_json::{Map, Value};
use wgrad::optim::GradientNoise;
use wgrad::schedule::{
    Anneal, Chain, Constant, Cosine, Cyclic, CyclicShape, Exponential, Geometric, Goal, InverseSqrt, InverseTime,
    Linear, MultiStep, OneCycle, Polynomial, ReduceOnPlateau, Schedule, StepDecay, Threshold, WarmRestarts, Warmup,
};

use crate::golden::{list, number, numbers, only, text};

/// Values of a schedule.
#[derive(Debug)]
pub struct Course {
    /// Name of the case, and what the values are of.
    pub name: String,
    /// The schedule.
    pub schedule: Schedule,
    /// Its values at updates 0, 1, ….
    pub wanted: Vec<f64>,
}

/// Hyperparameters of a case, each to be taken once.
struct Hyper(Map<String, Value>);

impl Hyper {
    fn of(case: &Value) -> Result<Self, String> {
        Ok(Self(case["hyper"].as_object().cloned().ok_or("no hyperparameters")?))
    }

    fn take(&mut self, name: &str) -> Result<Value, String> {
        self.0.remove(name).ok_or_else(|| format!("no hyperparameter '{name}'"))
    }

    fn float(&mut self, name: &str) -> Result<f64, String> {
        number(&self.take(name)?)
    }

    fn count(&mut self, name: &str) -> Result<u64, String> {
        count(&self.take(name)?)
    }

    fn flag(&mut self, name: &str) -> Result<bool, String> {
        let value = self.take(name)?;
        value.as_bool().ok_or_else(|| format!("{name} is {value}"))
    }

    /// Every hyperparameter has to be taken.
    fn finish(self) -> Result<(), String> {
        self.0.keys().next().map_or(Ok(()), |rest| Err(format!("there is no hyperparameter '{rest}'")))
    }
}

fn count(value: &Value) -> Result<u64, String> {
    value.as_u64().ok_or_else(|| format!("not a number of updates: {value}"))
}

/// The courses of a case: that of the learning rate, and that of the momentum where there is one.
///
/// # Errors
/// If the case is written otherwise than the schema says, or asks for something unknown.
pub fn case(case: &Value) -> Result<Vec<Course>, String> {
    let name = text(&case["name"])?;
    let mut hyper = Hyper::of(case)?;
    let (rate, momentum) = schedules(name, &mut hyper)?;
    hyper.finish()?;
    let mut courses = vec![Course { name: name.to_owned(), schedule: rate, wanted: numbers(&case["lr"])? }];
    match (momentum, case["momentum"].is_array()) {
        (None, false) => {}
        (Some(schedule), true) => {
            courses.push(Course { name: format!("{name}, momentum"), schedule, wanted: numbers(&case["momentum"])? });
        }
        (_, given) => return Err(format!("momentum is given: {given}, which the schedule does not expect")),
    }
    Ok(courses)
}

fn schedules(name: &str, hyper: &mut Hyper) -> Result<(Schedule, Option<Schedule>), String> {
    let rate: Schedule = match name {
        "constant" => Constant { value: hyper.float("lr0")? }.into(),
        "inverse_sqrt" => InverseSqrt { initial: hyper.float("lr0")? }.into(),
        "inverse_time" => InverseTime { initial: hyper.float("lr0")?, decay: hyper.float("k")? }.into(),
        "exponential_k" => Exponential { initial: hyper.float("lr0")?, decay: hyper.float("k")? }.into(),
        "exponential_gamma" => Geometric { initial: hyper.float("lr0")?, gamma: hyper.float("gamma")? }.into(),
        "step" => {
            let (initial, every, gamma) = (hyper.float("lr0")?, hyper.count("step_size")?, hyper.float("gamma")?);
            StepDecay { initial, every, gamma }.into()
        }
        "multi_step" => {
            let milestones = list(&hyper.take("milestones")?)?.iter().map(count).collect::<Result<_, _>>()?;
            MultiStep { initial: hyper.float("lr0")?, milestones, gamma: hyper.float("gamma")? }.into()
        }
        "polynomial" => {
            let (initial, end, power) = (hyper.float("lr0")?, hyper.float("end_lr")?, hyper.float("power")?);
            Polynomial { initial, end, steps: hyper.count("total_steps")?, power }.into()
        }
        "cosine_annealing_periodic" | "cosine_annealing_clamped" => {
            let (initial, end, steps) = (hyper.float("lr0")?, hyper.float("eta_min")?, hyper.count("T_max")?);
            Cosine { initial, end, steps, periodic: name == "cosine_annealing_periodic" }.into()
        }
        "sgdr" => {
            let (initial, end) = (hyper.float("lr0")?, hyper.float("eta_min")?);
            WarmRestarts { initial, end, first: hyper.count("T_0")?, growth: hyper.count("T_mult")? }.into()
        }
        "cyclic" => return cyclic(hyper),
        "one_cycle" => return one_cycle(hyper),
        _ => warmup(name, hyper)?,
    };
    Ok((rate, None))
}

fn warmup(name: &str, hyper: &mut Hyper) -> Result<Schedule, String> {
    let (peak, warmup) = (hyper.float("peak_lr")?, hyper.count("warmup_steps")?);
    let line = |hyper: &mut Hyper| Ok::<_, String>(Linear::new(hyper.float("init_lr")?, peak, warmup));
    let rest = |hyper: &mut Hyper| Ok::<_, String>(hyper.count("total_steps")?.saturating_sub(warmup));
    Ok(match name {
        "warmup_constant" => line(hyper)?.into(),
        "warmup_constant_t_plus_1" => Warmup { peak, steps: warmup }.into(),
        "warmup_linear" => {
            let (start, steps) = (line(hyper)?, rest(hyper)?);
            Chain::new([(start.into(), warmup)], Linear::new(peak, hyper.float("end_lr")?, steps)).into()
        }
        "warmup_cosine" => {
            let (start, steps) = (line(hyper)?, rest(hyper)?);
            let cosine = Cosine { initial: peak, end: hyper.float("end_lr")?, steps, periodic: false };
            Chain::new([(start.into(), warmup)], cosine).into()
        }
        "warmup_factor_cosine_periodic" => {
            let start = Linear::from_factor(hyper.float("start_factor")?, peak, warmup);
            let cosine = Cosine { initial: peak, end: hyper.float("eta_min")?, steps: rest(hyper)?, periodic: true };
            Chain::new([(start.into(), warmup)], cosine).into()
        }
        _ => return Err(format!("the schedule '{name}' is not known")),
    })
}

fn cyclic(hyper: &mut Hyper) -> Result<(Schedule, Option<Schedule>), String> {
    let gamma = hyper.float("gamma")?;
    let shape = match text(&hyper.take("mode")?)? {
        "triangular" => CyclicShape::Triangular,
        "triangular2" => CyclicShape::Triangular2,
        "exp_range" => CyclicShape::ExpRange { gamma },
        other => return Err(format!("unknown mode '{other}'")),
    };
    let (start, peak) = (hyper.float("base_lr")?, hyper.float("max_lr")?);
    let rate = Cyclic { start, peak, up: hyper.count("step_size_up")?, down: hyper.count("step_size_down")?, shape };
    let momentum = rate.counterpart(hyper.float("base_momentum")?, hyper.float("max_momentum")?);
    Ok((rate.into(), Some(momentum.into())))
}

fn one_cycle(hyper: &mut Hyper) -> Result<(Schedule, Option<Schedule>), String> {
    let peak = hyper.float("max_lr")?;
    let start = peak / hyper.float("div_factor")?;
    let anneal = match text(&hyper.take("anneal_strategy")?)? {
        "cos" => Anneal::Cosine,
        "linear" => Anneal::Linear,
        other => return Err(format!("unknown strategy '{other}'")),
    };
    let rate = OneCycle {
        start,
        peak,
        end: start / hyper.float("final_div_factor")?,
        steps: hyper.count("total_steps")?,
        rising: hyper.float("pct_start")?,
        anneal,
        three_phase: hyper.flag("three_phase")?,
    };
    let momentum = rate.counterpart(hyper.float("base_momentum")?, hyper.float("max_momentum")?);
    Ok((rate.into(), Some(momentum.into())))
}

/// A rate under a plateau.
#[derive(Debug)]
pub struct PlateauCase {
    /// Name of the case.
    pub name: String,
    /// What lowers the rate.
    pub plateau: ReduceOnPlateau,
    /// The rate before the first metric.
    pub rate: f64,
    /// The metrics.
    pub metrics: Vec<f64>,
    /// The rate after each metric.
    pub wanted: Vec<f64>,
    /// How often it falls.
    pub reductions: u64,
}

/// Builds a case of the list `plateau`.
///
/// # Errors
/// If it is written otherwise than the schema says, or asks for something unknown.
pub fn plateau(case: &Value) -> Result<PlateauCase, String> {
    if case["name"] != "reduce_on_plateau" {
        return Err(format!("{} is not known", case["name"]));
    }
    let mut hyper = Hyper::of(case)?;
    let goal = match text(&hyper.take("mode")?)? {
        "min" => Goal::Lower,
        "max" => Goal::Higher,
        other => return Err(format!("unknown mode '{other}'")),
    };
    let threshold_mode = match text(&hyper.take("threshold_mode")?)? {
        "rel" => Threshold::Relative,
        "abs" => Threshold::Absolute,
        other => return Err(format!("unknown mode of the threshold '{other}'")),
    };
    let plateau = ReduceOnPlateau {
        goal,
        factor: hyper.float("factor")?,
        patience: hyper.count("patience")?,
        threshold: hyper.float("threshold")?,
        threshold_mode,
        cooldown: hyper.count("cooldown")?,
        min_rate: hyper.float("min_lr")?,
        eps: hyper.float("eps")?,
    };
    let rate = hyper.float("lr0")?;
    hyper.finish()?;
    Ok(PlateauCase {
        name: format!("plateau, {}", text(&case["label"])?),
        plateau,
        rate,
        metrics: numbers(&case["metric"])?,
        wanted: numbers(&case["lr_after"])?,
        reductions: count(&case["reductions"])?,
    })
}

/// Noise with its standard deviation and variance at updates 0, 1, ….
///
/// # Errors
/// If the case is written otherwise than the schema says.
pub fn noise(case: &Value) -> Result<(GradientNoise, Vec<f64>, Vec<f64>), String> {
    only(case, &["eta", "gamma", "variance", "std"])?;
    let noise = GradientNoise { eta: number(&case["eta"])?, gamma: number(&case["gamma"])?, seed: 0 };
    Ok((noise, numbers(&case["std"])?, numbers(&case["variance"])?))
}
