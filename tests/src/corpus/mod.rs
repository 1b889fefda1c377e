//! The corpus: named cases that cover every operation, composite and fusion, with shapes chosen to hurt.
//!
//! A case is data plus a function that builds a graph on its inputs. The same case is run forward and backward on every
//! engine ([`crate::parity`]), checked against finite differences ([`crate::gradients`]), and its kernels are translated for
//! every shading language ([`crate::shaders`]). [`kind`] names every operation exhaustively, so a new one without a case fails.

mod activation;
mod composite;
mod large;
mod layers;
mod loss;
mod matmul;
mod reduce;
mod scalar;
mod structure;

use std::fmt;

use wgrad_core::{Builder, DType, Entry, Fetch, GraphError, Op, Program, Tensor, TensorType};

use crate::engine::Data;
use crate::sample::{Domain, Input, Random};

/// Builds a case's graph on its inputs.
pub type Build = Box<dyn for<'g> Fn(&'g Builder, &[Tensor<'g>]) -> Result<Tensor<'g>, GraphError>>;

/// One case.
pub struct Case {
    /// The operation or composite that it is about; rows of the parity table are grouped by it.
    pub op: String,
    /// What is particular about it: shapes, layout.
    pub name: String,
    /// Its inputs.
    pub inputs: Vec<Input>,
    /// Whether its result has a derivative, which is then checked too.
    pub differentiable: bool,
    /// Whether finite differences can check its derivative: it is small, and has no kink, tie or overflow near its data.
    pub differences: bool,
    /// Whether the case is about detached values: then finite differences hold them fixed. Elsewhere they move along, because a
    /// composite may detach only what its value does not depend on.
    pub holds_detached: bool,
    /// Whether its second derivatives are f32 numbers.
    pub second: bool,
    /// Whether it is too big for running it twice.
    pub large: bool,
    /// Builds its result.
    pub build: Build,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.op, self.name)
    }
}

impl Case {
    /// A differentiable case.
    pub fn new(
        op: impl Into<String>,
        name: impl Into<String>,
        inputs: Vec<Input>,
        build: impl for<'g> Fn(&'g Builder, &[Tensor<'g>]) -> Result<Tensor<'g>, GraphError> + 'static,
    ) -> Self {
        Self {
            op: op.into(),
            name: name.into(),
            inputs,
            differentiable: true,
            differences: true,
            holds_detached: false,
            second: true,
            large: false,
            build: Box::new(build),
        }
    }

    /// The same without derivative.
    #[must_use]
    pub fn without_derivative(self) -> Self {
        Self { differentiable: false, differences: false, ..self }
    }

    /// The same, out of reach of finite differences.
    #[must_use]
    pub fn without_differences(self) -> Self {
        Self { differences: false, ..self }
    }

    /// The same, with second derivatives that overflow.
    #[must_use]
    pub fn without_second(self) -> Self {
        Self { second: false, ..self }
    }

    /// The same, about detached values.
    #[must_use]
    pub fn holding_detached(self) -> Self {
        Self { holds_detached: true, ..self }
    }

    /// The same, marked as large.
    #[must_use]
    pub fn large(self) -> Self {
        Self { differences: false, large: true, ..self }
    }

    /// The case with one entry that fetches the result.
    ///
    /// # Errors
    /// If the graph refuses the case.
    pub fn forward(&self) -> Result<Program, GraphError> {
        let builder = Builder::new();
        let mut entry = Entry { name: "forward".to_owned(), ..Entry::default() };
        let out = self.on_feeds(&builder, &mut entry)?;
        entry.fetches.push(Fetch { name: "out".to_owned(), node: out.id() });
        Ok(Program { graph: builder.into_graph(), entries: vec![entry] })
    }

    /// The case with one entry that fetches the result and the gradient of `Σ upstream · result` with respect to every
    /// float input. The upstream gradient is one more feed, after the inputs.
    ///
    /// # Errors
    /// If the graph refuses the case or it has no derivative.
    pub fn backward(&self) -> Result<Program, GraphError> {
        let builder = Builder::new();
        let mut entry = Entry { name: "backward".to_owned(), ..Entry::default() };
        let out = self.on_feeds(&builder, &mut entry)?;
        let upstream = feed(&builder, &mut entry, "upstream", TensorType::f32(out.shape()))?;
        let loss = out.mul(upstream)?.sum_all()?;
        let wrt: Vec<_> = self.floats(&builder);
        let gradients = builder.grad(loss, &wrt)?;
        entry.fetches.push(Fetch { name: "out".to_owned(), node: out.id() });
        for (x, gradient) in wrt.iter().zip(gradients) {
            entry.fetches.push(Fetch { name: format!("gradient of {x}"), node: gradient.id() });
        }
        Ok(Program { graph: builder.into_graph(), entries: vec![entry] })
    }

    /// Data for [`Case::forward`], and after them for the upstream gradient of [`Case::backward`].
    ///
    /// # Errors
    /// If the graph refuses the case.
    pub fn data(&self, seed: u64) -> Result<Vec<Data>, GraphError> {
        let mut random = Random::of(&format!("{self:?}"), seed);
        let mut data: Vec<_> = self.inputs.iter().map(|input| input.draw(&mut random)).collect();
        if self.differentiable {
            let builder = Builder::new();
            let shape = self.on_feeds(&builder, &mut Entry::default())?.shape();
            // Numbers whose sums are exact, where a sum may be so long that the oracle would allow it to lack some terms.
            let domain = if self.large { Domain::Lattice(0.0) } else { Domain::Range(-1.0, 1.0) };
            data.push(Input::new(shape, domain).draw(&mut random));
        }
        Ok(data)
    }

    fn on_feeds<'g>(&self, builder: &'g Builder, entry: &mut Entry) -> Result<Tensor<'g>, GraphError> {
        let mut inputs = Vec::new();
        for (i, input) in self.inputs.iter().enumerate() {
            inputs.push(feed(builder, entry, &format!("x{i}"), input.ty())?);
        }
        (self.build)(builder, &inputs)
    }

    fn floats<'g>(&self, builder: &'g Builder) -> Vec<Tensor<'g>> {
        (0..self.inputs.len())
            .filter(|&i| self.inputs[i].dtype() == DType::F32)
            .filter_map(|i| builder.with(|g| g.find_feed(&format!("x{i}")).and_then(|id| g.push(Op::Feed(id)).ok())))
            .map(|node| builder.tensor(node))
            .collect()
    }
}

/// Declares a feed and adds it to an entry.
///
/// # Errors
/// If the graph refuses it.
pub fn feed<'g>(builder: &'g Builder, entry: &mut Entry, name: &str, ty: TensorType) -> Result<Tensor<'g>, GraphError> {
    let tensor = builder.feed(name, ty)?;
    let id = builder.with(|g| g.find_feed(name));
    entry.feeds.extend(id);
    Ok(tensor)
}

/// The name of a group of cases, and what makes them.
pub type Group = (&'static str, fn() -> Vec<Case>);

/// The groups of cases.
pub const GROUPS: &[Group] = &[
    ("scalar", scalar::cases),
    ("reduce", reduce::cases),
    ("matmul", matmul::cases),
    ("structure", structure::cases),
    ("composite", composite::cases),
    ("activation", activation::cases),
    ("loss", loss::cases),
    ("layers", layers::cases),
    ("large", large::cases),
];

/// Every case.
pub fn all() -> Vec<Case> {
    GROUPS.iter().flat_map(|(_, cases)| cases()).collect()
}

macro_rules! kinds {
    ($($pattern:pat => $name:literal,)+) => {
        /// Every kind of operation.
        pub const KINDS: &[&str] = &[$($name),+];

        /// The kind of an operation. Exhaustive, so that a new operation has to be given a kind here, and with it a case.
        pub const fn kind(op: &Op) -> &'static str {
            match op { $($pattern => $name),+ }
        }
    };
}

kinds! {
    Op::Feed(_) => "feed",
    Op::Variable(_) => "variable",
    Op::Splat { .. } => "splat",
    Op::Constant { .. } => "constant",
    Op::Iota { .. } => "iota",
    Op::RandomBits { .. } => "random_bits",
    Op::Unary(..) => "unary",
    Op::Binary(..) => "binary",
    Op::Compare(..) => "compare",
    Op::Select { .. } => "select",
    Op::Cast { .. } => "cast",
    Op::Detach(_) => "detach",
    Op::Reduce { .. } => "reduce",
    Op::MatMul { .. } => "matmul",
    Op::Broadcast { .. } => "broadcast",
    Op::Reshape { .. } => "reshape",
    Op::Permute { .. } => "permute",
    Op::Slice { .. } => "slice",
    Op::Pad { .. } => "pad",
    Op::Concat { .. } => "concat",
    Op::Gather { .. } => "gather",
    Op::ScatterAdd { .. } => "scatter_add",
}

/// Sizes as they stand in names.
fn by(sizes: &[usize]) -> String {
    if sizes.is_empty() {
        return "scalar".to_owned();
    }
    sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join("x")
}
