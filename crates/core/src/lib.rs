//! The heart of wgrad: graph, automatic differentiation, programs, and the static execution plan.
//!
//! Data flows one way:
//!
//! ```text
//! Graph (pure nodes, typed on push, interned)
//!   -> grad()            reverse mode, graph to graph; adjoints are ordinary nodes, so grad of grad works
//!   -> Program           graph + entries: feeds, fetches, updates
//!   -> verify, simplify  every defect with node, op and shapes; constants folded
//!   -> lower()           Plan: buffers, kernels, bindings, memory report, limits: plain data
//!   -> Backend::prepare  everything that takes time, once
//!   -> Session::run      one submission
//! ```
//!
//! This crate does no input or output, knows no GPU, starts no thread and is deterministic: the same program gives the same plan.

mod activation;
mod autodiff;
mod composite;
mod dtype;
mod elementwise;
mod error;
mod fold;
mod graph;
mod infer;
mod init;
mod lower;
mod moves;
mod op;
mod philox;
pub mod plan;
mod program;
mod random;
mod rules;
mod shape;
mod simplify;
mod tensor;
mod tensor_ops;
mod text;
mod verify;

pub use autodiff::grad;
pub use dtype::{DType, HostSlice, HostVec, Scalar};
pub use error::GraphError;
pub use graph::{FeedDecl, FeedId, Graph, Node, NodeId, Role, VarId, VariableDecl};
pub use init::{Init, InitPieces};
pub use lower::{LowerOptions, lower, lower_with};
pub use op::{Binary, Compare, Op, PadAxis, Reduce, SliceRange, Unary};
pub use philox::philox4x32;
pub use program::{Entry, EntryId, Fetch, Program, Update};
pub use shape::{RANK_MAX, Shape, TensorType};
pub use simplify::simplify;
pub use tensor::{Arg, Builder, Tensor};
pub use text::to_dot;
pub use verify::verify;
