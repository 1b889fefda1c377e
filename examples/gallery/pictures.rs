//! The list of all pictures.

use anyhow::Result;
use clap::ValueEnum;
use wgrad::Device;

use crate::{
    batches, capacity, depth, descent, graph, learning_curves, noise, overfitting, paths, saturation, scaling,
    schedules, switching,
};

/// A picture with what is said about it.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// The picture as SVG.
    pub(crate) svg: String,
    /// What it shows and what was run, as Markdown.
    pub(crate) text: String,
    /// Other files that belong to it, by name.
    pub(crate) files: Vec<(String, String)>,
}

impl Page {
    pub(crate) fn new(svg: String, text: String) -> Self {
        Self { svg, text, files: vec![] }
    }
}

/// Every picture, in the order of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Picture {
    /// Learning rates too small, right and too large.
    Descent,
    /// Optimizers in a long bowl.
    Paths,
    /// Raw and standardised features.
    Scaling,
    /// Gradients of mini-batches.
    Noise,
    /// Norms through fifty layers.
    Depth,
    /// tanh with and without batch norm.
    Saturation,
    /// Schedules and warm-up.
    Schedules,
    /// Dropout and weight decay.
    Overfitting,
    /// Adam, gradient descent, SWATS.
    Switching,
    /// Time by batch size.
    Batches,
    /// A graph with its backward pass.
    Graph,
    /// Polynomials of many degrees.
    Capacity,
    /// Error by number of rows.
    LearningCurves,
}

impl Picture {
    /// What its files and its section are called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Descent => "descent",
            Self::Paths => "paths",
            Self::Scaling => "scaling",
            Self::Noise => "noise",
            Self::Depth => "depth",
            Self::Saturation => "saturation",
            Self::Schedules => "schedules",
            Self::Overfitting => "overfitting",
            Self::Switching => "switching",
            Self::Batches => "batches",
            Self::Graph => "graph",
            Self::Capacity => "capacity",
            Self::LearningCurves => "learning-curves",
        }
    }

    /// The heading of its section.
    pub(crate) fn heading(self) -> &'static str {
        match self {
            Self::Descent => "The learning rate",
            Self::Paths => "Optimizers in an ill-conditioned bowl",
            Self::Scaling => "Feature scaling",
            Self::Noise => "Noise of mini-batches",
            Self::Depth => "Initial weights of a deep network",
            Self::Saturation => "Saturation and batch normalisation",
            Self::Schedules => "Schedules and warm-up",
            Self::Overfitting => "Dropout and weight decay",
            Self::Switching => "Adam, SGD and SWATS",
            Self::Batches => "Vectorised training",
            Self::Graph => "A computation graph",
            Self::Capacity => "Capacity",
            Self::LearningCurves => "Learning curve",
        }
    }

    pub(crate) fn is_measured(self) -> bool {
        self == Self::Batches
    }

    pub(crate) fn page(self, device: &Device) -> Result<Page> {
        match self {
            Self::Descent => descent::page(device),
            Self::Paths => paths::page(device),
            Self::Scaling => scaling::page(device),
            Self::Noise => noise::page(device),
            Self::Depth => depth::page(device),
            Self::Saturation => saturation::page(device),
            Self::Schedules => schedules::page(device),
            Self::Overfitting => overfitting::page(device),
            Self::Switching => switching::page(device),
            Self::Batches => batches::page(device),
            Self::Graph => graph::page(),
            Self::Capacity => capacity::page(device),
            Self::LearningCurves => learning_curves::page(device),
        }
    }
}
