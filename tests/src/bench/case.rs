//! What is measured.

use wgrad::nn::Activation;
use wgrad::optim::{Adam, Momentum, Optimization};

/// A network that is trained on one batch over and over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Workload<'a> {
    /// `W1` to `W4`.
    pub name: &'static str,
    /// Widths of the layers.
    pub layers: &'a [usize],
    /// Between them.
    pub activation: Activation,
    /// Rows of the batch.
    pub batch: usize,
    /// Loss before the first step, and after 20.
    pub losses: [f32; 2],
}

const DEEP: [usize; 26] = {
    let mut layers = [256; 26];
    layers[0] = 64;
    layers[25] = 10;
    layers
};

/// From tiny to wide and deep.
pub const WORKLOADS: [Workload<'static>; 4] = [
    Workload { name: "W1", layers: &[64, 128, 10], activation: Activation::Relu, batch: 32, losses: [2.565, 1.321] },
    Workload {
        name: "W2",
        layers: &[784, 512, 512, 10],
        activation: Activation::Relu,
        batch: 128,
        losses: [2.529, 0.695],
    },
    Workload {
        name: "W3",
        layers: &[1024, 4096, 4096, 1024],
        activation: Activation::Relu,
        batch: 256,
        losses: [7.229, 0.778],
    },
    Workload { name: "W4", layers: &DEEP, activation: Activation::Tanh, batch: 64, losses: [2.338, 0.938] },
];

impl Workload<'_> {
    /// What trains it: Adam for relu networks, gradient descent with momentum for the tanh network.
    pub fn optimization(&self) -> Optimization {
        if self.activation == Activation::Tanh {
            return Momentum { learning_rate: 0.01, momentum: 0.9, ..Momentum::default() }.into();
        }
        Adam { learning_rate: 1e-3, ..Adam::default() }.into()
    }

    /// The square of what weights are bounded by, times the inputs of a layer.
    pub fn gain(&self) -> f64 {
        if self.activation == Activation::Tanh { 3.0 } else { 6.0 }
    }

    /// Rows, inputs and outputs of each product of a step: forward, the gradients of the weights, and those of the inputs of all layers but
    /// the first.
    pub fn products(&self) -> Vec<[usize; 3]> {
        let mut products = vec![];
        for (layer, pair) in self.layers.windows(2).enumerate() {
            let [inputs, outputs] = [pair[0], pair[1]];
            products.push([self.batch, inputs, outputs]);
            products.push([inputs, self.batch, outputs]);
            if layer > 0 {
                products.push([self.batch, outputs, inputs]);
            }
        }
        products
    }

    /// Tensors as large as the parameters: these, gradients, and the optimizer's states.
    pub fn copies(&self) -> f64 {
        if self.activation == Activation::Tanh { 3.0 } else { 4.0 }
    }

    /// Numbers that are trained.
    pub fn parameters(&self) -> usize {
        self.layers.windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum()
    }
}

/// An operation by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// A product of square matrices of that size, the first or the second of them transposed.
    MatMul(usize, bool, bool),
    /// A step of Adam over so many parameters.
    Adam(usize),
    /// Softmax, cross-entropy and its gradient for rows and classes.
    CrossEntropy(usize, usize),
}

/// All of them.
pub const OPERATIONS: [Case; 17] = {
    let mut cases = [Case::Adam(10_000_000); 17];
    let mut next = 0;
    let mut size = 256;
    while size <= 4096 {
        cases[next] = Case::MatMul(size, false, false);
        cases[next + 1] = Case::MatMul(size, false, true);
        cases[next + 2] = Case::MatMul(size, true, false);
        next += 3;
        size *= 2;
    }
    cases[next + 1] = Case::CrossEntropy(4096, 1000);
    cases
};

impl Case {
    /// What the report calls it.
    pub fn name(self) -> String {
        let letter = |transposed| if transposed { 'T' } else { 'N' };
        match self {
            Self::MatMul(size, a, b) => format!("matmul {size} {}{}", letter(a), letter(b)),
            Self::Adam(count) => format!("adam {count}"),
            Self::CrossEntropy(rows, classes) => format!("cross-entropy {rows}x{classes}"),
        }
    }
}
