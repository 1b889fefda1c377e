//! placeholder

pub mod oracle;

pub use oracle::{Oracle, OracleError, OracleFeed};
