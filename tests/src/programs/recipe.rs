//! A program as plain data that proptest can shrink.
//!
//! Every recipe is a valid program. A step names its operands by [`Pick`]s, and what fits best is taken; where nothing fits, the
//! step is left out. So any part of a recipe can be deleted or changed on its own.

use wgrad_core::{Binary, Compare, Reduce, Unary};

/// Names a value by its tag: of the values of the wanted type and shape the one with this tag or the next greater one, after 255
/// coming 0. Deleting a value so changes only what was made of it. From [`LATEST`] on it names the latest of them.
pub type Pick = u8;

/// The first [`Pick`] that names the latest value.
pub const LATEST: Pick = 192;

/// A program with the data that it runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// What can be run.
    pub entries: Vec<Part>,
    /// The order in which entries are run, each a position modulo their number.
    pub runs: Vec<u8>,
    /// Operations, each on what is there before it.
    pub steps: Vec<Step>,
    /// Variables.
    pub variables: Vec<Leaf>,
    /// Feeds, besides a scalar and the state of the random bits, which are always there.
    pub feeds: Vec<Leaf>,
    /// The axes of all tensors have sizes from here.
    pub sizes: Vec<usize>,
    /// Whether floats are multiples of 1/4, which tie and add up exactly.
    pub ties: bool,
    /// Seed of the data.
    pub data: u8,
}

/// A feed or a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// By which it is picked.
    pub tag: u8,
    /// Whether it holds integers.
    pub integers: bool,
    /// Positions in the recipe's sizes, modulo their number.
    pub axes: Vec<u8>,
}

/// An operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// By which its result is picked.
    pub tag: u8,
    /// What is computed.
    pub make: Make,
}

/// What a step computes. Numbers without a name are choices among what is possible, modulo its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Make {
    /// A function of one tensor, brought into its domain.
    Unary(Unary, Pick),
    /// A function of two tensors that broadcast.
    Binary(Binary, Pick, Pick),
    /// A function of a tensor and one of a few numbers.
    Number(Binary, Pick, u8),
    /// A comparison of two float tensors that broadcast.
    Compare(Compare, Pick, Pick),
    /// Elements of two tensors, chosen by the mask that is named first.
    Select(Pick, Pick, Pick),
    /// A reduction over the axes whose bits are set, which stay with size 1 or not.
    Reduce(Reduce, Pick, u8, bool),
    /// A function made of several operations, along one axis if it is along one.
    Composite(Composite, Pick, u8),
    /// A product; either operand may be stored transposed.
    MatMul(Pick, Pick, bool, bool),
    /// Repetition along a new axis, or along one of size 1.
    Broadcast(Pick, u8),
    /// The same elements under another shape.
    Reshape(Pick, u8),
    /// Another order of the axes.
    Permute(Pick, u8),
    /// A strided box.
    Slice(Pick, u8),
    /// Zeros around and between.
    Pad(Pick, u8),
    /// Tensors one after another.
    Concat(Vec<Pick>, u8),
    /// Rows of the first, chosen by the second.
    Gather(Pick, Pick),
    /// Sums of the first, in rows chosen by the second, of which there are some more than this.
    ScatterAdd(Pick, Pick, u8),
    /// One element of every row of the first, chosen by the second.
    PickPerRow(Pick, Pick),
    /// Zeros for some elements, as random bits of a stream want it.
    Dropout(Pick, u8),
    /// The gradient, with respect to the second, of a scalar made of the first.
    Gradient(Pick, Pick),
    /// The values as constants of differentiation.
    Detach(Pick),
    /// Integers as floats.
    ToFloats(Pick),
    /// Floats as integers.
    ToIntegers(Pick),
    /// A function of two integer tensors that broadcast.
    Integers(Binary, Pick, Pick),
    /// A comparison of two integer tensors that broadcast.
    CompareIntegers(Compare, Pick, Pick),
    /// Integers of two tensors, chosen by the mask that is named first.
    SelectIntegers(Pick, Pick, Pick),
    /// Random bits of a stream, in a shape.
    RandomBits(Vec<u8>, u8),
    /// Coordinates along an axis of a shape.
    Iota(Vec<u8>, u8),
    /// Fixed floats.
    Constant(Vec<u8>, u8),
    /// One of a few numbers, everywhere.
    Splat(Vec<u8>, u8),
}

/// Functions made of several operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Composite {
    /// Mean along an axis.
    Mean,
    /// Variance along an axis.
    Variance,
    /// Softmax along an axis.
    Softmax,
    /// Logarithm of softmax along an axis.
    LogSoftmax,
    /// Logarithm of a sum of exponentials along an axis.
    LogSumExp,
    /// Gaussian error linear unit.
    Gelu,
    /// Sigmoid linear unit.
    Silu,
    /// Smooth rectifier.
    Softplus,
    /// Exponential linear unit.
    Elu,
    /// Leaky rectifier.
    LeakyRelu,
}

impl Composite {
    /// Every one.
    pub const ALL: &'static [Self] = &[
        Self::Mean,
        Self::Variance,
        Self::Softmax,
        Self::LogSoftmax,
        Self::LogSumExp,
        Self::Gelu,
        Self::Silu,
        Self::Softplus,
        Self::Elu,
        Self::LeakyRelu,
    ];
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Moves of variables without a gradient; the first one of a variable counts.
    pub moves: Vec<Move>,
    /// How the loss trains the variables that it depends on.
    pub rule: Rule,
    /// Whether gradients are scaled down to a norm of all of them together.
    pub clip: bool,
    /// What the loss is made of; without any there is none.
    pub losses: Vec<Pick>,
    /// What can be read, besides the loss, the gradients, and what no step uses.
    pub fetches: Vec<Pick>,
}

/// A variable's new value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Position of the variable, modulo their number.
    pub variable: u8,
    /// What it becomes, cut or filled up to its shape. Variables may so trade places.
    pub value: Pick,
}

/// How gradients train variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// They do not.
    None,
    /// A step along the gradient.
    Descent,
    /// With one state variable for each.
    Momentum,
    /// With two.
    Adaptive,
}

impl Rule {
    /// Every one.
    pub const ALL: &'static [Self] = &[Self::None, Self::Descent, Self::Momentum, Self::Adaptive];
}

impl Recipe {
    /// The recipe as the expression that makes it, for a test with `use wgrad_tests::programs::recipe::*` and
    /// `use wgrad_core::{Binary, Compare, Reduce, Unary}`.
    pub fn code(&self) -> String {
        // What `Debug` prints lacks the paths of the variants, and every list is a vector.
        const PATHS: &[(&str, &str)] = &[
            ("[", "vec!["),
            ("make: ", "make: Make::"),
            ("rule: ", "rule: Rule::"),
            ("Unary(", "Unary(Unary::"),
            ("Binary(", "Binary(Binary::"),
            ("Number(", "Number(Binary::"),
            ("Compare(", "Compare(Compare::"),
            ("CompareIntegers(", "CompareIntegers(Compare::"),
            ("Reduce(", "Reduce(Reduce::"),
            ("Composite(", "Composite(Composite::"),
            ("::Integers(", "::Integers(Binary::"),
        ];
        PATHS.iter().fold(format!("{self:?}"), |code, (from, to)| code.replace(from, to))
    }

    /// The recipe with one thing less, in every way.
    pub fn smaller(&self) -> Vec<Self> {
        let mut smaller = vec![];
        let mut each = |len: usize, remove: &dyn Fn(&mut Self, usize)| {
            for at in 0..len {
                let mut recipe = self.clone();
                remove(&mut recipe, at);
                smaller.push(recipe);
            }
        };
        each(self.entries.len(), &|recipe, at| _ = recipe.entries.remove(at));
        each(self.runs.len(), &|recipe, at| _ = recipe.runs.remove(at));
        each(self.steps.len(), &|recipe, at| _ = recipe.steps.remove(at));
        each(self.variables.len(), &|recipe, at| _ = recipe.variables.remove(at));
        each(self.feeds.len(), &|recipe, at| _ = recipe.feeds.remove(at));
        for (i, part) in self.entries.iter().enumerate() {
            each(part.moves.len(), &|recipe, at| _ = recipe.entries[i].moves.remove(at));
            each(part.losses.len(), &|recipe, at| _ = recipe.entries[i].losses.remove(at));
            each(part.fetches.len(), &|recipe, at| _ = recipe.entries[i].fetches.remove(at));
        }
        smaller
    }
}
