//! Names of all kinds of errors. The match has no arm for others: a new kind has to be named here, and then provoked.

use wgrad::Error;
use wgrad::GraphError;
use wgrad::checkpoint::CheckpointError;
use wgrad::data::DataError;
use wgrad::plan::{BackendError, PlanError};
use wgrad_cpu_ref::OracleError;

/// Declares the names with the patterns that they stand for.
macro_rules! kinds {
    ($($name:literal $pattern:pat,)+) => {
        /// Every kind.
        pub const ALL: &[&str] = &[$($name),+];

        /// The kind of an error: the variant of the enum that says what it is about.
        pub const fn kind(error: &Error) -> &'static str {
            match error {
                $($pattern => $name,)+
            }
        }
    };
}

kinds! {
    "GraphError::Operands" Error::Graph(GraphError::Operands { .. }),
    "GraphError::UnknownId" Error::Graph(GraphError::UnknownId { .. }),
    "GraphError::TooLarge" Error::Graph(GraphError::TooLarge { .. }),
    "GraphError::DuplicateName" Error::Graph(GraphError::DuplicateName { .. }),
    "GraphError::LossNotScalar" Error::Graph(GraphError::LossNotScalar { .. }),
    "GraphError::NoDerivative" Error::Graph(GraphError::NoDerivative { .. }),
    "GraphError::Unreachable" Error::Graph(GraphError::Unreachable { .. }),
    "GraphError::Invalid" Error::Graph(GraphError::Invalid { .. }),
    "PlanError::Invalid" Error::Plan(PlanError::Invalid(_)),
    "PlanError::Limit" Error::Plan(PlanError::Limit(_)),
    "BackendError::Plan" Error::Backend(BackendError::Plan(_)),
    "BackendError::NoDevice" Error::Backend(BackendError::NoDevice { .. }),
    "BackendError::UnknownBackend" Error::Backend(BackendError::UnknownBackend { .. }),
    "BackendError::Tuning" Error::Backend(BackendError::Tuning { .. }),
    "BackendError::Feed" Error::Backend(BackendError::Feed { .. }),
    "BackendError::Unknown" Error::Backend(BackendError::Unknown { .. }),
    "BackendError::Write" Error::Backend(BackendError::Write { .. }),
    "BackendError::OutOfMemory" Error::Backend(BackendError::OutOfMemory { .. }),
    "BackendError::DeviceLost" Error::Backend(BackendError::DeviceLost { .. }),
    "BackendError::Device" Error::Backend(BackendError::Device { .. }),
    "OracleError::Program" Error::Oracle(OracleError::Program(_)),
    "OracleError::UnknownEntry" Error::Oracle(OracleError::UnknownEntry(_)),
    "OracleError::UnknownVariable" Error::Oracle(OracleError::UnknownVariable(_)),
    "OracleError::UnknownNode" Error::Oracle(OracleError::UnknownNode(_)),
    "OracleError::FeedCount" Error::Oracle(OracleError::FeedCount { .. }),
    "OracleError::Missing" Error::Oracle(OracleError::Missing { .. }),
    "OracleError::Type" Error::Oracle(OracleError::Type { .. }),
    "OracleError::Length" Error::Oracle(OracleError::Length { .. }),
    "OracleError::NotAnInteger" Error::Oracle(OracleError::NotAnInteger { .. }),
    "OracleError::NotBelow" Error::Oracle(OracleError::NotBelow { .. }),
    "OracleError::IndexOutOfRange" Error::Oracle(OracleError::IndexOutOfRange { .. }),
    "DataError::Io" Error::Data(DataError::Io { .. }),
    "DataError::Format" Error::Data(DataError::Format { .. }),
    "DataError::Truncated" Error::Data(DataError::Truncated { .. }),
    "DataError::Surplus" Error::Data(DataError::Surplus { .. }),
    "DataError::Number" Error::Data(DataError::Number { .. }),
    "DataError::Missing" Error::Data(DataError::Missing { .. }),
    "DataError::UnknownCategory" Error::Data(DataError::UnknownCategory { .. }),
    "DataError::NotUtf8" Error::Data(DataError::NotUtf8 { .. }),
    "DataError::Columns" Error::Data(DataError::Columns { .. }),
    "DataError::OpenQuote" Error::Data(DataError::OpenQuote { .. }),
    "DataError::NoHeader" Error::Data(DataError::NoHeader { .. }),
    "DataError::DuplicateColumn" Error::Data(DataError::DuplicateColumn { .. }),
    "DataError::NoColumn" Error::Data(DataError::NoColumn { .. }),
    "DataError::Role" Error::Data(DataError::Role { .. }),
    "DataError::Label" Error::Data(DataError::Label { .. }),
    "DataError::NonFinite" Error::Data(DataError::NonFinite { .. }),
    "DataError::Argument" Error::Data(DataError::Argument { .. }),
    "DataError::Misfit" Error::Data(DataError::Misfit(_)),
    "DataError::Saved" Error::Data(DataError::Saved { .. }),
    "CheckpointError::Io" Error::Checkpoint(CheckpointError::Io { .. }),
    "CheckpointError::Format" Error::Checkpoint(CheckpointError::Format { .. }),
    "CheckpointError::Tensor" Error::Checkpoint(CheckpointError::Tensor { .. }),
    "CheckpointError::Checksum" Error::Checkpoint(CheckpointError::Checksum { .. }),
    "CheckpointError::Version" Error::Checkpoint(CheckpointError::Version { .. }),
    "CheckpointError::NotACheckpoint" Error::Checkpoint(CheckpointError::NotACheckpoint { .. }),
    "CheckpointError::Metadata" Error::Checkpoint(CheckpointError::Metadata { .. }),
    "CheckpointError::Strict" Error::Checkpoint(CheckpointError::Strict { .. }),
    "CheckpointError::Variables" Error::Checkpoint(CheckpointError::Variables { .. }),
    "CheckpointError::Settings" Error::Checkpoint(CheckpointError::Settings { .. }),
    "CheckpointError::Rename" Error::Checkpoint(CheckpointError::Rename { .. }),
    "CheckpointError::Device" Error::Checkpoint(CheckpointError::Device(_)),
    "Error::Debug" Error::Debug { .. },
    "Error::NotFinite" Error::NotFinite(_),
    "Error::Hyperparameter" Error::Hyperparameter { .. },
    "Error::NotAParameter" Error::NotAParameter { .. },
    "Error::Gradients" Error::Gradients { .. },
    "Error::Parameter" Error::Parameter { .. },
    "Error::Model" Error::Model { .. },
    "Error::BatchRows" Error::BatchRows { .. },
    "Error::UnknownName" Error::UnknownName { .. },
    "Error::NotYet" Error::NotYet { .. },
}
