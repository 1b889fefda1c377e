//! Muon: momentum whose matrix is brought near an orthogonal one before every step.

use wgrad_core::{GraphError, Tensor, TensorType};

use crate::optim::{
    Base, DecayScale, Group, GroupValues, HostNumber, Hyperparameter, NewValues, Now, Range, Slot, UpdateRule, Varies,
    running,
};

/// Momentum orthogonalised by Newton-Schulz iterations (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural
/// networks"). It takes matrices only; give other parameters, and those of the first and last layer, a group with another optimizer.
///
/// ```text
/// b <- momentum·b + (1 - momentum)·g
/// u  = (1 - momentum)·g + momentum·b if nesterov, else b
/// X  = u/max(|u|, eps),   |u| the Frobenius norm
/// ns_steps times:  S = X·Xᵀ,  X <- A·X + (B·S + C·S²)·X,   [A, B, C] = ns_coefficients; for tall matrices with Xᵀ
/// p <- p - learning_rate·(k·X + weight_decay·p)
/// k  = √max(1, rows/columns)         if scale is Original
/// k  = 0.2·√max(rows, columns)       if scale is MatchRmsAdamW
/// ```
///
/// State: `b`, the running mean of gradients
///
/// Differs: torch agrees, but iterates in bfloat16; optax corrects the mean and has `eps` 1e-8 and no decay; keras adds gradients up
/// instead of averaging them.
///
/// ```
/// use wgrad::TensorType;
/// use wgrad::optim::{AdamW, Muon, Optimization, ParameterGroup, Schedules, UpdateRule};
///
/// assert!(Muon::default().takes(&TensorType::f32([512])).is_err(), "a bias is no matrix");
/// // AdamW for the biases and for both ends of a model of four layers.
/// let adam = |pattern| ParameterGroup::with(pattern, AdamW::default(), Schedules::default());
/// let groups = ["*.bias", "layers.0.*", "layers.3.*"].map(adam).to_vec();
/// let optimization = Optimization { groups, ..Optimization::new(Muon { learning_rate: 0.02, ..Muon::default() }) };
/// assert_eq!(optimization.class_of("layers.1.weight"), Some(0));
/// assert_eq!(optimization.class_of("layers.1.bias"), Some(1));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Muon {
    /// Step size; 0.001.
    pub learning_rate: f64,
    /// How much of the running mean stays; 0.95.
    pub momentum: f64,
    /// Whether to look ahead; true.
    pub nesterov: bool,
    /// Newton-Schulz iterations; 5.
    pub ns_steps: u32,
    /// Coefficients of an iteration; 3.4445, -4.775, 2.0315.
    pub ns_coefficients: [f64; 3],
    /// Least norm that is divided by; 1e-7.
    pub eps: f64,
    /// How the step is scaled by the matrix's shape; `Original`.
    pub scale: MuonScale,
    /// Weight decay, decoupled: it does not enter the gradient; 0.1.
    pub weight_decay: f64,
}

/// How [`Muon`] scales its step by the shape of the matrix.
///
/// ```
/// use wgrad::optim::{Muon, MuonScale};
/// # use wgrad::{BackendChoice, Device, DeviceSelector, data::Dataset, loss::Loss, nn::{Initializer, Linear}};
/// # use wgrad::train::{TrainOptions, Trainer};
///
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// # let data = Dataset::values(vec![1.0; 100], 100, vec![0.0], 1)?;
/// # let model = Linear { weight: Initializer::Constant(1.0), bias: None, ..Linear::new(100, 1) };
/// // How far the weights of a layer of 100 inputs and one output go: 0.2·√100 is twice √1.
/// let moved = |scale| {
///     let optimizer = Muon { learning_rate: 1.0, scale, weight_decay: 0.0, ..Muon::default() };
///     let mut trainer = Trainer::new(&device, &model, &data, TrainOptions::new(Loss::Mse, optimizer))?;
///     trainer.epoch(&data)?;
///     Ok::<f32, wgrad::Error>(1.0 - trainer.read("weight")?.into_f32().unwrap_or_default()[0])
/// };
/// let ratio = moved(MuonScale::MatchRmsAdamW)? / moved(MuonScale::Original)?;
/// assert!((ratio - 2.0).abs() < 1e-4, "{ratio}");
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MuonScale {
    /// `√max(1, rows/columns)`, as Jordan has it.
    Original,
    /// `0.2·√max(rows, columns)`: steps of the size of AdamW's, whose learning rate then fits (Liu et al. 2025).
    MatchRmsAdamW,
}

impl Default for Muon {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            momentum: 0.95,
            nesterov: true,
            ns_steps: 5,
            ns_coefficients: [3.4445, -4.775, 2.0315],
            eps: 1e-7,
            scale: MuonScale::Original,
            weight_decay: 0.1,
        }
    }
}

impl UpdateRule for Muon {
    fn name(&self) -> &'static str {
        "muon"
    }

    fn hyperparameters(&self) -> Vec<Hyperparameter> {
        let Self { learning_rate, momentum, nesterov: _, ns_steps, ns_coefficients, eps, scale: _, weight_decay } =
            *self;
        let [a, b, c] = ns_coefficients.map(|v| Hyperparameter::new("ns_coefficients", v, Range::Finite));
        vec![
            Hyperparameter::new("learning_rate", learning_rate, Range::NonNegative),
            Hyperparameter::new("momentum", momentum, Range::BelowOne),
            Hyperparameter::new("ns_steps", f64::from(ns_steps), Range::Positive("at least 1")),
            a,
            b,
            c,
            Hyperparameter::new("eps", eps, Range::Positive("above 0 and finite")),
            Hyperparameter::new("weight_decay", weight_decay, Range::NonNegative),
        ]
    }

    fn base(&self) -> Base {
        Base { learning_rate: self.learning_rate, momentum: Some(self.momentum), weight_decay: Some(self.weight_decay) }
    }

    fn slots(&self) -> Vec<Slot> {
        vec![Slot::zero("b")]
    }

    fn numbers(&self, now: Now) -> Vec<HostNumber> {
        vec![
            HostNumber::rate(now),
            DecayScale::LearningRate.decay(now, self.base()),
            HostNumber::new("momentum", now.momentum, Varies::MOMENTUM),
            HostNumber::new("1 - momentum", 1.0 - now.momentum, Varies::MOMENTUM),
        ]
    }

    fn takes(&self, ty: &TensorType) -> Result<(), String> {
        if ty.shape.rank() == 2 {
            return Ok(());
        }
        Err("it takes matrices only; give other parameters a group of their own".to_owned())
    }

    fn update<'g>(&self, group: &Group<'g>) -> Result<GroupValues<'g>, GraphError> {
        let [learning_rate, decay, momentum, take]: [_; 4] = std::array::from_fn(|i| group.numbers[i]);
        group.each(|operands| {
            let g = operands.gradient;
            let b = running(operands.state[0], momentum, g, take)?;
            let u = if self.nesterov { running(b, momentum, g, take)? } else { b };
            let step = learning_rate.times(self.orthogonal(u)?.mul(self.factor(&operands.parameter.ty()))?)?;
            Ok(NewValues { parameter: operands.stepped(step, decay)?, state: vec![b] })
        })
    }
}

impl Muon {
    /// What the step is multiplied by.
    fn factor(&self, ty: &TensorType) -> f64 {
        let (rows, columns) = (ty.shape[0] as f64, ty.shape[1] as f64);
        match self.scale {
            MuonScale::Original => (rows / columns.max(1.0)).max(1.0).sqrt(),
            MuonScale::MatchRmsAdamW => 0.2 * rows.max(columns).sqrt(),
        }
    }

    /// A matrix with the same singular vectors and singular values near 1. The shorter side is iterated on: where rows are more than
    /// columns, `X·(B·S + C·S²)` with `S = Xᵀ·X` is the same without a transpose.
    fn orthogonal<'g>(&self, u: Tensor<'g>) -> Result<Tensor<'g>, GraphError> {
        let [a, b, c] = self.ns_coefficients;
        let tall = u.shape()[0] > u.shape()[1];
        let mut x = u.div(u.square()?.sum_all()?.sqrt()?.maximum(self.eps)?)?;
        for _ in 0..self.ns_steps {
            let s = x.matmul_t(x, tall, !tall)?;
            let polynomial = s.mul(b)?.add(s.matmul(s)?.mul(c)?)?;
            let product = if tall { x.matmul(polynomial)? } else { polynomial.matmul(x)? };
            x = x.mul(a)?.add(product)?;
        }
        Ok(x)
    }
}
