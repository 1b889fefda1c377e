//! The numbers of a formula: computed by the host in double precision, and either fixed in the graph or fed at every step.

use std::ops::BitOr;

use wgrad_core::{Arg, GraphError, Tensor};

/// The step that numbers are computed for, with what schedules make of the hyperparameters that they can drive.
///
/// ```
/// use wgrad::optim::Now;
///
/// let now = Now { step: 2, learning_rate: 0.1, momentum: 0.9, weight_decay: 0.0 };
/// // The weights of a running mean that keeps half: a quarter is still with its start at 0.
/// assert_eq!(now.correction(0.5), 1.0 - 0.25);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Now {
    /// The step, counted from 1.
    pub step: u64,
    /// The learning rate of this step.
    pub learning_rate: f64,
    /// The momentum of this step (`beta1` where the rule calls it so); 0 where the rule has none.
    pub momentum: f64,
    /// The weight decay of this step; 0 where the rule has none.
    pub weight_decay: f64,
}

impl Now {
    /// The step as a float, at least 1.
    pub fn t(&self) -> f64 {
        self.step.max(1) as f64
    }

    /// `1 - beta^t`: what corrects a running mean that started at 0.
    pub fn correction(&self, beta: f64) -> f64 {
        1.0 - beta.powf(self.t())
    }
}

/// What a number depends on, besides the hyperparameters that never change.
///
/// ```
/// use wgrad::optim::Varies;
///
/// let both = Varies::STEP | Varies::RATE;
/// assert!(both.meets(Varies::RATE));
/// assert!(!both.meets(Varies::MOMENTUM | Varies::DECAY));
/// assert!(!Varies::NEVER.meets(Varies::NEVER));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Varies(u8);

impl Varies {
    /// Nothing: the number is part of the graph.
    pub const NEVER: Self = Self(0);
    /// The step.
    pub const STEP: Self = Self(1);
    /// The learning rate, which may always change.
    pub const RATE: Self = Self(2);
    /// The momentum.
    pub const MOMENTUM: Self = Self(4);
    /// The weight decay.
    pub const DECAY: Self = Self(8);

    /// Whether the two have something in common.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Varies {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A number that the host computes for a step, in double precision, and rounds once.
///
/// ```
/// use wgrad::optim::{Adam, HostNumber, Now, UpdateRule, Varies};
///
/// let now = Now { step: 1, learning_rate: 0.001, momentum: 0.9, weight_decay: 0.0 };
/// let numbers = Adam::default().numbers(now);
/// let beta2 = numbers.iter().find(|number| number.name == "beta2").copied();
/// assert_eq!(beta2, Some(HostNumber::fixed("beta2", 0.999)));
/// // One that changes from step to step is fed.
/// let rate = numbers.iter().find(|number| number.name == "learning_rate/c1").expect("Adam has it");
/// assert!(rate.varies.meets(Varies::STEP) && (rate.value - 0.01).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HostNumber {
    /// Its name in the formula.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
    /// What it depends on.
    pub varies: Varies,
}

impl HostNumber {
    /// A number that depends on something.
    pub const fn new(name: &'static str, value: f64, varies: Varies) -> Self {
        Self { name, value, varies }
    }

    /// A number that never changes.
    pub const fn fixed(name: &'static str, value: f64) -> Self {
        Self { name, value, varies: Varies::NEVER }
    }

    /// The learning rate itself.
    pub const fn rate(now: Now) -> Self {
        Self { name: "learning_rate", value: now.learning_rate, varies: Varies::RATE }
    }
}

/// A number in a formula on graph nodes.
///
/// ```
/// use wgrad::optim::Number;
/// # use wgrad_cpu_ref::oracle::eval;
///
/// let builder = wgrad::Builder::new();
/// # let value = |x: wgrad::Tensor| builder.with(|g| eval(g, &[x.id()], &Default::default())).map(|v| v[0].to_f64());
/// let x = builder.constant_f64(&[1.0, 2.0, 4.0], [3])?;
/// assert_eq!(value(Number::Fixed(3.0).times(x)?)?, [3.0, 6.0, 12.0]);
/// assert_eq!(value(Number::Fed(builder.scalar(3.0)).over(x)?)?, [3.0, 1.5, 0.75]);
/// // A fixed 1 costs nothing.
/// assert_eq!(Number::Fixed(1.0).times(x)?.id(), x.id());
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub enum Number<'g> {
    /// Part of the graph.
    Fixed(f64),
    /// Fed at every step: a tensor of shape `[]`.
    Fed(Tensor<'g>),
}

impl<'g> Number<'g> {
    /// Whether it is this number, and stays it.
    pub fn is(self, value: f64) -> bool {
        match self {
            Self::Fixed(v) => v == value,
            Self::Fed(_) => false,
        }
    }

    /// The product with a tensor, of the tensor's shape.
    ///
    /// # Errors
    /// If the tensor holds no floats.
    pub fn times(self, x: Tensor<'g>) -> Result<Tensor<'g>, GraphError> {
        if self.is(1.0) { Ok(x) } else { x.mul(self) }
    }

    /// The quotient by a tensor, of the tensor's shape.
    ///
    /// # Errors
    /// If the tensor holds no floats.
    pub fn over(self, x: Tensor<'g>) -> Result<Tensor<'g>, GraphError> {
        match self {
            Self::Fixed(v) => x.builder().scalar(v).div(x),
            Self::Fed(number) => number.div(x),
        }
    }
}

impl<'g> From<Number<'g>> for Arg<'g> {
    fn from(number: Number<'g>) -> Self {
        match number {
            Number::Fixed(v) => v.into(),
            Number::Fed(tensor) => tensor.into(),
        }
    }
}
