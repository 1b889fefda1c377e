//! Parity of training steps: every optimizer on fed gradients, and ten steps of a small network with each of them.
//!
//! Before each step the oracle takes over the engine's variables, so that the bounds are those of one step and stay tight;
//! rounding that adds up over a run, which depends on the problem, is looked at in `tests/training.rs`.

use wgrad::Error;
use wgrad::loss::cross_entropy;
use wgrad::nn::{Activation, Mlp, Model, Params};
use wgrad::optim::{
    AdaBound, Adadelta, Adagrad, Adam, AdamW, Adamax, AdamaxEps, AmsGrad, AmsGradMaximum, DecayScale, EpsPlacement,
    Momentum, MomentumEma, NAdam, Nesterov, NesterovVelocity, Optimization, Optimizer, RAdam, RmsProp, SCALARS_FEED,
    Sgd, SgdW, apply,
};
use wgrad_core::plan::{Session, Source};
use wgrad_core::{Builder, Entry, EntryId, Fetch, Init, Program, Role, TensorType, VarId};
use wgrad_cpu_ref::Oracle;

use super::report::{Outcome, Report};
use super::{caught, compare};
use crate::corpus::feed;
use crate::engine::{self, Data, Engine, widen};
use crate::sample::{Domain, Input, Random};

/// Optimizers in every variant of their formulas, with a name each.
pub(super) fn optimizers() -> Vec<(&'static str, Optimizer)> {
    let momentum = Momentum { learning_rate: 0.05, ..Momentum::default() };
    let rmsprop = RmsProp { learning_rate: 0.02, alpha: 0.9, eps: 1e-3, ..RmsProp::default() };
    let ema = MomentumEma { learning_rate: 0.05, ..MomentumEma::default() };
    let nesterov = Nesterov { learning_rate: 0.05, ..Nesterov::default() };
    let adagrad = Adagrad { learning_rate: 0.05, lr_decay: 0.1, initial_accumulator_value: 0.1, ..Adagrad::default() };
    let adamax = Adamax { learning_rate: 0.01, eps: 1e-3, ..Adamax::default() };
    let amsgrad = AmsGrad { learning_rate: 0.01, beta2: 0.9, eps: 1e-3, ..AmsGrad::default() };
    let nadam = NAdam { learning_rate: 0.01, eps: 1e-3, ..NAdam::default() };
    let radam = RAdam { learning_rate: 0.01, eps: 1e-3, ..RAdam::default() };
    let bound = AdaBound { learning_rate: 0.01, gamma: 0.5, beta2: 0.9, eps: 1e-3, ..AdaBound::default() };
    vec![
        ("sgd", Sgd { learning_rate: 0.1, weight_decay: 0.0 }.into()),
        ("sgd l2", Sgd { learning_rate: 0.1, weight_decay: 0.05 }.into()),
        ("momentum", momentum.into()),
        ("momentum nesterov l2", Momentum { nesterov: true, weight_decay: 0.05, ..momentum }.into()),
        ("momentum dampening", Momentum { dampening: 0.25, ..momentum }.into()),
        ("rmsprop", rmsprop.into()),
        ("rmsprop centered", RmsProp { centered: true, ..rmsprop }.into()),
        ("rmsprop momentum l2", RmsProp { momentum: 0.5, weight_decay: 0.05, ..rmsprop }.into()),
        ("adam", Adam { learning_rate: 0.01, ..Adam::default() }.into()),
        ("adam l2", Adam { learning_rate: 0.01, weight_decay: 0.05, eps: 1e-3, ..Adam::default() }.into()),
        ("momentum ema", ema.into()),
        ("momentum ema corrected l2", MomentumEma { bias_correction: true, weight_decay: 0.05, ..ema }.into()),
        ("nesterov", nesterov.into()),
        ("nesterov mean l2", Nesterov { velocity: NesterovVelocity::Mean, weight_decay: 0.05, ..nesterov }.into()),
        ("sgdw", SgdW { learning_rate: 0.05, ..SgdW::default() }.into()),
        ("sgdw schedule", SgdW { learning_rate: 0.05, decay_scale: DecayScale::Schedule, ..SgdW::default() }.into()),
        ("adagrad", adagrad.into()),
        ("adagrad in root l2", Adagrad { eps: 1e-3, eps_in_root: true, weight_decay: 0.05, ..adagrad }.into()),
        ("adadelta", Adadelta { eps: 1e-3, ..Adadelta::default() }.into()),
        ("adadelta l2", Adadelta { eps: 1e-3, weight_decay: 0.05, ..Adadelta::default() }.into()),
        ("rmsprop in root", RmsProp { eps_in_root: true, ..rmsprop }.into()),
        ("adam root", Adam { eps: 1e-3, eps_placement: EpsPlacement::Root, ..Adam::default() }.into()),
        ("adam in root", Adam { eps: 1e-3, eps_placement: EpsPlacement::InRoot, ..Adam::default() }.into()),
        ("adam uncorrected", Adam { eps: 1e-3, bias_correction: false, ..Adam::default() }.into()),
        ("adamw", AdamW { learning_rate: 0.01, weight_decay: 0.1, ..AdamW::default() }.into()),
        ("adamax", adamax.into()),
        ("adamax after l2", Adamax { eps_placement: AdamaxEps::AfterMaximum, weight_decay: 0.05, ..adamax }.into()),
        ("amsgrad", amsgrad.into()),
        ("amsgrad corrected", AmsGrad { maximum: AmsGradMaximum::Corrected, ..amsgrad }.into()),
        ("amsgrad uncorrected l2", AmsGrad { bias_correction: false, weight_decay: 0.05, ..amsgrad }.into()),
        ("nadam", nadam.into()),
        ("nadam simple l2", NAdam { momentum_decay: None, weight_decay: 0.05, ..nadam }.into()),
        ("nadam decoupled", NAdam { weight_decay: 0.05, decoupled_weight_decay: true, ..nadam }.into()),
        ("radam", radam.into()),
        (
            "radam corrected l2",
            RAdam { eps_placement: EpsPlacement::CorrectedRoot, weight_decay: 0.05, ..radam }.into(),
        ),
        ("radam decoupled", RAdam { weight_decay: 0.05, decoupled_weight_decay: true, ..radam }.into()),
        ("adabound", bound.into()),
        ("amsbound l2", AdaBound { amsbound: true, weight_decay: 0.05, ..bound }.into()),
    ]
}

/// Runs the steps on engines.
pub fn steps(engines: &[Engine]) -> Report {
    let mut report = Report::new(&[]);
    for (name, optimizer) in optimizers() {
        for engine in engines {
            let outcomes = fed_gradients(&optimizer.into()).and_then(|run| caught(|| walk(engine, &run, 4)));
            report.add("optimizer", "step", engine.name, name, outcomes);
        }
    }
    for (name, optimizer) in optimizers() {
        for engine in engines {
            let outcomes = network(&optimizer.into()).and_then(|run| caught(|| walk(engine, &run, 10)));
            report.add("training", "step", engine.name, name, outcomes);
        }
    }
    report
}

/// The programs of the steps, with a name each.
///
/// # Errors
/// If a graph refuses one.
pub(super) fn programs() -> Result<Vec<(String, Program)>, String> {
    let mut programs = Vec::new();
    for (name, optimizer) in optimizers() {
        programs.push((format!("optimizer: {name}"), fed_gradients(&optimizer.into())?.program));
        programs.push((format!("training: {name}"), network(&optimizer.into())?.program));
    }
    Ok(programs)
}

/// A program whose entry 0 is a training step.
struct Run {
    program: Program,
    optimizer: Optimization,
    /// Feeds after the optimizer's scalars.
    inputs: Vec<Input>,
}

/// Parameters of awkward shapes, one of them empty, with fed gradients.
fn fed_gradients(optimizer: &Optimization) -> Result<Run, String> {
    let builder = Builder::new();
    let mut entry = Entry { name: "step".to_owned(), ..Entry::default() };
    let mut inputs = Vec::new();
    let build = || -> Result<Entry, Error> {
        let mut pairs = Vec::new();
        for (i, shape) in [&[5, 3][..], &[7], &[], &[1], &[0, 2], &[33, 31]].into_iter().enumerate() {
            let ty = TensorType::f32(shape);
            let seed = u32::try_from(i).unwrap_or(0);
            let init = Init::Uniform { low: -1.0, high: 1.0, seed: 5, stream: seed };
            let parameter = builder.variable(&format!("p{i}"), ty.clone(), init, Role::Parameter)?;
            pairs.push((parameter, feed(&builder, &mut entry, &format!("g{i}"), ty)?));
            inputs.push(Input::new(shape, Domain::Range(-1.0, 1.0)));
        }
        entry.updates = apply(&builder, optimizer, &pairs)?.updates;
        Ok(entry)
    };
    let mut entry = build().map_err(|e| e.to_string())?;
    entry.feeds.splice(0..0, builder.with(|g| g.find_feed(SCALARS_FEED)));
    let program = Program { graph: builder.into_graph(), entries: vec![entry] };
    Ok(Run { program, optimizer: optimizer.clone(), inputs })
}

/// A small network under cross-entropy.
fn network(optimizer: &Optimization) -> Result<Run, String> {
    let builder = Builder::new();
    let build = || -> Result<Entry, Error> {
        let mut entry = Entry { name: "train".to_owned(), ..Entry::default() };
        let x = feed(&builder, &mut entry, "x", TensorType::f32([9, 5]))?;
        let y = feed(&builder, &mut entry, "y", TensorType::u32([9]))?;
        let params = Params::new(&builder, 3);
        let logits = Mlp::new(&[5, 11, 7, 3], Activation::Tanh).forward(&params, x)?;
        let loss = cross_entropy(logits, y)?;
        let parameters: Vec<_> = params.all().into_iter().map(|(_, p)| p).collect();
        let gradients = builder.grad(loss, &parameters)?;
        let pairs: Vec<_> = parameters.into_iter().zip(gradients).collect();
        entry.fetches.push(Fetch { name: "loss".to_owned(), node: loss.id() });
        entry.updates = apply(&builder, optimizer, &pairs)?.updates;
        Ok(entry)
    };
    let mut entry = build().map_err(|e| e.to_string())?;
    entry.feeds.splice(0..0, builder.with(|g| g.find_feed(SCALARS_FEED)));
    let program = Program { graph: builder.into_graph(), entries: vec![entry] };
    let inputs = vec![Input::new([9, 5], Domain::Range(-1.0, 1.0)), Input::new([9], Domain::Index(3))];
    Ok(Run { program, optimizer: optimizer.clone(), inputs })
}

fn walk(engine: &Engine, run: &Run, steps: u64) -> Result<Vec<Outcome>, String> {
    let entry = EntryId::from_index(0);
    let mut oracle = Oracle::new(&run.program).map_err(|e| e.to_string())?;
    oracle.track_bounds(true);
    let mut session = engine.prepare(&run.program)?;
    let variables: Vec<VarId> = (0..run.program.graph.variables().len()).map(VarId::from_index).collect();
    let mut outcomes = Vec::new();
    for step in 1..=steps {
        for &variable in &variables {
            let present = read(session.as_mut(), variable)?;
            // The oracle must not take over what would hide a mistake: a wrong start, or NaN, of which only NaN follows.
            if step == 1 {
                let initial = oracle.variable_bound(variable).ok_or("a variable without bound")?;
                outcomes.push(compare(&present, initial).at(&format!("{variable} at the start")));
            }
            if let Some(element) = present.iter().position(|v| !v.is_finite()) {
                return Err(format!("before step {step}, element {element} of {variable} is {}", present[element]));
            }
            oracle.write(variable, &present).map_err(|e| e.to_string())?;
        }
        let mut random = Random::of("steps", step);
        let mut feeds = vec![Data::Float(run.optimizer.scalars(step, 1.0))];
        feeds.extend(run.inputs.iter().map(|input| input.draw(&mut random)));
        oracle.run(entry, &feeds.iter().map(Data::oracle).collect::<Vec<_>>()).map_err(|e| e.to_string())?;
        let got = engine::run_session(session.as_mut(), entry, &feeds)?;
        for (i, got) in got.iter().enumerate() {
            let wanted = oracle.fetch_bound(entry, i).ok_or("a fetch without bound")?;
            outcomes.push(compare(got, wanted).at(&format!("fetch {i}, step {step}")));
        }
        for &variable in &variables {
            let got = read(session.as_mut(), variable)?;
            let wanted = oracle.variable_bound(variable).ok_or("a variable without bound")?;
            let name = &run.program.graph.variables()[variable.index()].name;
            outcomes.push(compare(&got, wanted).at(&format!("{name}, step {step}")));
        }
    }
    Ok(outcomes)
}

fn read(session: &mut dyn Session, variable: VarId) -> Result<Vec<f64>, String> {
    session.read(Source::Variable(variable)).map(widen).map_err(|e| e.to_string())
}
