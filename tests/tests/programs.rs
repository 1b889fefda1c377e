//! Random programs on every engine, against the oracle; what they are made of; and that a failure is found and becomes small.

use std::collections::{BTreeMap, BTreeSet};

use wgrad_core::plan::{Backend, BackendError, Inst, Plan, PrepareOptions, Session, Target};
use wgrad_core::{Binary, Compare, Op, Unary};
use wgrad_cpu_ref::CpuBackend;
use wgrad_tests::corpus::{KINDS, kind};
use wgrad_tests::engine::{Engine, Gpu};
use wgrad_tests::programs::recipe::{Composite, Make, Part, Rule};
use wgrad_tests::programs::{Options, Recipes, Share, Tally, build, run, shares, shrink};

/// Programs of a run of the tests; `WGRAD_PROGRAMS` and `WGRAD_PROGRAMS_SEED` change number and seed.
const COUNT: u64 = 2000;
/// On a GPU every one is new code to compile, so the tests run only one portion of this many there. `cargo xtask programs` runs all.
const GPU_PORTIONS: u64 = 20;
/// The least share of elements that have to be held tightly, and the greatest about which nothing is promised, in percent.
const TIGHT_MIN: u64 = 98;
const ANYTHING_MAX: u64 = 1;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|e| panic!("{variable}={text}: {e}")))
}

#[test]
fn random_programs_agree_with_the_oracle() {
    let (count, seed) = (number("WGRAD_PROGRAMS", COUNT), number("WGRAD_PROGRAMS_SEED", 0));
    let sparse = |share: Share| {
        let of = if share.engine.starts_with("gpu") { (share.of * GPU_PORTIONS).min(COUNT / 80) } else { share.of };
        Share { of, ..share }
    };
    let shares = shares().into_iter().map(sparse).collect();
    let summary = run(&Options { count, seed, gpu: Gpu::Auto, shares, progress: false });
    println!("{summary}");
    assert!(!summary.failed(), "{summary}");
    for row in &summary.rows {
        let Tally { elements, anything, tight } = row.tally;
        // One program more or less with loose bounds shows in a small portion.
        let tight_min = if row.engine.starts_with("gpu") { TIGHT_MIN - 8 } else { TIGHT_MIN };
        assert!(tight * 100 >= elements * tight_min, "too little is checked on {}: {}", row.engine, row.tally);
        assert!(anything * 100 <= elements * ANYTHING_MAX, "too little is checked on {}: {}", row.engine, row.tally);
    }
}

/// How many of the first programs have what.
#[derive(Debug, Default)]
struct Census(BTreeMap<String, u64>);

impl Census {
    fn note(&mut self, what: impl Into<String>, there: bool) {
        *self.0.entry(what.into()).or_default() += u64::from(there);
    }
}

#[test]
fn programs_are_made_of_everything() {
    let recipes = Recipes::new(0);
    let mut census = Census::default();
    let scalars = || {
        let unary = Unary::ALL.iter().map(|op| op.name());
        let binary = Binary::ALL.iter().map(|op| op.name());
        let compare = Compare::ALL.iter().map(|op| op.name());
        unary.chain(binary).chain(compare).chain(["reduce_sum", "reduce_max", "reduce_min"])
    };
    for recipe in (0..COUNT).map(|number| recipes.get(number)) {
        let program = build(&[&recipe]).unwrap().program;
        let graph = &program.graph;
        let roots = program.entries.iter().flat_map(|entry| entry.roots());
        let live = graph.reachable(roots);
        let ops: Vec<&Op> = graph.ids().filter(|id| live[id.index()]).map(|id| &graph[id].op).collect();
        let kinds: BTreeSet<&str> = ops.iter().map(|op| kind(op)).collect();
        let names: BTreeSet<&str> = ops.iter().map(|op| op.name()).collect();
        KINDS.iter().for_each(|kind| census.note(*kind, kinds.contains(kind)));
        scalars().for_each(|name| census.note(name, names.contains(name)));
        for (transpose_a, transpose_b) in [(false, false), (false, true), (true, false), (true, true)] {
            for batched in [false, true] {
                let there = |op: &&Op| match op {
                    Op::MatMul { a, b: _, transpose_a: ta, transpose_b: tb } => {
                        (*ta, *tb, graph.ty(*a).shape.rank() > 2) == (transpose_a, transpose_b, batched)
                    }
                    _ => false,
                };
                census.note(format!("matmul {transpose_a} {transpose_b} {batched}"), ops.iter().any(there));
            }
        }
        let made = |wanted: fn(&Make) -> bool| recipe.steps.iter().filter(|step| wanted(&step.make)).count();
        census.note("gradient of a gradient", made(|make| matches!(make, Make::Gradient(..))) > 1);
        for function in Composite::ALL {
            let there = recipe.steps.iter().any(|s| matches!(s.make, Make::Composite(f, ..) if f == *function));
            census.note(format!("{function:?}"), there);
        }
        for rule in Rule::ALL {
            let slots = match rule {
                Rule::None => 0,
                Rule::Descent => 1,
                Rule::Momentum => 2,
                Rule::Adaptive => 3,
            };
            let trains = |(part, entry): (&Part, &wgrad_core::Entry)| {
                part.rule == *rule && part.moves.is_empty() && entry.updates.len() >= 2 * slots
            };
            census.note(
                format!("{rule:?} of several variables"),
                recipe.entries.iter().zip(&program.entries).any(trains),
            );
        }
        let updates = || program.entries.iter().flat_map(|entry| &entry.updates);
        let of_variable =
            |update: &wgrad_core::Update| matches!(graph[update.node].op, Op::Variable(id) if id != update.variable);
        census.note("a variable becomes another", updates().any(of_variable));
        census.note("rows of a variable change", updates().any(|update| update.rows.is_some()));
        census.note("entries share variables", program.entries.len() > 1 && updates().next().is_some());
        census.note("an axis of size 0", recipe.sizes.contains(&0));
        census.note("an axis of size 1", recipe.sizes.contains(&1));
        census.note("a long axis", recipe.sizes.iter().any(|&size| size > 60));
        census.note("integer variables", recipe.variables.iter().any(|leaf| leaf.integers));
    }
    println!("{census:#?}");
    let rare: Vec<_> = census.0.iter().filter(|(_, count)| **count < 5).collect();
    assert!(rare.is_empty(), "of {COUNT} programs too few have {rare:?}");
}

/// The CPU backend with a mistake in its plans.
#[derive(Debug)]
struct Sabotaged {
    inner: CpuBackend,
    change: fn(&mut Plan),
}

impl Backend for Sabotaged {
    fn target(&self) -> &Target {
        self.inner.target()
    }

    fn prepare(&self, mut plan: Plan, options: PrepareOptions<'_>) -> Result<Box<dyn Session>, BackendError> {
        (self.change)(&mut plan);
        self.inner.prepare(plan, options)
    }
}

fn sabotaged(change: fn(&mut Plan)) -> Engine {
    Engine::new("sabotaged", Sabotaged { inner: CpuBackend::new(), change })
}

fn instructions(plan: &mut Plan) -> impl Iterator<Item = &mut Inst> {
    let kernels = plan.entries.iter_mut().flat_map(|e| &mut e.dispatches).flat_map(|d| &mut d.kernels);
    kernels.flat_map(|kernel| &mut kernel.body)
}

fn maximum_is_minimum(plan: &mut Plan) {
    for inst in instructions(plan) {
        if let Inst::Binary(op @ Binary::Max, _, _) = inst {
            *op = Binary::Min;
        }
    }
}

#[test]
fn a_mistake_is_found_and_shrunk() {
    let engine = sabotaged(maximum_is_minimum);
    let recipes = Recipes::new(0);
    let mut found = 0;
    for number in 0..200 {
        let Some(culprit) = shrink(&engine, recipes.tree(number)) else { continue };
        found += 1;
        let [recipe] = &culprit.recipes[..] else { panic!("{culprit}") };
        println!("{number}: {} tries, {}", culprit.tries, recipe.code());
    }
    assert!(found > 0);
}
