//! Neural-network training on any GPU that wgpu reaches, or the CPU, from one model definition.
//!
//! A [`nn::Module`], a [`loss::Loss`] and an [`optim::Optimizer`] make a [`train::TrainProgram`]; a [`train::Trainer`] plans it
//! for a [`Device`] and runs it there. The whole step is one static plan: every buffer placed and every kernel made before the
//! first step.
//!
//! ```
//! use wgrad::data::Dataset;
//! use wgrad::loss::Loss;
//! use wgrad::nn::{Activation, Mlp};
//! use wgrad::optim::Adam;
//! use wgrad::train::{Fit, TrainOptions, Trainer};
//! use wgrad::{BackendChoice, Device, DeviceSelector};
//!
//! # fn main() -> Result<(), wgrad::Error> {
//! let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
//! let inputs = vec![0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0];
//! let data = Dataset::classes(inputs, 2, vec![0, 1, 1, 0], 2)?;
//! let optimizer = Adam { learning_rate: 0.05, ..Adam::default() };
//! let options = TrainOptions { batch_rows: 4, ..TrainOptions::new(Loss::cross_entropy(), optimizer) };
//! let mut trainer = Trainer::new(&device, &Mlp::new(&[2, 8, 2], Activation::Tanh), &data, options)?;
//! trainer.fit(&data, Fit::epochs(200))?;
//! assert_eq!(trainer.evaluate(&data)?.accuracy, Some(1.0));
//! # Ok(())
//! # }
//! ```
//!
//! When numbers look wrong, [`debug::compare_step`] tells whether the device computes the model right, and which operation it
//! gets wrong first; [`debug::gradcheck_step`] tells whether the gradients are those of the loss.

pub mod checkpoint;
pub mod data;
pub mod debug;
mod device;
mod error;
mod ids;
pub mod loss;
pub mod nn;
pub mod optim;
mod page;
pub mod profile;
pub mod schedule;
mod selector;
pub mod train;

pub use device::{CACHE_VARIABLE, Device, DeviceInfo, DeviceKind, TUNING_VARIABLE, devices};
pub use error::Error;
pub use page::Page;
pub use selector::{ADAPTER_VARIABLE, BACKEND_VARIABLE, BackendChoice, DeviceSelector};
pub use wgrad_core::plan;
pub use wgrad_core::{
    Arg, Binary, Builder, Compare, DType, Entry, EntryId, FeedDecl, FeedId, Fetch, Graph, GraphError, HostSlice,
    HostVec, Init, Node, NodeId, Op, PadAxis, Program, RANK_MAX, Reduce, Role, Scalar, Shape, SliceRange, Tensor,
    TensorType, Unary, Update, VarId, VariableDecl, grad, lower, philox4x32, simplify, verify,
};
