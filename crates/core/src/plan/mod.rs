//! The plan: what a backend is to do, as plain data.
//!
//! A plan holds every buffer, every kernel and every binding of a [`Program`](crate::Program) for one [`Target`]. It is made
//! without a device, printed, compared and counted like any other value; executing it is one loop over
//! `entries[e].dispatches`. Invariants:
//! - everything is 32-bit words; offsets and sizes are in elements unless a name ends in `bytes`;
//! - kernels of one dispatch are independent: none writes a buffer that another one reads or a range another one writes;
//! - a kernel that writes a tensor reads it, if at all, at the element that the same invocation writes; other tensors of the same
//!   buffer it may read anywhere;
//! - dispatches run in order, each seeing the writes of those before;
//! - every element of a buffer that is read has been written: by the host at prepare, by a feed, or by an earlier dispatch of
//!   the same run.

mod backend;
mod cost;
mod kernel;
mod memory;
mod target;
mod text;
mod texture;
mod timing;

use std::fmt;

pub use backend::{
    Backend, BackendError, Counters, PrepareOptions, Progress, Session, Source, check_feeds, check_source, check_write,
};
pub use cost::Cost;
pub use kernel::{
    Guard, Index, Inst, Kernel, Kind, Level, MatMul, Matrix, Operand, RowRef, Scatter, Store, Term, ValueId,
};
pub use memory::{MemoryReport, MemoryRow};
pub use target::{LimitExceeded, Limits, PlanError, Target};
pub(crate) use texture::lay_out;
pub use texture::{TEXTURE_ROW_WORDS, TEXTURE_ROWS_STEP, texture_starts};
pub use timing::{Clock, DispatchTime, RunTimes};

use crate::graph::{FeedId, VarId};
use crate::init::Init;
use crate::shape::TensorType;

crate::graph::id!(
    /// A buffer of a [`Plan`], written `b3`.
    BufferId, "b"
);

/// A program, lowered for one target.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What it was made for.
    pub target: Target,
    /// Every buffer, by [`BufferId`].
    pub buffers: Vec<Buffer>,
    /// Where each variable of the program's graph lives, by [`VarId`].
    pub variables: Vec<VariablePlan>,
    /// Fixed tensors, written once when the plan is prepared.
    pub constants: Vec<ConstantPlan>,
    /// What can be run, by [`EntryId`](crate::EntryId).
    pub entries: Vec<EntryPlan>,
}

/// What a buffer is for; decides how long it lives and how the memory report counts it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BufferClass {
    /// Trained parameters.
    Parameters,
    /// One state slot of the optimizer, for all parameters that have it.
    State(String),
    /// Other variables.
    Variables,
    /// Gradients that one optimizer dispatch reads together.
    Gradients,
    /// Values between dispatches; reused as soon as their last reader is done.
    Temporaries,
    /// Feeds of a run, written in one go.
    Feeds,
    /// Feeds of several runs that are sent together, written in one go; each run's are copied to [`BufferClass::Feeds`] before it.
    FeedQueue,
    /// Values that can be read after a run.
    Fetches,
    /// Fixed tensors.
    Constants,
    /// Sizes and offsets that kernels read.
    Arguments,
    /// Host-visible memory for reading back.
    Readback,
    /// Host-visible memory for small values that are read back while work goes on.
    LateReadback,
}

impl fmt::Display for BufferClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameters => f.write_str("parameters"),
            Self::State(slot) => write!(f, "optimizer state '{slot}'"),
            Self::Variables => f.write_str("other variables"),
            Self::Gradients => f.write_str("gradients"),
            Self::Temporaries => f.write_str("temporaries"),
            Self::Feeds => f.write_str("feeds"),
            Self::FeedQueue => f.write_str("feeds of several runs"),
            Self::Fetches => f.write_str("fetches"),
            Self::Constants => f.write_str("constants"),
            Self::Arguments => f.write_str("kernel arguments"),
            Self::Readback => f.write_str("read-back"),
            Self::LateReadback => f.write_str("late read-back"),
        }
    }
}

impl BufferClass {
    /// Whether what a run writes there matters only until the next run starts: such buffers can be poisoned in between.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Gradients | Self::Temporaries | Self::Fetches => true,
            Self::Parameters
            | Self::State(_)
            | Self::Variables
            | Self::Feeds
            | Self::FeedQueue
            | Self::Constants
            | Self::Arguments
            | Self::Readback
            | Self::LateReadback => false,
        }
    }
}

/// A buffer of 32-bit words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buffer {
    /// What it is for.
    pub class: BufferClass,
    /// Words in it; at least 4, a multiple of 4.
    pub len: usize,
}

impl Buffer {
    /// Bytes a backend allocates for it.
    pub const fn size_bytes(&self) -> usize {
        self.len * 4
    }
}

/// A contiguous, row-major tensor in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// The buffer.
    pub buffer: BufferId,
    /// First element.
    pub offset: usize,
}

/// A variable's place.
#[derive(Debug, Clone, PartialEq)]
pub struct VariablePlan {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: TensorType,
    /// Initial value, to be written when the plan is prepared.
    pub init: Init,
    /// For integers: the bound that elements written by the host must be below.
    pub below: Option<u32>,
    /// Where it lives.
    pub place: Place,
}

/// A fixed tensor's place and words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConstantPlan {
    /// Where it lives.
    pub place: Place,
    /// Its words.
    pub words: Vec<u32>,
}

/// One runnable entry.
#[derive(Debug, Clone, PartialEq)]
pub struct EntryPlan {
    /// Its name.
    pub name: String,
    /// Its feeds, in the order in which a run gives them. All lie in one buffer, in this order.
    pub feeds: Vec<FeedPlan>,
    /// Words of the feed buffer that a run writes: through the end of the last feed.
    pub feed_len: usize,
    /// What can be read after a run.
    pub fetches: Vec<FetchPlan>,
    /// The work, in order.
    pub dispatches: Vec<Dispatch>,
}

/// A feed's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedPlan {
    /// The feed in the program's graph.
    pub feed: FeedId,
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: TensorType,
    /// For integers: every element must be below this.
    pub below: Option<u32>,
    /// Where it lives.
    pub place: Place,
}

/// A fetch's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchPlan {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: TensorType,
    /// Where it lives.
    pub place: Place,
}

/// Independent kernels that run side by side as one dispatch.
#[derive(Debug, Clone, PartialEq)]
pub struct Dispatch {
    /// The kernels.
    pub kernels: Vec<Kernel>,
}

impl Dispatch {
    /// The buffers it touches, sorted, each with whether a kernel writes it.
    pub fn bindings(&self) -> Vec<(BufferId, bool)> {
        let mut bound = std::collections::BTreeMap::new();
        for kernel in &self.kernels {
            for buffer in kernel.reads() {
                bound.entry(buffer).or_insert(false);
            }
            for store in &kernel.stores {
                bound.insert(store.place.buffer, true);
            }
        }
        bound.into_iter().collect()
    }

    /// Bytes of its block of arguments, a multiple of 256.
    pub fn argument_bytes(&self) -> usize {
        (self.kernels.iter().map(Kernel::argument_words).sum::<usize>() * 4).next_multiple_of(256)
    }
}

impl Plan {
    /// A buffer.
    pub fn buffer(&self, id: BufferId) -> &Buffer {
        &self.buffers[id.index()]
    }

    /// The variable of a name.
    pub fn find_variable(&self, name: &str) -> Option<VarId> {
        self.variables.iter().position(|v| v.name == name).map(VarId::from_index)
    }

    /// Memory by class, exactly what a backend allocates.
    pub fn memory(&self) -> MemoryReport {
        MemoryReport::new(&self.buffers)
    }
}
