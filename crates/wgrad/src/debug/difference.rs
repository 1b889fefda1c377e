//! The derivative of a function of one number from its values, and what can be said against it.
//!
//! The central difference `D(h) = (φ(h) - φ(-h))/2h` is off by `h²φ‴/6 + …` because it is no limit, and by about `ε|φ|/h`
//! because φ is rounded. Of two differences with steps `h` and `h/4` the combination `(16 D(h/4) - D(h))/15` cancels the first
//! term (Richardson 1911). Combinations from neighbouring pairs of steps agree where a function is smooth, and how far they do
//! not agree is the uncertainty. Of many steps the pair counts that agrees best: large ones fail because of curvature and of
//! kinks near the point, small ones because of rounding.
//!
//! At a kink central differences agree with each other, on the mean of both sides. There the one-sided differences part by the
//! same amount however small the step; at a smooth point by `hφ″`, which vanishes.

use crate::Error;

/// Ratio of a step to the next one.
const RATIO: f64 = 4.0;
/// Steps that most derivatives need.
const STEPS_FEW: usize = 3;
/// Steps taken where those do not settle it. The last is 1e6 times smaller than the first.
const STEPS_ALL: usize = 11;
/// How much larger than the first of the few the first of all is.
const START_ALL: f64 = 8.0;
/// Roundings of the function's value that its own error is taken for.
const ROUNDINGS: f64 = 32.0;
/// Uncertainties that a derivative may be off before it counts as wrong and not as unsettled.
const CONFIDENCE: f64 = 10.0;

/// How a derivative compares with differences.
///
/// ```
/// use wgrad::debug::{GradVerdict, gradcheck};
/// # use wgrad::{Builder, Entry, Fetch, Init, Program, Role, TensorType};
///
/// # let builder = Builder::new();
/// # let w = builder.variable("w", TensorType::f32([2]), Init::F32([0.0, 1.0].into()), Role::Parameter)?;
/// # let fetches = vec![Fetch { name: "loss".to_owned(), node: w.relu()?.sum_all()?.id() }];
/// # let entry = Entry { name: "loss".to_owned(), feeds: vec![], fetches, updates: vec![] };
/// # let program = Program { graph: builder.into_graph(), entries: vec![entry] };
/// // The sum of relu(w) where an element of w is 0: its derivative is 0 from the left and 1 from the right.
/// let report = gradcheck(&program, &[])?;
/// assert_eq!(report.rows[0].verdict, GradVerdict::NotSmooth);
/// assert!(report.passes(), "a matter of convention is no mistake");
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GradVerdict {
    /// They agree.
    Correct,
    /// The function has a kink, a jump or a pole so near that differences say nothing: they disagree with each other by more than
    /// with the derivative, or the derivatives from both sides differ.
    NotSmooth,
    /// Differences agree with each other, and not with the derivative.
    Wrong,
}

/// A derivative measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Slope {
    /// The derivative by differences.
    pub(super) value: f64,
    /// How far differences of other steps are from it.
    pub(super) uncertainty: f64,
    /// How far the derivatives from the right and from the left differ.
    pub(super) jump: f64,
    /// What rounding of the function may have contributed.
    pub(super) rounding: f64,
}

/// The size of steps and the deviation allowed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steps {
    /// The first step.
    pub(super) first: f64,
    /// Deviation allowed, relative to the scale.
    pub(super) tolerance: f64,
    /// The least size that derivatives are compared at.
    pub(super) scale: f64,
}

/// Holds a derivative at 0 against differences of `function`, whose value at 0 is `here`.
pub(super) fn judge(
    analytic: f64,
    here: f64,
    steps: Steps,
    mut function: impl FnMut(f64) -> Result<f64, Error>,
) -> Result<(GradVerdict, Slope), Error> {
    let allowed =
        |slope: &Slope| steps.tolerance * steps.scale.max(analytic.abs()).max(slope.value.abs()) + slope.rounding;
    let slope = measure(here, steps.first, STEPS_FEW, &mut function)?;
    if (slope.value - analytic).abs() + slope.uncertainty <= allowed(&slope) {
        return Ok((GradVerdict::Correct, slope));
    }
    let slope = measure(here, steps.first * START_ALL, STEPS_ALL, &mut function)?;
    let deviation = (slope.value - analytic).abs();
    let unsettled = CONFIDENCE * slope.uncertainty + slope.jump.abs();
    let verdict = if deviation <= allowed(&slope) {
        GradVerdict::Correct
    } else if deviation <= unsettled + allowed(&slope) || !slope.value.is_finite() {
        GradVerdict::NotSmooth
    } else {
        GradVerdict::Wrong
    };
    Ok((verdict, slope))
}

/// The derivative at 0, from so many steps of which each is a quarter of the one before.
fn measure(
    here: f64,
    first: f64,
    count: usize,
    function: &mut impl FnMut(f64) -> Result<f64, Error>,
) -> Result<Slope, Error> {
    let mut step = first;
    let mut differences = Vec::with_capacity(count);
    for _ in 0..count {
        let (right, left) = (function(step)?, function(-step)?);
        let part = (right - here) / step - (here - left) / step;
        differences.push((step, (right - left) / (2.0 * step), part));
        step /= RATIO;
    }
    let pairs: Vec<(f64, f64, f64)> = differences
        .windows(2)
        .map(|pair| {
            let ((_, wide, wide_part), (step, narrow, part)) = (pair[0], pair[1]);
            let value = (RATIO * RATIO * narrow - wide) / (RATIO * RATIO - 1.0);
            let jump = (RATIO * part - wide_part) / (RATIO - 1.0);
            (step, value, jump)
        })
        .collect();
    let mut best = Slope { value: f64::NAN, uncertainty: f64::INFINITY, jump: 0.0, rounding: 0.0 };
    for neighbours in pairs.windows(2) {
        let ((_, before, _), (step, value, jump)) = (neighbours[0], neighbours[1]);
        let rounding = ROUNDINGS * f64::EPSILON * here.abs() / step;
        let uncertainty = (value - before).abs();
        // NaN, where the function has no value, is never better.
        if uncertainty + rounding < best.uncertainty + best.rounding {
            best = Slope { value, uncertainty, jump, rounding };
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::{GradVerdict, Steps, judge};

    const STEPS: Steps = Steps { first: 1e-3, tolerance: 1e-6, scale: 0.0 };

    fn verdict(analytic: f64, function: impl Fn(f64) -> f64) -> GradVerdict {
        judge(analytic, function(0.0), STEPS, |x| Ok(function(x))).unwrap().0
    }

    #[test]
    fn smooth_functions_are_measured_to_many_digits() {
        type Case = (f64, fn(f64) -> f64);
        let functions: [Case; 5] = [
            (1.0, f64::exp),
            (2.0, |x| 1.0 + (2.0 * x).tanh()),
            (0.0, f64::cos),
            (500.0, |x| (500.0 * x).sin() + 3.0),
            (1e-7, |x| 1e-7 * x - 1.0),
        ];
        for (number, (derivative, function)) in functions.into_iter().enumerate() {
            assert_eq!(verdict(derivative, function), GradVerdict::Correct, "{number}");
            assert_eq!(verdict(derivative * 1.001 + 1e-4, function), GradVerdict::Wrong, "{number}");
        }
    }

    #[test]
    fn a_kink_at_the_point_is_no_error_within_both_sides() {
        let relu = |x: f64| x.max(0.0) + 1.0;
        for subgradient in [0.0, 1.0, 0.3] {
            assert_eq!(verdict(subgradient, relu), GradVerdict::NotSmooth, "{subgradient}");
        }
        assert_eq!(verdict(0.5, relu), GradVerdict::Correct);
        assert_eq!(verdict(2.0, relu), GradVerdict::Wrong);
    }

    /// A kink further away than the smallest steps does not matter.
    #[test]
    fn a_kink_beside_the_point_is_stepped_over() {
        let relu = |x: f64| (x + 1e-5).max(0.0) + 3.0 * x;
        assert_eq!(verdict(4.0, relu), GradVerdict::Correct);
        assert_eq!(verdict(3.0, relu), GradVerdict::Wrong);
    }

    #[test]
    fn jumps_and_poles_are_not_smooth() {
        assert_eq!(verdict(0.0, |x: f64| x.signum()), GradVerdict::NotSmooth);
        assert_eq!(verdict(1.0, |x: f64| if x == 0.0 { 0.0 } else { f64::NAN }), GradVerdict::NotSmooth);
        assert_eq!(verdict(0.0, |x: f64| x.abs().sqrt() + x), GradVerdict::NotSmooth);
    }
}
