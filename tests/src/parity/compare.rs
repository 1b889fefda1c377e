//! Holding one result against the oracle's intervals.

use wgrad_cpu_ref::oracle::Bounded;

use super::report::{Outcome, Worst};

/// Compares a result with what the oracle allows. NaN passes nowhere: the corpus has no operation outside of its domain, so that
/// a NaN, the oracle's included, is always a mistake.
pub fn compare(got: &[f64], wanted: &Bounded) -> Outcome {
    let mut outcome = Outcome { elements: wanted.len(), ..Outcome::default() };
    if got.len() != wanted.len() {
        outcome.failure = Some(format!("{} elements, {} wanted", got.len(), wanted.len()));
        return outcome;
    }
    for (i, (&got, wanted)) in got.iter().zip(wanted.iter()).enumerate() {
        let error = if got == wanted.value { 0.0 } else { (got - wanted.value).abs() };
        let bound = wanted.error();
        let failure = if wanted.value.is_nan() {
            Some(format!("element {i} of the oracle is NaN: the data are outside of the operation's domain"))
        } else if got.is_nan() {
            Some(format!("element {i} is NaN, but the oracle's is {:e}", wanted.value))
        } else if !wanted.allows(got) {
            Some(format!(
                "element {i} is {got:e}, but the oracle's is {:e}, and in f32 it must be within [{:e}, {:e}]",
                wanted.value, wanted.low, wanted.high
            ))
        } else {
            None
        };
        outcome.failure = outcome.failure.take().or(failure);
        if wanted.is_anything() {
            outcome.skipped += 1;
            continue;
        }
        let share = if error == 0.0 || is_as_good_as_can_be(got, wanted.value) { 0.0 } else { error / bound };
        let worst = Worst { error, bound, share, element: i };
        if worst.beats(outcome.worst.as_ref()) {
            outcome.worst = Some(worst);
        }
    }
    // A case that is mostly skipped would pass whatever the backend does.
    if outcome.skipped * 20 > outcome.elements && outcome.failure.is_none() {
        outcome.failure = Some(format!(
            "the oracle promises nothing about {} of {} elements: the case checks too little",
            outcome.skipped, outcome.elements
        ));
    }
    outcome
}

/// Magnitudes below which results depend on what a backend makes of subnormal numbers, which it may flush.
const FLUSHED: f64 = 1e-35;

/// Whether a result tells nothing about how much of its bound a computation needs: it is the f32 nearest to the oracle's value, which
/// of a constant is all the bound allows, or so small that flushing decides.
fn is_as_good_as_can_be(got: f64, value: f64) -> bool {
    got == f64::from(value as f32) || (got.abs() < FLUSHED && value.abs() < FLUSHED)
}

#[cfg(test)]
mod tests {
    use wgrad_core::EntryId;
    use wgrad_cpu_ref::oracle::{Bounded, Value};
    use wgrad_cpu_ref::{Oracle, OracleFeed};

    use super::compare;
    use crate::corpus::Case;
    use crate::sample::{Domain, Input};

    fn exact(values: &[f64]) -> Bounded {
        Bounded::exact(Value::F64(values.to_vec()))
    }

    #[test]
    fn nan_never_passes() {
        assert_eq!(compare(&[1.0, 2.0], &exact(&[1.0, 2.0])).failure, None);
        for (got, wanted) in
            [([1.0, f64::NAN], [1.0, 2.0]), ([1.0, 2.0], [1.0, f64::NAN]), ([1.0, f64::NAN], [1.0, f64::NAN])]
        {
            let failure = compare(&got, &exact(&wanted)).failure;
            assert!(failure.as_ref().is_some_and(|text| text.contains("NaN")), "{got:?} for {wanted:?}: {failure:?}");
        }
    }

    /// One infinity minus another, in an element of forty: a backend may give anything but NaN.
    #[test]
    fn nan_does_not_pass_where_nothing_is_promised() {
        let case = Case::new("sub", "overflow", vec![Input::new([40], Domain::Range(0.0, 1.0))], |_, x| {
            x[0].exp()?.sub(x[0].mul(0.75)?.exp()?)
        });
        let mut x = vec![0.0; 40];
        x[7] = 200.0;
        let mut oracle = Oracle::new(&case.forward().unwrap()).unwrap();
        oracle.track_bounds(true);
        oracle.run(EntryId::from_index(0), &[OracleFeed::F64(&x)]).unwrap();
        let wanted = oracle.fetch_bound(EntryId::from_index(0), 0).unwrap();
        let mut got = vec![0.0; 40];
        for (value, passes) in [(f64::INFINITY, true), (0.0, true), (f64::NAN, false)] {
            got[7] = value;
            let outcome = compare(&got, wanted);
            assert_eq!((outcome.skipped, outcome.failure.is_none()), (1, passes), "{value}: {outcome:?}");
        }
    }

    #[test]
    fn infinities_have_to_be_met() {
        let wanted = exact(&[f64::INFINITY]);
        assert_eq!(compare(&[f64::INFINITY], &wanted).failure, None);
        assert!(compare(&[1.0], &wanted).failure.is_some());
        assert!(compare(&[f64::NEG_INFINITY], &wanted).failure.is_some());
    }

    #[test]
    fn the_worst_element_is_named() {
        let wanted = Bounded::input(Value::F64(vec![0.1, 0.2, 0.3]));
        let mut got = [0.1f32, 0.2, 0.3].map(f64::from);
        let outcome = compare(&got, &wanted);
        assert_eq!((outcome.failure, outcome.worst.map(|worst| worst.share)), (None, Some(0.0)), "rounded, no more");
        got[2] += 1e-3;
        let outcome = compare(&got, &wanted);
        assert!(outcome.failure.is_some());
        assert!(outcome.worst.is_some_and(|worst| worst.element == 2 && worst.share > 1.0), "{outcome:?}");
        assert!(compare(&got[..2], &wanted).failure.is_some(), "too few elements");
    }
}
