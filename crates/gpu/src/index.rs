//! Index functions and guards as text, and what four neighbouring points mean for them.
//!
//! Kernels work on four neighbours along one axis (the *lane* axis) where they can. The first of the four has a coordinate that
//! is a multiple of four.

use wgrad_core::plan::{Guard, Index};

use crate::words::Words;

/// Coordinates of the point that is worked on, as text, per axis.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    /// The coordinate of each axis; along the lane axis that of the first lane.
    pub(crate) axes: Vec<String>,
    /// The lane axis and the coordinates of its four lanes.
    pub(crate) lanes: Option<(usize, [String; 4])>,
}

impl Point {
    /// One point.
    pub(crate) fn single(axes: Vec<String>) -> Self {
        Self { axes, lanes: None }
    }

    /// Four points along an axis.
    pub(crate) fn four(axes: Vec<String>, lane: usize) -> Self {
        let c = &axes[lane];
        let lanes = [c.clone(), format!("({c} + 1u)"), format!("({c} + 2u)"), format!("({c} + 3u)")];
        Self { axes, lanes: Some((lane, lanes)) }
    }

    fn coordinate(&self, axis: usize, lane: usize) -> &str {
        match &self.lanes {
            Some((of, lanes)) if *of == axis => &lanes[lane],
            _ => &self.axes[axis],
        }
    }
}

/// How a value behaves over four lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lanes {
    /// The same in all.
    Same,
    /// Increasing by one from a multiple of four.
    Consecutive,
    /// Anything else.
    Apart,
}

/// How an index function behaves along the lane axis.
pub(crate) fn lanes(index: &Index, lane: Option<usize>) -> Lanes {
    let Some(lane) = lane else { return Lanes::Same };
    let mut stride = 0;
    let mut aligned = index.offset % 4 == 0;
    for term in &index.terms {
        if term.axis != lane || term.divisor % 4 == 0 {
            aligned &= term.coefficient % 4 == 0;
        } else if term.divisor == 1 && term.modulus.is_none_or(|m| m % 4 == 0) {
            stride += term.coefficient;
        } else {
            return Lanes::Apart;
        }
    }
    match stride {
        0 => Lanes::Same,
        1 if aligned => Lanes::Consecutive,
        _ => Lanes::Apart,
    }
}

/// Whether a guard gives the same for all four lanes.
pub(crate) fn guard_is_same(guard: &Guard, lane: Option<usize>) -> bool {
    match lanes(&guard.index, lane) {
        Lanes::Same => true,
        Lanes::Consecutive => guard.step == 1 && guard.low % 4 == 0 && guard.high % 4 == 0,
        Lanes::Apart => false,
    }
}

/// The text of an index function.
#[derive(Debug)]
pub(crate) struct IndexCode {
    offset: String,
    terms: Vec<TermCode>,
}

#[derive(Debug)]
struct TermCode {
    axis: usize,
    coefficient: Option<String>,
    divisor: Option<String>,
    modulus: Option<String>,
}

impl IndexCode {
    /// Collects the numbers of an index function. Only 1 counts as structure: it is what contiguous tensors have.
    pub(crate) fn new(index: &Index, words: &mut Words) -> Self {
        let offset = words.add(index.offset);
        let terms = index
            .terms
            .iter()
            .map(|t| TermCode {
                axis: t.axis,
                coefficient: (t.coefficient != 1).then(|| words.add(t.coefficient)),
                divisor: (t.divisor != 1).then(|| words.add(t.divisor)),
                modulus: t.modulus.map(|m| words.add(m)),
            })
            .collect();
        Self { offset, terms }
    }

    /// The value at a lane of a point.
    pub(crate) fn at(&self, point: &Point, lane: usize) -> String {
        let mut text = self.offset.clone();
        for term in &self.terms {
            let mut value = point.coordinate(term.axis, lane).to_owned();
            if let Some(divisor) = &term.divisor {
                value = format!("({value} / {divisor})");
            }
            if let Some(modulus) = &term.modulus {
                value = format!("({value} % {modulus})");
            }
            text.push_str(" + ");
            if let Some(coefficient) = &term.coefficient {
                text.push_str(coefficient);
                text.push_str(" * ");
            }
            text.push_str(&value);
        }
        text
    }
}

/// The text of a guard.
#[derive(Debug)]
pub(crate) struct GuardCode {
    index: IndexCode,
    low: String,
    span: String,
    step: Option<String>,
}

impl GuardCode {
    /// Collects the numbers of a guard.
    pub(crate) fn new(guard: &Guard, words: &mut Words) -> Self {
        Self {
            index: IndexCode::new(&guard.index, words),
            low: words.add(guard.low),
            span: words.add(guard.high.saturating_sub(guard.low).max(0)),
            step: (guard.step != 1).then(|| words.add(guard.step)),
        }
    }

    /// The condition at a lane of a point. Subtraction wraps, so one comparison tests both ends.
    pub(crate) fn at(&self, point: &Point, lane: usize) -> String {
        let distance = format!("({} - {})", self.index.at(point, lane), self.low);
        match &self.step {
            None => format!("({distance} < {})", self.span),
            Some(step) => format!("({distance} < {} && {distance} % {step} == 0u)", self.span),
        }
    }
}

#[cfg(test)]
mod tests {
    use wgrad_core::plan::Term;

    use super::{Guard, Index, Lanes, guard_is_same, lanes};

    fn index(offset: i64, terms: &[(i64, usize, usize, Option<usize>)]) -> Index {
        let term = |&(coefficient, axis, divisor, modulus): &_| Term { coefficient, axis, divisor, modulus };
        Index { offset, terms: terms.iter().map(term).collect() }
    }

    #[test]
    fn four_lanes() {
        let along = |index: &Index| lanes(index, Some(1));
        assert_eq!(along(&index(8, &[(12, 0, 1, None), (1, 1, 1, None)])), Lanes::Consecutive);
        assert_eq!(along(&index(9, &[(12, 0, 1, None), (1, 1, 1, None)])), Lanes::Apart);
        assert_eq!(along(&index(8, &[(10, 0, 1, None), (1, 1, 1, None)])), Lanes::Apart);
        assert_eq!(along(&index(9, &[(3, 0, 1, None)])), Lanes::Same);
        assert_eq!(along(&index(0, &[(2, 1, 1, None)])), Lanes::Apart);
        assert_eq!(along(&index(0, &[(1, 1, 1, Some(8))])), Lanes::Consecutive);
        assert_eq!(along(&index(0, &[(1, 1, 1, Some(6))])), Lanes::Apart);
        assert_eq!(along(&index(1, &[(5, 1, 4, None)])), Lanes::Same);
        assert_eq!(along(&index(0, &[(5, 1, 2, None)])), Lanes::Apart);
        assert_eq!(lanes(&index(1, &[(5, 1, 2, None)]), None), Lanes::Same);
    }

    #[test]
    fn guards() {
        let guard = |low, high, step| Guard { index: index(0, &[(1, 1, 1, None)]), low, high, step };
        assert!(guard_is_same(&guard(4, 8, 1), Some(1)));
        assert!(!guard_is_same(&guard(3, 8, 1), Some(1)));
        assert!(!guard_is_same(&guard(4, 8, 2), Some(1)));
        assert!(guard_is_same(&guard(3, 7, 2), Some(0)));
    }
}
