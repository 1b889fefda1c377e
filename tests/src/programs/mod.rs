//! Random well-typed programs, with gradients and updates, on the oracle and on engines: what fusion, scheduling and memory reuse
//! make of a program must not change what it computes.
//!
//! A program is made of a [`Recipe`](recipe::Recipe), plain data that proptest draws and shrinks. [`run`] takes many of them, and
//! shrinks the first that differs to a test that can be pasted.

mod build;
mod check;
mod grow;
mod moves;
mod pool;
pub mod recipe;
mod shrink;
mod strategy;
mod suite;

pub use build::{Case, Place, Run, build, runs};
pub use check::{Difference, Expected, Tally, check};
pub use shrink::{Culprit, shrink, shrink_together, verdict};
pub use strategy::{Recipes, recipes};
pub use suite::{Options, Row, Share, Summary, run, shares};
