//! Every number that a user can set is refused outside its range, with the field, its value and the range; and accepted inside it.
//! A field that no list names fails as well.

use std::fmt::Debug;

use wgrad::optim::{
    self, AdaBound, Adadelta, Adagrad, Adam, AdamW, Adamax, Adan, AmsGrad, Average, Clip, DecayScale, GradientNoise,
    Hyperparameter, Lamb, Lion, Lookahead, Momentum, MomentumEma, Muon, NAdam, Nesterov, NesterovVelocity, Newton,
    NewtonSolver, Optimization, Optimizer, ParameterGroup, RAdam, RmsProp, Schedules, Sgd, SgdW, SparseAdam, Swats,
};
use wgrad::schedule::{
    Chain, Constant, Cosine, Cyclic, CyclicShape, Exponential, Geometric, InverseSqrt, InverseSqrtWarmup, InverseTime,
    Linear, MultiStep, OneCycle, Piecewise, Polynomial, ReduceOnPlateau, Schedule, SqrtDecay, StepDecay, WarmRestarts,
    Warmup,
};
use wgrad::{Builder, Init, Role, Scalar, TensorType};
use wgrad_tests::docs::examples::kind;
use wgrad_tests::docs::printed;

/// Numbers that every field is set to.
const PROBES: [f64; 13] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    -1.0,
    -f64::MIN_POSITIVE,
    0.0,
    f64::MIN_POSITIVE,
    0.5,
    1.0 - f64::EPSILON,
    1.0,
    1.5,
    4.0,
    1e9,
];

/// Counts that may be 0.
const ZERO_ALLOWED: [&str; 3] = ["down", "patience", "cooldown"];

/// A field that a number can be put into.
trait Set {
    /// Puts it there, if the type has such a value.
    fn set(&mut self, v: f64) -> bool;
}

impl Set for f64 {
    fn set(&mut self, v: f64) -> bool {
        *self = v;
        true
    }
}

impl Set for Option<f64> {
    fn set(&mut self, v: f64) -> bool {
        *self = Some(v);
        true
    }
}

impl<const N: usize> Set for [f64; N] {
    fn set(&mut self, v: f64) -> bool {
        self[N - 1] = v;
        true
    }
}

/// The whole number that it is.
fn whole(v: f64) -> Option<u32> {
    let range = 0.0..=f64::from(u32::MAX);
    (range.contains(&v) && v.fract() == 0.0).then_some(v as u32)
}

macro_rules! set_whole {
    ($($Type:ty)+) => {$(
        impl Set for $Type {
            fn set(&mut self, v: f64) -> bool {
                let Some(v) = whole(v) else { return false };
                *self = <$Type>::try_from(v).unwrap();
                true
            }
        }
    )+};
}

set_whole!(u32 u64 usize);

/// The name of a field, and what gives a value with a number in that field, if it can be there.
type Field<T> = (&'static str, fn(f64) -> Option<T>);

/// A value and its fields.
struct Settable<T> {
    base: T,
    fields: Vec<Field<T>>,
}

/// A value of `base` with the fields named.
macro_rules! settable {
    ($base:expr; $($field:ident)*) => {
        Settable {
            base: $base.into(),
            fields: vec![$((stringify!($field), |v| {
                let mut value = $base;
                value.$field.set(v).then(|| value.into())
            }),)*],
        }
    };
}

/// Puts every probe into a field. `ranges` are those of the value before.
fn check<T>(
    owner: &str,
    field: &str,
    ranges: &[Hyperparameter],
    set: impl Fn(f64) -> Option<T>,
    validate: impl Fn(&T) -> Result<(), wgrad::Error>,
) {
    let Some(Hyperparameter { range, .. }) = ranges.iter().find(|h| h.field == field) else {
        panic!("{owner}: nothing is said about the range of {field}");
    };
    for v in PROBES {
        let Some(value) = set(v) else { continue };
        match validate(&value) {
            Ok(()) => assert!(range.contains(v), "{owner}: {field} {v} is accepted"),
            Err(error) => {
                assert!(!range.contains(v), "{owner}: {field} {v} is refused: {error}");
                let message = format!("{owner}: {field} is {v}, but must be {}", range.advice(v));
                assert_eq!(error.to_string(), message);
            }
        }
        let never = !v.is_finite() || v <= -1.0 && field != "ns_coefficients" || v >= 1.0 && field.contains("beta");
        assert!(!never || !range.contains(v), "{owner}: {field} {v} should not be allowed");
    }
    let is_count = set(0.5).is_none();
    let may_be_zero = !is_count || ZERO_ALLOWED.contains(&field);
    assert!(may_be_zero || !range.contains(0.0), "{owner}: {field} counts something, and may be 0");
}

/// Names of the fields that are numbers.
fn numbers(value: &dyn Debug) -> Vec<String> {
    let number = |text: &str| {
        let text = text.trim_start_matches("Some(").trim_start_matches('[');
        text.starts_with(|c: char| c.is_ascii_digit() || c == '-')
    };
    printed(value).into_iter().filter(|(_, value)| number(value)).map(|(name, _)| name).collect()
}

fn optimizers() -> Vec<Settable<Optimizer>> {
    vec![
        settable!(Sgd::default(); learning_rate weight_decay),
        settable!(Momentum::default(); learning_rate momentum dampening weight_decay),
        settable!(Momentum { nesterov: true, ..Momentum::default() }; learning_rate momentum dampening weight_decay),
        settable!(MomentumEma::default(); learning_rate beta weight_decay),
        settable!(Nesterov::default(); learning_rate momentum weight_decay),
        settable!(Nesterov { velocity: NesterovVelocity::Mean, ..Nesterov::default() }; learning_rate momentum weight_decay),
        settable!(SgdW::default(); learning_rate momentum weight_decay),
        settable!(SgdW { decay_scale: DecayScale::Schedule, ..SgdW::default() }; learning_rate momentum weight_decay),
        settable!(Adagrad::default(); learning_rate lr_decay initial_accumulator_value eps weight_decay),
        settable!(Adadelta::default(); learning_rate rho eps weight_decay),
        settable!(RmsProp::default(); learning_rate alpha eps momentum weight_decay),
        settable!(Adam::default(); learning_rate beta1 beta2 eps weight_decay),
        settable!(AdamW::default(); learning_rate beta1 beta2 eps weight_decay),
        settable!(AdamW { decay_scale: DecayScale::Schedule, ..AdamW::default() };
            learning_rate beta1 beta2 eps weight_decay),
        settable!(Adamax::default(); learning_rate beta1 beta2 eps weight_decay),
        settable!(AmsGrad::default(); learning_rate beta1 beta2 eps weight_decay),
        settable!(NAdam::default(); learning_rate beta1 beta2 eps momentum_decay weight_decay),
        settable!(RAdam::default(); learning_rate beta1 beta2 eps rho_threshold weight_decay),
        settable!(AdaBound::default(); learning_rate final_lr beta1 beta2 gamma eps weight_decay),
        settable!(Adan::default(); learning_rate beta1 beta2 beta3 eps weight_decay),
        settable!(Swats::default(); learning_rate beta1 beta2 eps tolerance),
        settable!(SparseAdam::default(); learning_rate beta1 beta2 eps),
        settable!(Lion::default(); learning_rate beta1 beta2 weight_decay),
        settable!(Lamb::default(); learning_rate beta1 beta2 eps weight_decay),
        settable!(Muon::default(); learning_rate momentum ns_steps ns_coefficients eps weight_decay),
        settable!(Newton::default(); learning_rate damping),
        Settable {
            base: conjugate(8, 1e-3),
            fields: vec![
                ("solver.iterations", |v| whole(v).map(|iterations| conjugate(iterations, 1e-3))),
                ("solver.tolerance", |v| Some(conjugate(8, v))),
            ],
        },
    ]
}

fn conjugate(iterations: u32, tolerance: f64) -> Optimizer {
    let solver = NewtonSolver::ConjugateGradients { iterations, tolerance };
    Newton { solver, ..Newton::default() }.into()
}

#[test]
fn optimizers_refuse_what_is_out_of_range() {
    let optimizers = optimizers();
    for optimizer in Optimizer::all() {
        let name = optimizer.name();
        let Some(settable) = optimizers.iter().find(|s| s.base.name() == name) else { panic!("{name} is not listed") };
        let fields: Vec<_> = settable.fields.iter().map(|(field, _)| *field).collect();
        assert_eq!(numbers(&settable.base.rule()), fields, "{name}: the numbers, and those listed");
    }
    for Settable { base, fields } in &optimizers {
        base.validate().unwrap();
        for (field, set) in fields {
            check(base.name(), field, &base.rule().hyperparameters(), set, Optimizer::validate);
        }
    }
}

fn schedules() -> Vec<Settable<Schedule>> {
    vec![
        settable!(Constant { value: 0.1 }; value),
        settable!(InverseSqrt { initial: 0.1 }; initial),
        settable!(InverseTime { initial: 0.1, decay: 0.1 }; initial decay),
        settable!(Exponential { initial: 0.1, decay: 0.1 }; initial decay),
        settable!(Geometric { initial: 0.1, gamma: 0.9 }; initial gamma),
        settable!(Polynomial::new(0.1, 9); initial end steps power),
        settable!(SqrtDecay::new(0.1, 9); initial end steps),
        settable!(StepDecay::new(0.1, 9); initial every gamma),
        settable!(MultiStep::new(0.1, []); initial gamma),
        settable!(Piecewise { initial: 0.1, changes: vec![] }; initial),
        Settable { base: change(0.1), fields: vec![("changes", |v| Some(change(v)))] },
        settable!(Cosine::new(0.1, 9); initial end steps),
        settable!(WarmRestarts::new(0.1, 9); initial end first growth),
        settable!(Cyclic::new(0.1, 0.2); start peak up down),
        Settable { base: exp_range(0.5), fields: vec![("shape.gamma", |v| Some(exp_range(v)))] },
        settable!(OneCycle::new(0.1, 9); start peak end steps rising),
        settable!(Linear::new(0.1, 0.2, 9); initial end steps),
        settable!(Warmup { peak: 0.1, steps: 9 }; peak steps),
        settable!(InverseSqrtWarmup { peak: 0.1, warmup: 9 }; peak warmup),
        Settable { base: chain(9), fields: vec![("pieces", |v| whole(v).map(|steps| chain(steps.into())))] },
    ]
}

fn change(value: f64) -> Schedule {
    Piecewise { initial: 0.1, changes: vec![(3, value)] }.into()
}

fn exp_range(gamma: f64) -> Schedule {
    Cyclic { shape: CyclicShape::ExpRange { gamma }, ..Cyclic::new(0.1, 0.2) }.into()
}

fn chain(steps: u64) -> Schedule {
    Chain::new([(Constant { value: 0.1 }.into(), steps)], Constant { value: 0.1 }).into()
}

#[test]
fn schedules_refuse_what_is_out_of_range() {
    let schedules = schedules();
    for page in Schedule::PAGES {
        let Some(settable) = schedules.iter().find(|s| kind(&s.base) == page.name) else {
            panic!("{} is not listed", page.name);
        };
        let fields: Vec<_> = settable.fields.iter().map(|(field, _)| *field).filter(|f| *f != "pieces").collect();
        assert_eq!(numbers(&settable.base.curve()), fields, "{}: the numbers, and those listed", page.name);
    }
    for Settable { base, fields } in &schedules {
        base.validate().unwrap();
        for (field, set) in fields {
            check(base.curve().name(), field, &base.curve().fields(), set, Schedule::validate);
        }
    }
}

#[test]
fn what_chains_are_made_of_is_checked() {
    let bad: Schedule = Constant { value: f64::NAN }.into();
    let good: Schedule = Constant { value: 0.1 }.into();
    for chain in [Chain::new([(bad.clone(), 1)], good.clone()), Chain::new([(good, 1)], bad)] {
        let nested = Chain::new([(chain.clone().into(), 1)], Constant { value: 0.1 });
        for schedule in [Schedule::from(chain), nested.into()] {
            let message = schedule.validate().unwrap_err().to_string();
            assert_eq!(message, "constant schedule: value is NaN, but must be at least 0 and finite");
        }
    }
}

#[test]
fn plateaus_refuse_what_is_out_of_range() {
    let settable: Settable<ReduceOnPlateau> =
        settable!(ReduceOnPlateau::default(); factor patience threshold cooldown min_rate eps);
    let fields: Vec<_> = settable.fields.iter().map(|(field, _)| *field).collect();
    assert_eq!(numbers(&settable.base), fields);
    for (field, set) in settable.fields {
        check("plateau", field, &settable.base.fields(), set, ReduceOnPlateau::validate);
    }
}

fn around() -> Vec<Field<Optimization>> {
    // A new field has to be thought of here.
    let Optimization {
        optimizer: _,
        schedules: _,
        groups: _,
        clip: _,
        accumulate: _,
        noise: _,
        lookahead: _,
        average: _,
        skip_non_finite: _,
    } = plain();
    vec![
        ("clip.max", |max| Some(Optimization { clip: Some(Clip::Value { max }), ..plain() })),
        ("clip.max", |max| Some(Optimization { clip: Some(Clip::GlobalNorm { max, eps: 0.0 }), ..plain() })),
        ("clip.eps", |eps| Some(Optimization { clip: Some(Clip::GlobalNorm { max: 1.0, eps }), ..plain() })),
        ("accumulate", |v| whole(v).map(|v| Optimization { accumulate: v as usize, ..plain() })),
        ("noise.eta", |eta| Some(Optimization { noise: Some(GradientNoise { eta, gamma: 0.5, seed: 0 }), ..plain() })),
        ("noise.gamma", |gamma| {
            Some(Optimization { noise: Some(GradientNoise { eta: 0.1, gamma, seed: 0 }), ..plain() })
        }),
        ("lookahead.k", |v| {
            whole(v).map(|k| Optimization { lookahead: Some(Lookahead { k: k.into(), alpha: 0.5 }), ..plain() })
        }),
        ("lookahead.alpha", |alpha| Some(Optimization { lookahead: Some(Lookahead { k: 5, alpha }), ..plain() })),
        ("average.decay", |decay| Some(Optimization { average: Some(Average { decay }), ..plain() })),
    ]
}

fn plain() -> Optimization {
    Sgd::default().into()
}

#[test]
fn what_is_around_optimizers_is_checked() {
    plain().validate().unwrap();
    for (field, set) in around() {
        let mut refused = 0;
        for v in PROBES {
            let Some(optimization) = set(v) else { continue };
            if let Err(error) = optimization.validate() {
                let message = error.to_string();
                assert!(message.starts_with(&format!("optimization: {field} is {v}, but must be ")), "{message}");
                refused += 1;
            } else {
                assert!(v.is_finite() && v >= 0.0, "{field} {v} is accepted");
            }
        }
        let zero_counts = set(0.5).is_none();
        assert!(!zero_counts || set(0.0).is_some_and(|o| o.validate().is_err()), "{field} counts something");
        assert!(refused > 0, "{field} is never refused");
    }
}

/// Groups and schedules are looked into, and a program cannot be made of anything that is refused.
#[test]
fn nothing_bad_gets_into_a_program() {
    let bad_rule = Sgd { learning_rate: f64::NAN, ..Sgd::default() };
    let bad_schedule = Schedules::learning_rate(Constant { value: -1.0 });
    let group = |rule: Sgd, schedules: Schedules| Optimization {
        groups: vec![ParameterGroup::with("*", rule, schedules)],
        ..plain()
    };
    let bad = [
        Optimization::new(bad_rule),
        Optimization { schedules: bad_schedule.clone(), ..plain() },
        group(bad_rule, Schedules::default()),
        group(Sgd::default(), bad_schedule),
        Optimization { accumulate: 0, ..plain() },
    ];
    for optimization in bad {
        let wanted = optimization.validate().unwrap_err().to_string();
        let builder = Builder::new();
        let ty = TensorType::f32([2]);
        let p = builder.variable("p", ty, Init::Fill(Scalar::F32(1.0)), Role::Parameter).unwrap();
        let message = optim::apply(&builder, &optimization, &[(p, p)]).unwrap_err().to_string();
        assert_eq!(message, wanted);
    }
}
