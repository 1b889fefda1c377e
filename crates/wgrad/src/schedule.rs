//! Schedules: pure functions of the step.

/// How a hyperparameter changes over the steps.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    /// It stays as it is.
    Constant {
        /// The value.
        value: f64,
    },
}

impl Schedule {
    /// The value at update number `t`, counted from 0.
    pub fn value(&self, t: u64) -> f64 {
        let _ = t;
        match self {
            Self::Constant { value } => *value,
        }
    }
}

/// Lowers the learning rate when a metric stops improving.
#[derive(Debug, Clone, PartialEq)]
pub struct Plateau;
