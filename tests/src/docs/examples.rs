//! An example of every schedule, for pictures of them and for tests of what they promise.

use wgrad::schedule::{
    Anneal, Chain, Constant, Cosine, Cyclic, CyclicShape, Exponential, Geometric, InverseSqrt, InverseSqrtWarmup,
    InverseTime, Linear, MultiStep, OneCycle, Piecewise, Polynomial, ReduceOnPlateau, Schedule, SqrtDecay, StepDecay,
    WarmRestarts, Warmup,
};

/// A schedule with a caption.
#[derive(Debug, Clone)]
pub struct Example {
    /// What it shows.
    pub caption: &'static str,
    /// The schedule.
    pub schedule: Schedule,
    /// Updates worth looking at.
    pub updates: u64,
}

fn example(caption: &'static str, schedule: impl Into<Schedule>, updates: u64) -> Example {
    Example { caption, schedule: schedule.into(), updates }
}

/// Examples of every kind, in the order of [`Schedule::PAGES`]; the first of each kind has the defaults of its fields.
pub fn examples() -> Vec<Example> {
    let cyclic = Cyclic::new(0.01, 0.1);
    let short = Cyclic { up: 20, down: 20, ..cyclic };
    let exp_range = CyclicShape::ExpRange { gamma: 0.99 };
    let cycle = OneCycle::new(0.1, 200);
    let held = Cosine { periodic: false, ..Cosine::new(0.1, 160) };
    vec![
        example("Constant", Constant { value: 0.1 }, 200),
        example("InverseSqrt", InverseSqrt { initial: 0.1 }, 200),
        example("InverseTime, decay 0.03", InverseTime { initial: 0.1, decay: 0.03 }, 200),
        example("Exponential, decay 0.02", Exponential { initial: 0.1, decay: 0.02 }, 200),
        example("Geometric, gamma 0.97", Geometric { initial: 0.1, gamma: 0.97 }, 200),
        example("Polynomial", Polynomial::new(0.1, 160), 200),
        example("Polynomial, power 2", Polynomial { power: 2.0, ..Polynomial::new(0.1, 160) }, 200),
        example("SqrtDecay", SqrtDecay::new(0.1, 160), 200),
        example("StepDecay", StepDecay::new(0.1, 50), 200),
        example("StepDecay, gamma 0.5", StepDecay { gamma: 0.5, ..StepDecay::new(0.1, 50) }, 200),
        example("MultiStep", MultiStep { gamma: 0.1, ..MultiStep::new(0.1, [80, 160]) }, 200),
        example("Piecewise", Piecewise { initial: 0.02, changes: vec![(40, 0.1), (120, 0.05)] }, 200),
        example("Cosine", Cosine::new(0.1, 80), 200),
        example("Cosine, not periodic", held, 200),
        example("WarmRestarts", WarmRestarts::new(0.1, 50), 200),
        example("WarmRestarts, growth 2", WarmRestarts { growth: 2, ..WarmRestarts::new(0.1, 28) }, 200),
        example("Cyclic", cyclic, 10_000),
        example("Cyclic, triangular2", Cyclic { shape: CyclicShape::Triangular2, ..short }, 200),
        example("Cyclic, exp_range 0.99", Cyclic { shape: exp_range, ..short }, 200),
        example("Cyclic, counterpart", cyclic.counterpart(0.8, 0.9), 10_000),
        example("OneCycle", cycle, 220),
        example("OneCycle, three phases", OneCycle { three_phase: true, ..cycle }, 220),
        example("OneCycle, linear", OneCycle { anneal: Anneal::Linear, ..cycle }, 220),
        example("OneCycle, counterpart", cycle.counterpart(0.85, 0.95), 220),
        example("Linear", Linear::new(0.0, 0.1, 100), 200),
        example("Linear, from a third", Linear::from_factor(1.0 / 3.0, 0.1, 100), 200),
        example("Warmup", Warmup { peak: 0.1, steps: 10 }, 20),
        example("InverseSqrtWarmup", InverseSqrtWarmup::transformer(512, 4000), 40_000),
        example("Chain: warm-up, cosine", Chain::warmup(40, held), 240),
        example("Chain: warm-up, line", Chain::warmup(40, Polynomial::new(0.1, 160)), 240),
        example("Chain: warm-up, stable, decay", Chain::warmup_stable_decay(0.1, 40, 120, 40), 240),
        example("Chain: warm-up, restarts", Chain::warmup(40, WarmRestarts::new(0.1, 50)), 240),
    ]
}

/// Caption and learning rates of [`ReduceOnPlateau`] while a metric falls for 60 updates and then stays, told after each.
pub fn plateau() -> (&'static str, Vec<f64>) {
    let plateau = ReduceOnPlateau { factor: 0.5, patience: 20, ..ReduceOnPlateau::default() };
    let mut state = plateau.start();
    let rates = (0..=200_u8).map(|t| {
        let rate = 0.1 * state.factor;
        state = plateau.observe(state, 1.0 / (1.0 + f64::from(t.min(60))), 0.1);
        rate
    });
    ("ReduceOnPlateau, metric flat from 60", rates.collect())
}

/// The name of the type of a schedule, as in [`Schedule::PAGES`].
pub fn kind(schedule: &Schedule) -> String {
    // A variant is named as its type is, and printed so.
    let printed = format!("{schedule:?}");
    printed.split('(').next().unwrap_or_default().to_owned()
}
