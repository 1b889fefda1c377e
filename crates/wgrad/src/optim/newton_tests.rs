//! Newton's method on problems whose solution is known. Reference numbers are in the tests of the workspace.

use wgrad_core::{
    Builder, Entry, EntryId, GraphError, Init, Program, Role, Scalar, Shape, Tensor, TensorType, Update, VarId,
};
use wgrad_cpu_ref::{Oracle, OracleFeed};

use super::{DIRECT_MAX, Newton, NewtonSolver};
use crate::Error;
use crate::ids::feed_id;
use crate::optim::{Clip, Optimization, ParameterGroup, SKIPPED, Sgd, State};
use crate::schedule::Constant;

const CONJUGATE: NewtonSolver = NewtonSolver::ConjugateGradients { iterations: 4, tolerance: 0.0 };

/// The parameters after some steps on a loss, from where they start, and the number of steps skipped.
fn walk(
    optimization: impl Into<Optimization>,
    start: &[(&[usize], &[f64])],
    steps: u64,
    loss: impl for<'g> Fn(&[Tensor<'g>]) -> Result<Tensor<'g>, GraphError>,
) -> Result<(Vec<Vec<f64>>, f64), Error> {
    let optimization = optimization.into();
    let builder = Builder::new();
    let mut parameters = Vec::new();
    for (i, (shape, _)) in start.iter().enumerate() {
        let ty = TensorType::f32(Shape::from(*shape));
        parameters.push(builder.variable(&format!("p{i}"), ty, Init::Fill(Scalar::F32(0.0)), Role::Parameter)?);
    }
    let state = State::declare(&builder, &optimization, &parameters)?;
    let gradients = builder.grad(loss(&parameters)?, &state.trained())?;
    let updates: Vec<Update> = state.updates(&gradients)?;
    let feeds = state.feeds().into_iter().map(feed_id).collect::<Result<_, _>>()?;
    let entry = Entry { name: "step".to_owned(), feeds, fetches: vec![], updates };
    let program = Program { graph: builder.into_graph(), entries: vec![entry] };
    let mut oracle = Oracle::new(&program)?;
    let variables: Vec<_> = (0..start.len()).map(VarId::from_index).collect();
    for (&variable, (_, values)) in variables.iter().zip(start) {
        oracle.write(variable, values)?;
    }
    for step in 1..=steps {
        oracle.run(EntryId::from_index(0), &[OracleFeed::F64(&optimization.scalars(step, 1.0))])?;
    }
    let skipped = program.graph.find_variable(SKIPPED).map_or(0.0, |variable| oracle.variable(variable)[0]);
    Ok((variables.iter().map(|&variable| oracle.variable(variable).to_vec()).collect(), skipped))
}

/// `(a - 3)² + (a - 2·b₀)² + ½·(b₁ + 1)²`, smallest at a = 3, b = (1.5, -1).
fn bowl<'g>(p: &[Tensor<'g>]) -> Result<Tensor<'g>, GraphError> {
    let weights = p[1].builder().constant_f64(&[2.0, 0.0], [2, 1])?;
    let last = p[1].builder().constant_f64(&[0.0, 1.0], [2, 1])?;
    let product = p[1].mul(weights)?.sum_all()?;
    let rest = p[1].mul(last)?.sum_all()?.add(1.0)?.square()?.mul(0.5)?;
    p[0].sub(3.0)?.square()?.add(p[0].sub(product)?.square()?)?.add(rest)
}

const BOWL: [(&[usize], &[f64]); 2] = [(&[], &[-4.0]), (&[2, 1], &[7.0, 0.5])];

fn close(got: &[Vec<f64>], wanted: &[&[f64]]) {
    for (got, wanted) in got.iter().zip(wanted) {
        assert_eq!(got.len(), wanted.len());
        for (got, wanted) in got.iter().zip(*wanted) {
            assert!((got - wanted).abs() <= 1e-12, "{got} is not {wanted}");
        }
    }
}

#[test]
fn a_full_step_ends_at_the_minimum_of_a_quadratic() {
    for solver in [NewtonSolver::Cholesky, CONJUGATE] {
        let newton = Newton { solver, ..Newton::default() };
        let (after, _) = walk(newton, &BOWL, 1, bowl).unwrap();
        close(&after, &[&[3.0], &[1.5, -1.0]]);
        let (after, _) = walk(Newton { learning_rate: 0.5, ..newton }, &BOWL, 1, bowl).unwrap();
        close(&after, &[&[-0.5], &[4.25, -0.25]]);
    }
}

/// A parameter in which the loss is linear has curvature by the damping alone, one without elements has none, and what is frozen or in
/// another group takes no part.
#[test]
fn parameters_without_curvature_of_their_own() {
    let start: [(&[usize], &[f64]); 5] =
        [(&[], &[2.0]), (&[1], &[5.0]), (&[0, 2], &[]), (&[2], &[1.0, 1.0]), (&[], &[3.0])];
    for solver in [NewtonSolver::Cholesky, CONJUGATE] {
        let optimization = Optimization {
            groups: vec![
                ParameterGroup::frozen("p3"),
                ParameterGroup::with("p4", Sgd { learning_rate: 0.5, ..Sgd::default() }, Default::default()),
            ],
            ..Newton { damping: 0.5, solver, ..Newton::default() }.into()
        };
        let (after, _) = walk(optimization, &start, 1, |p| {
            let bent = p[0].square()?.mul(p[4])?.add(p[3].square()?.sum_all()?)?;
            bent.add(p[1].mul(3.0)?.sum_all()?)?.add(p[2].sum_all()?)
        })
        .unwrap();
        // The curvature of the first is 2·3 + 0.5, its gradient 12; that of the second 0.5, its gradient 3; the last goes by its own.
        close(&after, &[&[2.0 - 12.0 / 6.5], &[-1.0], &[], &[1.0, 1.0], &[1.0]]);
    }
}

/// `Σ e^(p - c) + ½·|p|²`, with a coupling of neighbours.
fn valley<'g>(p: &[Tensor<'g>]) -> Result<Tensor<'g>, GraphError> {
    let b = p[0].builder();
    let centres = b.constant_f64(&[0.3, -0.2, 0.9, 0.1], [4])?;
    let coupling =
        b.constant_f64(&[1.0, 0.4, 0.0, 0.0, 0.0, 1.0, -0.3, 0.0, 0.0, 0.0, 1.0, 0.2, 0.0, 0.0, 0.0, 1.0], [4, 4])?;
    coupling.matmul(p[0])?.sub(centres)?.exp()?.sum_all()?.add(p[0].square()?.sum_all()?.mul(0.5)?)
}

#[test]
fn conjugate_gradients_agree_with_the_direct_solution() {
    let start: [(&[usize], &[f64]); 1] = [(&[4], &[0.7, -1.1, 0.4, 1.3])];
    for damping in [0.0, 0.8] {
        let direct = Newton { damping, ..Newton::default() };
        let (wanted, _) = walk(direct, &start, 3, valley).unwrap();
        let (got, _) = walk(Newton { solver: CONJUGATE, ..direct }, &start, 3, valley).unwrap();
        close(&got, &[&wanted[0]]);
        // One iteration ends short of it, and a tolerance above what it reaches changes nothing.
        let first = |iterations, tolerance| {
            let solver = NewtonSolver::ConjugateGradients { iterations, tolerance };
            walk(Newton { solver, ..direct }, &start, 1, valley).unwrap().0
        };
        assert_ne!(first(1, 0.0), first(4, 0.0));
        assert_eq!(first(4, 0.9), first(1, 0.0));
    }
}

/// `½·(u² - v²)`: `u` curves up, `v` curves down.
fn saddle<'g>(p: &[Tensor<'g>]) -> Result<Tensor<'g>, GraphError> {
    p[0].square()?.sub(p[1].square()?)?.mul(0.5)
}

#[test]
fn curvature_below_zero() {
    // The gradient (u, -v) curves down at first, so it is the step.
    let conjugate = Newton { solver: CONJUGATE, ..Newton::default() };
    let (after, _) = walk(conjugate, &[(&[], &[1.0]), (&[], &[2.0])], 1, saddle).unwrap();
    close(&after, &[&[0.0], &[4.0]]);
    // Here it curves up, with the length |g|²/(g·H·g) = 5/3, and what comes next does not.
    let (after, _) = walk(conjugate, &[(&[], &[2.0]), (&[], &[1.0])], 1, saddle).unwrap();
    close(&after, &[&[2.0 - 2.0 * 5.0 / 3.0], &[1.0 + 5.0 / 3.0]]);
    // There are no factors, unless damping makes the matrix positive.
    let start: [(&[usize], &[f64]); 2] = [(&[], &[1.0]), (&[], &[2.0])];
    let (after, _) = walk(Newton::default(), &start, 1, saddle).unwrap();
    assert!(after.iter().flatten().all(|v| v.is_nan()), "{after:?}");
    let (after, _) = walk(Newton { damping: 3.0, ..Newton::default() }, &start, 1, saddle).unwrap();
    close(&after, &[&[0.75], &[3.0]]);
    // Zero is not positive either.
    let (after, _) = walk(Newton { damping: 1.0, ..Newton::default() }, &start, 1, saddle).unwrap();
    assert!(after.iter().flatten().all(|v| v.is_nan()), "{after:?}");
    // Such steps can be skipped.
    let skipping = Optimization { skip_non_finite: true, ..Newton::default().into() };
    let (after, skipped) = walk(skipping.clone(), &start, 3, saddle).unwrap();
    assert_eq!((after, skipped), (vec![vec![1.0], vec![2.0]], 3.0));
    let (after, skipped) = walk(skipping, &BOWL, 2, bowl).unwrap();
    close(&after, &[&[3.0], &[1.5, -1.0]]);
    assert_eq!(skipped, 0.0);
}

#[test]
fn a_step_of_nothing_is_nothing() {
    let at_minimum: [(&[usize], &[f64]); 2] = [(&[], &[3.0]), (&[2, 1], &[1.5, -1.0])];
    for solver in [NewtonSolver::Cholesky, CONJUGATE] {
        let (after, _) = walk(Newton { solver, ..Newton::default() }, &at_minimum, 2, bowl).unwrap();
        assert_eq!(after, [vec![3.0], vec![1.5, -1.0]]);
    }
}

#[test]
fn what_it_cannot_do_is_refused() {
    let newton = Optimization::from(Newton::default());
    let message = |optimization: Optimization| optimization.validate().unwrap_err().to_string();
    assert_eq!(
        message(Optimization { accumulate: 4, ..newton.clone() }),
        "newton: accumulate is 4, but must be 1, because the optimizer differentiates the gradients, which earlier batches \
         only leave the values of"
    );
    let absent = "but must be absent, because the optimizer differentiates the gradients, of which a bound changes the \
                  derivatives";
    for clip in [Clip::Value { max: 0.5 }, Clip::GlobalNorm { max: 0.5, eps: 0.0 }] {
        let group = ParameterGroup::with("*", Newton::default(), Default::default());
        let in_group = Optimization { clip: Some(clip), groups: vec![group], ..Sgd::default().into() };
        for optimization in [Optimization { clip: Some(clip), ..newton.clone() }, in_group] {
            assert_eq!(message(optimization), format!("newton: clip.max is 0.5, {absent}"));
        }
    }
    let conjugate = |iterations, tolerance| {
        message(
            Newton { solver: NewtonSolver::ConjugateGradients { iterations, tolerance }, ..Newton::default() }.into(),
        )
    };
    assert_eq!(conjugate(0, 0.0), "newton: solver.iterations is 0, but must be at least 1");
    assert_eq!(conjugate(3, 1.0), "newton: solver.tolerance is 1, but must be at least 0 and below 1");
    assert_eq!(
        message(Newton { damping: -1.0, ..Newton::default() }.into()),
        "newton: damping is -1, but must be at least 0 and finite"
    );

    let many = vec![1.0; DIRECT_MAX + 1];
    let size: [usize; 1] = [many.len()];
    let refused = walk(Newton::default(), &[(&size, &many)], 1, |p| p[0].square()?.sum_all()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "newton: solver is Cholesky, which takes 64 elements at most, but the parameters have 65; ConjugateGradients takes \
         any number"
    );
    let conjugate = Newton { solver: CONJUGATE, ..Newton::default() };
    assert_eq!(walk(conjugate, &[(&size, &many)], 1, |p| p[0].square()?.sum_all()).unwrap().0, [vec![0.0; many.len()]]);
    for newton in [Newton::default(), conjugate] {
        let flat = walk(newton, &[(&[2], &[1.0, 2.0])], 1, |p| p[0].sum_all()).unwrap_err();
        assert_eq!(flat.to_string(), "newton: no gradient depends on a parameter, so there is no curvature to follow");
    }
}

/// The largest problem that the direct solution takes.
#[test]
fn as_many_elements_as_are_taken() {
    let start: Vec<f64> = (0..DIRECT_MAX).map(|i| (i as f64).cos()).collect();
    let size: [usize; 1] = [DIRECT_MAX];
    let (after, _) = walk(Newton::default(), &[(&size, &start)], 1, |p| {
        let neighbours = p[0].reshape([8, 8])?;
        let sums = neighbours.sum(&[1], false)?;
        p[0].sub(0.5)?.square()?.sum_all()?.add(sums.sub(4.0)?.square()?.sum_all()?)
    })
    .unwrap();
    close(&after, &[&[0.5; DIRECT_MAX]]);
}

#[test]
fn the_rate_may_be_scheduled() {
    let schedules = crate::optim::Schedules::learning_rate(Constant { value: 0.5 });
    let (after, _) = walk(Optimization { schedules, ..Newton::default().into() }, &BOWL, 1, bowl).unwrap();
    close(&after, &[&[-0.5], &[4.25, -0.25]]);
}
