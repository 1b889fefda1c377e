//! Neural-network training on any GPU that wgpu reaches, or the CPU, from one model definition.
//!
//! A [`nn::Model`], a [`loss::Loss`] and an [`optim::Optimizer`] make a [`train::TrainProgram`]; a [`train::Trainer`] plans it
//! for a [`Device`] and runs it there. The whole step is one static plan: every buffer placed and every kernel made before the
//! first step.
//!

pub mod data;
mod error;
mod ids;
pub mod loss;
pub mod nn;
pub mod optim;
pub mod train;

pub use error::Error;
pub use wgrad_core::plan;
pub use wgrad_core::{
    Arg, Binary, Builder, Compare, DType, Entry, EntryId, FeedDecl, FeedId, Fetch, Graph, GraphError, HostSlice,
    HostVec, Init, Node, NodeId, Op, PadAxis, Program, RANK_MAX, Reduce, Role, Scalar, Shape, SliceRange, Tensor,
    TensorType, Unary, Update, VarId, VariableDecl, grad, lower, philox4x32, simplify, verify,
};
