//! Newton's method: steps from the curvature, which the gradients' own derivatives give, without asking the host.

use wgrad_core::{Builder, GraphError, Op, Scalar, Shape, SliceRange, Tensor};

use crate::optim::around::{end_to_end, parts};
use crate::optim::{
    Base, Group, GroupValues, HostNumber, Hyperparameter, NewValues, Now, Number, Range, Slot, UpdateRule,
};

/// Elements of all parameters together for which [`NewtonSolver::Cholesky`] is offered. A program for 60 takes seconds to plan.
const DIRECT_MAX: usize = 64;

/// Newton's method, full or damped, on all parameters of a group as one vector (Nocedal & Wright 2006, "Numerical optimization",
/// chapters 3 and 7). It is for small problems, or large ones by conjugate gradients, and for gradients of whole batches.
///
/// ```text
/// B  = H + damping·I,   H the derivative of g by p on the batch
/// p <- p - learning_rate·s
/// s  = B⁻¹·g from the Cholesky factors of B, for at most 64 elements, if solver is Cholesky
/// if it is ConjugateGradients:  s <- 0,  r <- g,  d <- g,  and iterations times:
///   end if |r| <= tolerance·|g| or d·B·d <= 0;  in the latter case at the first iteration with s = g
///   a  = r·r/(d·B·d),   s <- s + a·d,   q = r,   r <- r - a·B·d,   d <- r + (r·r/(q·q))·d
/// ```
///
/// With `learning_rate` 1 and no `damping` a step ends at the minimum of a quadratic; a smaller rate damps the step, `damping` turns it
/// towards the gradient (Levenberg 1944). Where `B` is not positive definite, a step by Cholesky factors is NaN, unless `skip_non_finite`
/// skips it, and one by conjugate gradients goes as far as they came. A rectified linear unit has no curvature of its own.
///
/// State: none
///
/// Differs: torch and optax have L-BFGS, which estimates the curvature from gradients; keras has none.
///
/// ```
/// use wgrad::optim::Newton;
/// # use wgrad::{BackendChoice, Device, DeviceSelector, data::Dataset, loss::Loss, nn::Linear};
/// # use wgrad::train::{TrainOptions, Trainer};
///
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// // Points on the line 2·x + 1. The squared error is quadratic in slope and offset, so one step is all it takes.
/// let data = Dataset::values(vec![0.0, 1.0, 3.0], 1, vec![1.0, 3.0, 7.0], 1)?;
/// let options = TrainOptions::new(Loss::Mse, Newton::default());
/// let mut trainer = Trainer::new(&device, &Linear::new(1, 1), &data, options)?;
/// trainer.epoch(&data)?;
/// assert!((trainer.predict(&[10.0])?[0] - 21.0).abs() < 1e-3);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Newton {
    /// Share of the step that is made; 1.
    pub learning_rate: f64,
    /// Added to the diagonal of the Hessian; 0.
    pub damping: f64,
    /// How the step is solved for; `Cholesky`.
    pub solver: NewtonSolver,
}

/// How [`Newton`] solves for its step.
///
/// ```
/// use wgrad::optim::{Newton, NewtonSolver, UpdateRule};
///
/// assert!(Newton::default().takes_together(64).is_ok());
/// assert!(Newton::default().takes_together(65).is_err(), "too many for a matrix");
/// let solver = NewtonSolver::ConjugateGradients { iterations: 20, tolerance: 1e-4 };
/// assert!(Newton { solver, damping: 0.1, ..Newton::default() }.takes_together(100_000).is_ok());
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NewtonSolver {
    /// From the whole matrix and its Cholesky factors; for at most 64 elements of all parameters together, because a pass through the
    /// gradients is part of the program for each of them.
    Cholesky,
    /// From products of the matrix with vectors, each a pass through the gradients; for any number of elements.
    ConjugateGradients {
        /// Iterations at most, each a part of the program. As many as there are elements solve exactly, up to rounding.
        iterations: u32,
        /// Norm of the residual, relative to that of the gradient, that ends the iterations.
        tolerance: f64,
    },
}

impl Default for Newton {
    fn default() -> Self {
        Self { learning_rate: 1.0, damping: 0.0, solver: NewtonSolver::Cholesky }
    }
}

impl UpdateRule for Newton {
    fn name(&self) -> &'static str {
        "newton"
    }

    fn hyperparameters(&self) -> Vec<Hyperparameter> {
        let Self { learning_rate, damping, solver } = *self;
        let mut all = vec![
            Hyperparameter::new("learning_rate", learning_rate, Range::NonNegative),
            Hyperparameter::new("damping", damping, Range::NonNegative),
        ];
        match solver {
            NewtonSolver::Cholesky => {}
            NewtonSolver::ConjugateGradients { iterations, tolerance } => all.extend([
                Hyperparameter::new("solver.iterations", f64::from(iterations), Range::Positive("at least 1")),
                Hyperparameter::new("solver.tolerance", tolerance, Range::BelowOne),
            ]),
        }
        all
    }

    fn base(&self) -> Base {
        Base { learning_rate: self.learning_rate, momentum: None, weight_decay: None }
    }

    fn slots(&self) -> Vec<Slot> {
        vec![]
    }

    fn numbers(&self, now: Now) -> Vec<HostNumber> {
        vec![HostNumber::rate(now), HostNumber::fixed("damping", self.damping)]
    }

    fn takes_together(&self, elements: usize) -> Result<(), String> {
        match self.solver {
            NewtonSolver::Cholesky if elements > DIRECT_MAX => Err(format!(
                "solver is Cholesky, which takes {DIRECT_MAX} elements at most, but the parameters have {elements}; \
                 ConjugateGradients takes any number"
            )),
            NewtonSolver::Cholesky | NewtonSolver::ConjugateGradients { .. } => Ok(()),
        }
    }

    fn differentiates_gradients(&self) -> bool {
        true
    }

    fn update<'g>(&self, group: &Group<'g>) -> Result<GroupValues<'g>, GraphError> {
        let (learning_rate, damping) = (group.numbers[0], group.numbers[1]);
        let parameters: Vec<_> = group.members.iter().map(|member| member.parameter).collect();
        let gradients: Vec<_> = group.members.iter().map(|member| member.gradient).collect();
        if parameters.iter().all(|parameter| parameter.shape().is_empty()) {
            return group.each(|operands| Ok(NewValues { parameter: operands.parameter, state: vec![] }));
        }
        let steps = match self.solver {
            NewtonSolver::Cholesky => direct(&parameters, &gradients, damping)?,
            NewtonSolver::ConjugateGradients { iterations, tolerance } => {
                conjugate(&parameters, &gradients, damping, iterations, tolerance)?
            }
        };
        let stepped = |(p, step): (Tensor<'g>, Tensor<'g>)| {
            Ok(NewValues { parameter: p.sub(learning_rate.times(step)?)?, state: vec![] })
        };
        let members = parameters.into_iter().zip(steps).map(stepped).collect::<Result<_, GraphError>>()?;
        Ok(GroupValues { members, shared: group.shared.clone() })
    }
}

/// The derivatives of a sum of gradients, `None` for a parameter that it does not depend on: there they are 0.
fn derivatives<'g>(sum: Tensor<'g>, parameters: &[Tensor<'g>]) -> Result<Vec<Option<Tensor<'g>>>, GraphError> {
    let builder = sum.builder();
    match builder.grad(sum, parameters) {
        Ok(all) => Ok(all.into_iter().map(Some).collect()),
        Err(GraphError::Unreachable { .. }) => {
            let one = |&parameter: &Tensor<'g>| match builder.grad(sum, &[parameter]) {
                Ok(derivative) => Ok(derivative.first().copied()),
                Err(GraphError::Unreachable { .. }) => Ok(None),
                Err(error) => Err(error),
            };
            parameters.iter().map(one).collect()
        }
        Err(error) => Err(error),
    }
}

/// Derivatives with zeros for those that are not there, each as a part of one vector. `found` becomes true if one is there.
fn flat_parts<'g>(
    derivatives: Vec<Option<Tensor<'g>>>,
    parameters: &[Tensor<'g>],
    found: &mut bool,
) -> Result<Vec<Tensor<'g>>, GraphError> {
    let flat = |(derivative, parameter): (Option<Tensor<'g>>, &Tensor<'g>)| match derivative {
        Some(derivative) => {
            *found = true;
            derivative.reshape([parameter.shape().len()])
        }
        None => parameter.builder().splat(Scalar::F32(0.0), [parameter.shape().len()]),
    };
    derivatives.into_iter().zip(parameters).map(flat).collect()
}

/// Gradients that are fed, or of a loss that is linear, have no curvature; a step would be a division by 0.
fn curved(found: bool) -> Result<(), GraphError> {
    if found {
        return Ok(());
    }
    let reason = "no gradient depends on a parameter, so there is no curvature to follow".to_owned();
    Err(GraphError::Invalid { at: "newton".to_owned(), reason })
}

/// The elements from `start` to `stop` along the two axes of a matrix.
fn block<'g>(
    matrix: Tensor<'g>,
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
) -> Result<Tensor<'g>, GraphError> {
    matrix.slice(&[rows, columns].map(|range| SliceRange { start: range.start, stop: range.end, step: 1 }))
}

/// `B⁻¹·g` by the Hessian's rows and Cholesky factors, a column of them at a time; a part for each parameter.
fn direct<'g>(
    parameters: &[Tensor<'g>],
    gradients: &[Tensor<'g>],
    damping: Number<'g>,
) -> Result<Vec<Tensor<'g>>, GraphError> {
    let builder = parameters[0].builder();
    let (mut elements, mut found) = (vec![], false);
    let flat = |x: &Tensor<'g>| x.reshape([x.shape().len()]);
    for gradient in gradients {
        for i in 0..gradient.shape().len() {
            let element = flat(gradient)?.slice(&[SliceRange { start: i, stop: i + 1, step: 1 }])?.reshape([])?;
            elements.extend(flat_parts(derivatives(element, parameters)?, parameters, &mut found)?);
        }
    }
    curved(found)?;
    elements.extend(gradients.iter().map(flat).collect::<Result<Vec<_>, _>>()?);

    // The gradient is one row more below the matrix, which makes L⁻¹·g of it along with the factors.
    let n: usize = parameters.iter().map(|parameter| parameter.shape().len()).sum();
    let parts = elements.iter().filter(|part| !part.shape().is_empty()).map(|part| part.id()).collect();
    let mut rest = builder.push(Op::Concat { xs: parts, axis: 0 })?.reshape([n + 1, n])?;
    if !damping.is(0.0) {
        let diagonal = builder.iota([n + 1, n], 0)?.eq(builder.iota([n + 1, n], 1)?)?;
        rest = rest.add(diagonal.select(damping, 0.0)?)?;
    }
    let mut factors = Vec::new();
    for size in (1..=n).rev() {
        let pivot = block(rest, 0..1, 0..1)?;
        // What a root makes of a number below 0 is left to the device.
        let scale = pivot.gt(0.0)?.select(pivot.rsqrt()?, f64::NAN)?;
        let factor = block(rest, 0..size + 1, 0..1)?.mul(scale)?;
        factors.push(factor);
        if size > 1 {
            let row = block(factor, 1..size, 0..1)?.reshape([1, size - 1])?;
            rest = block(rest, 1..size + 1, 1..size)?.sub(block(factor, 1..size + 1, 0..1)?.mul(row)?)?;
        }
    }

    // From the last element to the first. Behind the solution stands -1, which belongs to the row of the gradient.
    let index = builder.iota([n + 1], 0)?;
    let mut solution = index.eq(number(n))?.select(-1.0, 0.0)?;
    for (k, factor) in factors.into_iter().enumerate().rev() {
        let known = solution.slice(&[SliceRange { start: k, stop: n + 1, step: 1 }])?;
        let sum = factor.reshape([n + 1 - k])?.mul(known)?.sum_all()?;
        let element = sum.neg()?.div(block(factor, 0..1, 0..1)?.reshape([])?)?;
        solution = index.eq(number(k))?.select(element, solution)?;
    }
    let mut start = 0;
    let part = |parameter: &Tensor<'g>| {
        let range = SliceRange { start, stop: start + parameter.shape().len(), step: 1 };
        start = range.stop;
        solution.slice(&[range])?.reshape(parameter.shape())
    };
    parameters.iter().map(part).collect()
}

/// A position as an element of a graph; there are at most [`DIRECT_MAX`].
fn number(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

/// `B⁻¹·g` by conjugate gradients; a part for each parameter.
fn conjugate<'g>(
    parameters: &[Tensor<'g>],
    gradients: &[Tensor<'g>],
    damping: Number<'g>,
    iterations: u32,
    tolerance: f64,
) -> Result<Vec<Tensor<'g>>, GraphError> {
    let builder: &'g Builder = parameters[0].builder();
    let shapes: Vec<Shape> = parameters.iter().map(|parameter| parameter.shape()).collect();
    let dot = |a: Tensor<'g>, b: Tensor<'g>| a.mul(b)?.sum_all();
    // Divided by only where it is above 0, which is all that matters; elsewhere the quotient must not be NaN.
    let over = |a: Tensor<'g>, b: Tensor<'g>, go: Tensor<'g>| go.select(a.div(go.select(b, 1.0)?)?, 0.0);
    let gradient = end_to_end(builder, gradients)?;
    let mut squares = dot(gradient, gradient)?;
    let least = squares.mul(tolerance * tolerance)?;
    let (mut residual, mut direction) = (gradient, gradient);
    let mut step: Option<Tensor<'g>> = None;
    let mut going: Option<Tensor<'g>> = None;
    for _ in 0..iterations {
        let mut product = curvature(parameters, gradients, direction, &shapes)?;
        if !damping.is(0.0) {
            product = product.add(damping.times(direction)?)?;
        }
        let along = dot(direction, product)?;
        let mut goes = along.gt(0.0)?;
        let unfinished = squares.gt(least)?;
        // The first time, a direction that curves down is taken itself.
        let otherwise = match step {
            None => unfinished.select(1.0, 0.0)?,
            Some(_) => builder.scalar(0.0),
        };
        goes = unfinished.select(goes, 0u32)?;
        if let Some(going) = going {
            goes = going.select(goes, 0u32)?;
        }
        let length = goes.select(over(squares, along, goes)?, otherwise)?;
        let moved = direction.mul(length)?;
        step = Some(match step {
            None => moved,
            Some(step) => step.add(moved)?,
        });
        residual = residual.sub(product.mul(over(squares, along, goes)?)?)?;
        let next = dot(residual, residual)?;
        direction = residual.add(direction.mul(over(next, squares, goes)?)?)?;
        (squares, going) = (next, Some(goes));
    }
    parts(step.unwrap_or(gradient), &shapes)
}

/// `H·direction`: the derivatives of the gradients' component along the direction.
fn curvature<'g>(
    parameters: &[Tensor<'g>],
    gradients: &[Tensor<'g>],
    direction: Tensor<'g>,
    shapes: &[Shape],
) -> Result<Tensor<'g>, GraphError> {
    let builder = direction.builder();
    let mut component = builder.scalar(0.0);
    for (gradient, along) in gradients.iter().zip(parts(direction.detach()?, shapes)?) {
        component = component.add(gradient.mul(along)?.sum_all()?)?;
    }
    let mut found = false;
    let products = flat_parts(derivatives(component, parameters)?, parameters, &mut found)?;
    curved(found)?;
    end_to_end(builder, &products)
}

#[cfg(test)]
#[path = "newton_tests.rs"]
mod tests;
