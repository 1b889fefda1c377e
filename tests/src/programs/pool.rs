//! The values of a program under construction, and how a pick finds one of them.

use wgrad_core::{Builder, DType, GraphError, Op, PadAxis, Shape, SliceRange, Tensor};

use super::recipe::{LATEST, Pick};

/// Elements of a tensor, at most. What a step would make larger is left out.
pub(super) const LEN_MAX: usize = 1500;
/// Magnitude of a float, at most, as far as can be foreseen: what may become larger is scaled down. Otherwise chains of products
/// overflow, and nothing is left to compare.
const REACH_MAX: f64 = 16.0;
/// One more than the largest integer.
pub(super) const WORDS: f64 = 4_294_967_296.0;

/// Why a step has no result.
#[derive(Debug)]
pub(super) enum Stop {
    /// Nothing is there that it could be computed of.
    Unfit,
    /// The graph refuses it, which it never should.
    Graph(GraphError),
}

impl From<GraphError> for Stop {
    fn from(error: GraphError) -> Self {
        Self::Graph(error)
    }
}

/// Result of everything that makes values.
pub(super) type Made<T> = Result<T, Stop>;

/// A tensor with a bound on its magnitude, as far as can be foreseen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'g> {
    pub(super) x: Tensor<'g>,
    pub(super) reach: f64,
}

impl<'g> Value<'g> {
    pub(super) fn new(x: Tensor<'g>, reach: f64) -> Self {
        Self { x, reach }
    }

    pub(super) fn shape(&self) -> Shape {
        self.x.shape()
    }

    pub(super) fn is_float(&self) -> bool {
        self.x.dtype() == DType::F32
    }

    /// The same, scaled down if it reaches beyond a bound.
    pub(super) fn within(self, bound: f64) -> Made<Self> {
        if self.reach <= bound {
            return Ok(self);
        }
        let factor = (bound / self.reach).log2().floor().exp2();
        Ok(Self { x: self.x.mul(factor)?, reach: self.reach * factor })
    }
}

#[derive(Debug)]
struct Member<'g> {
    tag: u8,
    value: Value<'g>,
    /// Whether a step uses it.
    used: bool,
}

/// The values there are.
#[derive(Debug, Default)]
pub(super) struct Pool<'g> {
    members: Vec<Member<'g>>,
    /// Members that the step under way uses.
    picked: Vec<usize>,
}

impl<'g> Pool<'g> {
    /// Adds what a program starts with.
    pub(super) fn start(&mut self, tag: u8, value: Value<'g>) {
        self.members.push(Member { tag, value, used: true });
    }

    /// Adds the result of a step, if it has one.
    pub(super) fn settle(&mut self, tag: u8, result: Made<Value<'g>>) -> Result<(), GraphError> {
        let picked = std::mem::take(&mut self.picked);
        let value = match result.and_then(|value| if value.is_float() { value.within(REACH_MAX) } else { Ok(value) }) {
            Ok(value) => value,
            Err(Stop::Unfit) => return Ok(()),
            Err(Stop::Graph(error)) => return Err(error),
        };
        for at in picked {
            self.members[at].used = true;
        }
        self.members.push(Member { tag, value, used: false });
        Ok(())
    }

    /// The value that a pick names among those that fit.
    pub(super) fn pick(&mut self, pick: Pick, fits: impl Fn(&Value<'g>) -> bool) -> Made<Value<'g>> {
        let fitting = self.members.iter().enumerate().filter(|(_, member)| fits(&member.value));
        let distance = |tag: u8| if pick < LATEST { tag.wrapping_sub(pick) } else { 0 };
        // Of equally near ones the latest.
        let nearest = fitting.rev().min_by_key(|(_, member)| distance(member.tag));
        let (at, member) = nearest.ok_or(Stop::Unfit)?;
        self.picked.push(at);
        Ok(member.value)
    }

    /// A float tensor. There always is one.
    pub(super) fn float(&mut self, pick: Pick) -> Made<Value<'g>> {
        self.pick(pick, Value::is_float)
    }

    /// A float tensor, if possible one of the marked nodes.
    pub(super) fn float_of(&mut self, pick: Pick, marked: &[bool]) -> Made<Value<'g>> {
        let is_marked = |value: &Value<'g>| value.is_float() && marked.get(value.x.id().index()) == Some(&true);
        self.pick(pick, is_marked).or_else(|_| self.float(pick))
    }

    /// A float tensor of at least so many axes.
    pub(super) fn ranked(&mut self, pick: Pick, rank: usize) -> Made<Value<'g>> {
        self.pick(pick, |value| value.is_float() && value.shape().rank() >= rank)
    }

    /// A tensor of either type with at least so many axes.
    pub(super) fn any(&mut self, pick: Pick, rank: usize) -> Made<Value<'g>> {
        self.pick(pick, |value| value.shape().rank() >= rank)
    }

    /// An integer tensor. There always is one.
    pub(super) fn integers(&mut self, pick: Pick) -> Made<Value<'g>> {
        self.pick(pick, |value| !value.is_float())
    }

    /// A tensor of a type that broadcasts with a shape to one that is not too large.
    pub(super) fn beside(&mut self, pick: Pick, dtype: DType, shape: &Shape) -> Made<Value<'g>> {
        let small = |common: Shape| common.len() <= LEN_MAX;
        self.pick(pick, |v| v.x.dtype() == dtype && v.shape().broadcast_with(shape).is_some_and(small))
    }

    /// Rows of a table, of a shape that fits: the integers that a pick names if there are such, or else coordinates.
    pub(super) fn rows(
        &mut self,
        builder: &'g Builder,
        pick: Pick,
        count: usize,
        otherwise: &Shape,
        fits: impl Fn(&Shape) -> bool,
    ) -> Made<Tensor<'g>> {
        let last = u32::try_from(count.checked_sub(1).ok_or(Stop::Unfit)?).expect("tensors are small");
        match self.pick(pick, |value| !value.is_float() && fits(&value.shape())) {
            // Feeds and what is known to be small: the graph learns the bound, and the host keeps it.
            Ok(Value { x, reach }) if reach <= ROWS_FED && is_feed(builder, x) => Ok(x),
            Ok(Value { x, reach: _ }) => Ok(x.minimum(last)?),
            Err(_) if otherwise.rank() > 0 && fits(otherwise) => {
                Ok(builder.iota(otherwise.clone(), otherwise.rank() - 1)?.minimum(last)?)
            }
            Err(stop) => Err(stop),
        }
    }

    /// What neither a step nor a pick since the last step uses, in order.
    pub(super) fn unused(&mut self) -> Vec<Tensor<'g>> {
        for at in self.picked.drain(..) {
            self.members[at].used = true;
        }
        self.members.iter().filter(|member| !member.used).map(|member| member.value.x).collect()
    }
}

/// The reach of integer feeds that stand for rows. The state of the random bits reaches farther, for all of its bits count.
pub(super) const ROWS_FED: f64 = 8.0;

fn is_feed(builder: &Builder, x: Tensor<'_>) -> bool {
    builder.with(|graph| matches!(graph[x.id()].op, Op::Feed(_)))
}

/// A tensor in another shape: cut off, or filled up with zeros, at the end.
pub(super) fn fit<'g>(x: Tensor<'g>, shape: &Shape) -> Result<Tensor<'g>, GraphError> {
    if x.shape() == *shape {
        return Ok(x);
    }
    let (have, want) = (x.shape().len(), shape.len());
    let flat = x.reshape([have])?;
    let flat = if have > want {
        flat.slice(&[SliceRange { start: 0, stop: want, step: 1 }])?
    } else if have < want {
        flat.pad(&[PadAxis { low: 0, high: want - have, interior: 0 }])?
    } else {
        flat
    };
    flat.reshape(shape.clone())
}
