//! The check of one parameter: derivatives along random directions and by single elements against differences of the loss.

use wgrad_core::{Graph, NodeId, Op, philox4x32};
use wgrad_cpu_ref::oracle::{Environment, Value, eval};

use super::difference::{GradVerdict, Steps, judge};
use super::gradcheck::GradOptions;
use super::gradient_report::{GradRow, Measured};
use crate::Error;

/// Elements that are measured one by one in a tensor too large for all of them.
const SAMPLES: usize = 8;
/// Derivatives of elements are compared at this share of the tensor's largest one at least.
const FLOOR: f64 = 1e-3;

/// One parameter's check.
pub(super) struct Check<'a> {
    pub(super) graph: &'a Graph,
    pub(super) loss: NodeId,
    pub(super) value: f64,
    pub(super) environment: Environment,
    pub(super) node: NodeId,
    pub(super) options: &'a GradOptions<'a>,
}

impl Check<'_> {
    /// Measures derivatives along directions and by elements, and says what is worst of them.
    pub(super) fn row(&mut self, gradient: &[f64], reached: bool, random: &mut Random) -> Result<GradRow, Error> {
        let len = gradient.len();
        let mut measured = Vec::new();
        for _ in 0..if len == 0 { 0 } else { self.options.directions } {
            let direction: Vec<f64> = (0..len).map(|_| random.uniform()).collect();
            let along = self.along(gradient, &direction)?;
            let large = len > self.options.elements_max;
            measured.push(along);
            if large && along.verdict == GradVerdict::Wrong {
                measured.push(self.narrow(gradient, &direction)?);
            }
        }
        let all = len <= self.options.elements_max;
        let elements: Vec<usize> =
            if all { (0..len).collect() } else { (0..SAMPLES).map(|_| random.below(len)).collect() };
        for element in elements {
            measured.push(self.by_element(gradient, element)?);
        }
        let count = |verdict| measured.iter().filter(|m| m.verdict == verdict).count();
        let deviation = |m: &Measured| (m.analytic - m.numeric).abs();
        // An element says more than a direction.
        let worst = measured.iter().max_by(|a, b| {
            let rank = |m: &Measured| (m.verdict, m.element.is_some());
            rank(a).cmp(&rank(b)).then(deviation(a).total_cmp(&deviation(b)))
        });
        let name = match self.graph[self.node].op {
            Op::Variable(id) => self.graph.variables()[id.index()].name.clone(),
            Op::Feed(id) => self.graph.feeds()[id.index()].name.clone(),
            _ => self.graph.describe(self.node),
        };
        Ok(GradRow {
            name,
            node: self.node,
            shape: self.graph.ty(self.node).shape.clone(),
            verdict: worst.map_or(GradVerdict::Correct, |worst| worst.verdict),
            reached,
            measured: measured.len(),
            not_smooth: count(GradVerdict::NotSmooth),
            wrong: count(GradVerdict::Wrong),
            worst: worst.copied(),
        })
    }

    fn by_element(&mut self, gradient: &[f64], element: usize) -> Result<Measured, Error> {
        let mut direction = vec![0.0; gradient.len()];
        direction[element] = 1.0;
        let floor = FLOOR * gradient.iter().fold(0.0, |most: f64, g| most.max(g.abs()));
        let measured = self.measure(gradient[element], floor, &direction)?;
        Ok(Measured { element: Some(element), ..measured })
    }

    /// Along a direction. The terms of its derivative are taken as independent: the sum of their squares is its scale.
    fn along(&mut self, gradient: &[f64], direction: &[f64]) -> Result<Measured, Error> {
        let terms = || gradient.iter().zip(direction).map(|(g, v)| g * v);
        let scale = terms().map(|term| term * term).sum::<f64>().sqrt();
        self.measure(terms().sum(), scale, direction)
    }

    fn measure(&mut self, analytic: f64, scale: f64, direction: &[f64]) -> Result<Measured, Error> {
        let at = match self.graph[self.node].op {
            Op::Variable(id) => self.environment.variables.get(&id),
            Op::Feed(id) => self.environment.feeds.get(&id),
            _ => None,
        };
        let here = at.map(Value::to_f64).unwrap_or_default();
        let size = here.iter().fold(1.0, |most: f64, x| most.max(x.abs()));
        let steps = Steps { first: self.options.step * size, tolerance: self.options.tolerance, scale };
        let result = judge(analytic, self.value, steps, |by| {
            self.set(here.iter().zip(direction).map(|(x, v)| x + by * v).collect());
            let loss = eval(self.graph, &[self.loss], &self.environment)?;
            Ok(loss.first().map_or(f64::NAN, |loss| loss.at(0)))
        });
        self.set(here);
        let (verdict, slope) = result?;
        let (numeric, uncertainty, jump) = (slope.value, slope.uncertainty + slope.rounding, slope.jump);
        Ok(Measured { element: None, analytic, numeric, uncertainty, jump, verdict })
    }

    /// The element that makes a direction wrong, found by halving.
    fn narrow(&mut self, gradient: &[f64], direction: &[f64]) -> Result<Measured, Error> {
        let (mut start, mut end) = (0, gradient.len());
        while end - start > 1 {
            let middle = start + (end - start) / 2;
            let mut deviations = [0.0; 2];
            for (deviation, range) in deviations.iter_mut().zip([start..middle, middle..end]) {
                let part = direction.iter().enumerate().map(|(i, &v)| if range.contains(&i) { v } else { 0.0 });
                let along = self.along(gradient, &part.collect::<Vec<_>>())?;
                *deviation = (along.analytic - along.numeric).abs();
            }
            if deviations[0] >= deviations[1] { end = middle } else { start = middle }
        }
        self.by_element(gradient, start)
    }

    fn set(&mut self, values: Vec<f64>) {
        match self.graph[self.node].op {
            Op::Variable(id) => drop(self.environment.variables.insert(id, Value::F64(values))),
            Op::Feed(id) => drop(self.environment.feeds.insert(id, Value::F64(values))),
            _ => {}
        }
    }
}

/// Philox words in order.
pub(super) struct Random {
    pub(super) seed: u64,
    pub(super) next: u32,
}

impl Random {
    #[expect(clippy::cast_possible_truncation, reason = "splitting 64 bits into two words")]
    fn word(&mut self) -> u32 {
        self.next += 1;
        philox4x32([self.next, 0, 0, u32::MAX - 2], [self.seed as u32, (self.seed >> 32) as u32])[0]
    }

    /// Uniform in [-1, 1).
    fn uniform(&mut self) -> f64 {
        f64::from(self.word()) / 2_147_483_648.0 - 1.0
    }

    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.word()) * bound as u128) >> 32) as usize
    }
}
