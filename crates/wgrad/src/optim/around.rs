//! What is done around the optimizers: gradients of several batches add up, get noise and are clipped; slow weights and running means
//! follow the parameters; a step on gradients that are not finite is undone. All of it on graph nodes, in the same step.

use wgrad_core::{
    Builder, DType, GraphError, Init, Op, Role, Scalar, Shape, SliceRange, Tensor, TensorType, Update, VarId,
};

use crate::ids::variable_id;
use crate::optim::{Average, Clip, Lookahead, Optimization};

/// Name of the feed that brings [`Optimization::random_state`], where there is noise on the gradients: u32, four elements.
///
/// ```
/// use wgrad::optim::{GradientNoise, Optimization, RANDOM_FEED, Sgd, State};
/// # use wgrad::{Builder, Init, Role, Scalar, TensorType};
///
/// # let builder = Builder::new();
/// # let w = builder.variable("w", TensorType::f32([3]), Init::Fill(Scalar::F32(1.0)), Role::Parameter)?;
/// let noise = Some(GradientNoise { eta: 0.01, gamma: 0.55, seed: 7 });
/// let optimization = Optimization { noise, ..Optimization::new(Sgd::default()) };
/// State::declare(&builder, &optimization, &[w])?;
/// assert!(builder.with(|graph| graph.find_feed(RANDOM_FEED)).is_some());
/// assert_eq!(optimization.random_state(3), Some([7, 0, 3, 0]));
/// # Ok::<(), wgrad::Error>(())
/// ```
pub const RANDOM_FEED: &str = "optimizer.random";

/// Name of the variable that counts steps which were skipped because gradients were not finite: u32, of shape `[]`.
///
/// ```
/// use wgrad::HostVec;
/// use wgrad::data::{Batch, Targets};
/// use wgrad::optim::{Optimization, SKIPPED, Sgd};
/// # use wgrad::{BackendChoice, Device, DeviceSelector, data::Dataset, loss::Loss, nn::Linear};
/// # use wgrad::train::{Residency, TrainOptions, Trainer};
///
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// # let data = Dataset::values(vec![1.0], 1, vec![0.0], 1)?;
/// let optimization = Optimization { skip_non_finite: true, ..Optimization::new(Sgd::default()) };
/// # let options = TrainOptions { residency: Residency::Host, ..TrainOptions::new(Loss::Mse, optimization) };
/// # let mut trainer = Trainer::new(&device, &Linear::new(1, 1), &data, options)?;
/// let before = trainer.read("weight")?;
/// let targets = Targets::Values { values: vec![f32::INFINITY], width: 1 };
/// trainer.step(&Batch { rows: 1, features: vec![1.0], targets }.into())?;
/// assert_eq!(trainer.read(SKIPPED)?, HostVec::U32(vec![1]));
/// assert_eq!(trainer.read("weight")?, before);
/// # Ok::<(), wgrad::Error>(())
/// ```
pub const SKIPPED: &str = "optimizer.skipped";

/// Largest finite number of single precision.
const F32_MAX: f64 = f32::MAX as f64;

/// A variable and the node that reads it.
pub(crate) type Variable<'g> = (VarId, Tensor<'g>);

/// What is kept around the optimizers; every list has one entry for each trained parameter.
#[derive(Debug, Clone)]
pub(crate) struct Around<'g> {
    builder: &'g Builder,
    clip: Option<Clip>,
    /// Sums of the gradients so far, and the share of the present batch in the step.
    accumulated: Option<(Vec<Variable<'g>>, Tensor<'g>)>,
    /// The random state, and the standard deviation.
    pub(crate) noise: Option<(Tensor<'g>, Tensor<'g>)>,
    /// Slow weights, and whether they meet the fast ones in this step.
    lookahead: Option<(Vec<Variable<'g>>, f64, Tensor<'g>)>,
    average: Option<(Vec<Variable<'g>>, f64)>,
    /// The number of steps skipped.
    skipped: Option<Variable<'g>>,
}

impl<'g> Around<'g> {
    /// Declares what is needed. `numbers` are those of [`Optimization::around_numbers`].
    pub(crate) fn declare(
        builder: &'g Builder,
        optimization: &Optimization,
        trained: &[Variable<'g>],
        mut numbers: impl Iterator<Item = Tensor<'g>>,
    ) -> Result<Self, GraphError> {
        let Optimization { clip, accumulate, noise, lookahead, average, skip_non_finite, .. } = optimization;
        let mut number = || {
            numbers.next().ok_or(GraphError::Invalid {
                at: crate::optim::SCALARS_FEED.to_owned(),
                reason: "too few numbers".to_owned(),
            })
        };
        let beside = |slot: &str, from_parameter: bool| -> Result<Vec<Variable<'g>>, GraphError> {
            trained.iter().map(|&parameter| beside(builder, parameter, slot, from_parameter)).collect()
        };
        Ok(Self {
            builder,
            clip: *clip,
            noise: match noise {
                Some(_) => Some((builder.feed(RANDOM_FEED, TensorType::u32([4]))?, number()?)),
                None => None,
            },
            lookahead: match lookahead {
                Some(Lookahead { k: _, alpha }) => Some((beside("slow", true)?, *alpha, number()?)),
                None => None,
            },
            accumulated: if *accumulate > 1 { Some((beside("accumulated", false)?, number()?)) } else { None },
            average: match average {
                Some(Average { decay }) => Some((beside("average", true)?, *decay)),
                None => None,
            },
            skipped: if *skip_non_finite {
                let init = Init::Fill(Scalar::U32(0));
                let tensor = builder.variable(SKIPPED, TensorType::u32([]), init, Role::Other)?;
                Some((variable_id(tensor)?, tensor))
            } else {
                None
            },
        })
    }

    /// The running means of the parameters, where they are kept.
    pub(crate) fn averages(&self) -> Option<Vec<Tensor<'g>>> {
        self.average.as_ref().map(|(means, _)| means.iter().map(|mean| mean.1).collect())
    }

    /// For a batch that does not complete a step: the sums with its gradients.
    pub(crate) fn accumulate(&self, gradients: &[Tensor<'g>]) -> Result<Vec<Update>, GraphError> {
        let Some((sums, _)) = &self.accumulated else { return Ok(vec![]) };
        let totals = self.totals(gradients)?;
        Ok(sums.iter().zip(totals).map(|(sum, total)| Update::new(sum.0, total.id())).collect())
    }

    fn totals(&self, gradients: &[Tensor<'g>]) -> Result<Vec<Tensor<'g>>, GraphError> {
        match &self.accumulated {
            None => Ok(gradients.to_vec()),
            Some((sums, share)) => {
                sums.iter().zip(gradients).map(|(sum, gradient)| sum.1.add(gradient.mul(*share)?)).collect()
            }
        }
    }

    /// The gradients as the optimizers get them, and whether the step counts. `order` has their positions group by group.
    pub(crate) fn gradients(
        &self,
        gradients: &[Tensor<'g>],
        order: &[usize],
    ) -> Result<(Vec<Tensor<'g>>, Option<Tensor<'g>>), GraphError> {
        let mut gradients = self.totals(gradients)?;
        if let Some((state, std)) = self.noise {
            for (stream, gradient) in (0..).zip(&mut gradients) {
                let noise = self.builder.normal(state, stream, gradient.shape())?;
                *gradient = gradient.add(noise.mul(std)?)?;
            }
        }
        if let Some(Clip::Value { max }) = self.clip {
            for gradient in &mut gradients {
                *gradient = gradient.minimum(max)?.maximum(-max)?;
            }
        }
        let by_norm = matches!(self.clip, Some(Clip::GlobalNorm { .. }));
        if gradients.is_empty() || !by_norm && self.skipped.is_none() {
            return Ok((gradients, None));
        }
        // The planner puts the parameters of a group together in memory: so lie their gradients, and one pass reads them.
        let ordered: Vec<_> = order.iter().map(|&i| gradients[i]).collect();
        let flat = end_to_end(self.builder, &ordered)?;
        let squares = flat.square()?.sum_all()?;
        let shapes: Vec<_> = ordered.iter().map(|gradient| gradient.shape()).collect();
        for (&i, part) in order.iter().zip(parts(flat, &shapes)?) {
            gradients[i] = part;
        }
        if let Some(Clip::GlobalNorm { max, eps }) = self.clip {
            let factor = self.builder.scalar(max).div(squares.sqrt()?.add(eps)?)?.minimum(1.0)?;
            for gradient in &mut gradients {
                *gradient = gradient.mul(factor)?;
            }
        }
        let counts = self.skipped.map(|_| squares.le(F32_MAX)).transpose()?;
        Ok((gradients, counts))
    }

    /// Whether the step counts, given that these have to be finite as well.
    pub(crate) fn counts_if_finite(
        &self,
        counts: Option<Tensor<'g>>,
        new: &[Tensor<'g>],
    ) -> Result<Option<Tensor<'g>>, GraphError> {
        match counts {
            Some(counts) if !new.is_empty() => {
                let finite = end_to_end(self.builder, new)?.square()?.sum_all()?.le(F32_MAX)?;
                counts.select(finite, 0u32).map(Some)
            }
            Some(_) | None => Ok(counts),
        }
    }

    /// What follows the parameters: changes their new values where slow weights meet them, and adds updates of its own.
    pub(crate) fn follow(
        &self,
        new: &mut [Tensor<'g>],
        updates: &mut Vec<(Variable<'g>, Tensor<'g>)>,
    ) -> Result<(), GraphError> {
        if let Some((slow, alpha, meet)) = &self.lookahead {
            let meet = meet.gt(0.0)?;
            for (new, &slow) in new.iter_mut().zip(slow) {
                let moved = slow.1.add(new.sub(slow.1)?.mul(*alpha)?)?;
                updates.push((slow, meet.select(moved, slow.1)?));
                *new = meet.select(moved, *new)?;
            }
        }
        if let Some((means, decay)) = &self.average {
            for (new, &mean) in new.iter().zip(means) {
                updates.push((mean, mean.1.mul(*decay)?.add(new.mul(1.0 - decay)?)?));
            }
        }
        Ok(())
    }

    /// The updates of a step that counts, or leaves everything as it was; sums of gradients start anew either way.
    pub(crate) fn finish(
        &self,
        mut updates: Vec<(Variable<'g>, Tensor<'g>)>,
        counts: Option<Tensor<'g>>,
    ) -> Result<Vec<Update>, GraphError> {
        if let (Some(counts), Some(skipped)) = (counts, self.skipped) {
            for ((_, old), new) in &mut updates {
                *new = counts.select(*new, *old)?;
            }
            updates.push((skipped, skipped.1.add(counts.select(0u32, 1u32)?)?));
        }
        for &sum in self.accumulated.iter().flat_map(|(sums, _)| sums) {
            updates.push((sum, self.builder.splat(Scalar::F32(0.0), sum.1.shape())?));
        }
        Ok(updates.into_iter().map(|((variable, _), new)| Update::new(variable, new.id())).collect())
    }
}

/// A variable of a parameter's shape, beginning as the parameter does or with zeros: `<parameter>.<slot>`.
fn beside<'g>(
    builder: &'g Builder,
    (of, parameter): Variable<'g>,
    slot: &str,
    from_parameter: bool,
) -> Result<Variable<'g>, GraphError> {
    let (name, init) = builder.with(|graph| {
        let decl = &graph.variables()[of.index()];
        (format!("{}.{slot}", decl.name), decl.init.clone())
    });
    let init = if from_parameter { init } else { Init::Fill(Scalar::F32(0.0)) };
    let tensor = builder.variable(&name, parameter.ty(), init, Role::State { slot: slot.to_owned(), of })?;
    Ok((variable_id(tensor)?, tensor))
}

/// All tensors in one. Every part starts at a multiple of four elements, as parameters do in memory, with zeros between them.
pub(super) fn end_to_end<'g>(builder: &'g Builder, tensors: &[Tensor<'g>]) -> Result<Tensor<'g>, GraphError> {
    let mut parts = vec![];
    for tensor in tensors {
        let len = tensor.shape().len();
        parts.push(tensor.reshape([len])?.id());
        if !len.is_multiple_of(4) {
            parts.push(builder.splat(Scalar::F32(0.0), [4 - len % 4])?.id());
        }
    }
    // The planner stores every part where it belongs, so their number does not matter.
    let flat = builder.push(Op::Concat { xs: parts, axis: 0 })?;
    debug_assert_eq!(flat.dtype(), DType::F32);
    Ok(flat)
}

/// What [`end_to_end`] has put together from tensors of these shapes, apart again.
pub(super) fn parts<'g>(flat: Tensor<'g>, shapes: &[Shape]) -> Result<Vec<Tensor<'g>>, GraphError> {
    let mut start = 0;
    let part = |shape: &Shape| {
        let range = SliceRange { start, stop: start + shape.len(), step: 1 };
        start += shape.len().next_multiple_of(4);
        flat.slice(&[range])?.reshape(shape.clone())
    };
    shapes.iter().map(part).collect()
}
