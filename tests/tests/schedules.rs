//! What schedules promise: values that training can use, at every update, and the same in any order of asking.

use wgrad::schedule::{
    Chain, Constant, Cosine, Curve, InverseSqrt, Linear, MultiStep, Polynomial, Schedule, StepDecay, WarmRestarts,
};
use wgrad_tests::docs::examples::examples;
use wgrad_tests::sample::Random;

/// Rounding of values between two that are exact.
const ROUNDING: f64 = 1e-14;

#[test]
fn values_are_finite_and_within_their_bounds() {
    for example in examples() {
        let schedule = &example.schedule;
        schedule.validate().unwrap();
        let allowed = 0.0..=schedule.curve().highest() * (1.0 + ROUNDING);
        let far = (0..64).flat_map(|bit| [1 << bit, (1 << bit) - 1]).chain([u64::MAX]);
        for t in (0..=1_000_000).chain(far) {
            let value = schedule.value(t);
            assert!(value.is_finite() && allowed.contains(&value), "{} at {t} is {value}", example.caption);
        }
    }
}

#[test]
fn order_of_asking_does_not_matter() {
    let mut random = Random::new(7);
    for example in examples() {
        let forward: Vec<f64> = (0..=500).map(|t| example.schedule.value(t)).collect();
        let mut order: Vec<usize> = (0..forward.len()).collect();
        order.sort_by_cached_key(|_| random.below(u32::MAX));
        for t in order {
            assert_eq!(example.schedule.value(t as u64).to_bits(), forward[t].to_bits(), "{} at {t}", example.caption);
        }
    }
}

/// Where a piece of a chain ends, the next one starts.
fn gaps(chain: &Chain) -> Vec<f64> {
    let next = chain.pieces[1..].iter().map(|(schedule, _)| schedule).chain([&*chain.last]);
    chain.pieces.iter().zip(next).map(|((piece, steps), next)| (piece.value(*steps) - next.value(0)).abs()).collect()
}

#[test]
fn chains_are_continuous_and_count_from_their_starts() {
    let mut random = Random::new(11);
    let mut checked = 0;
    for _ in 0..200 {
        let [warmup, stable, decay] = [(); 3].map(|()| 1 + u64::from(random.below(1_000)));
        let peak = random.range(0.001, 1.0);
        let held = Cosine { periodic: false, ..Cosine::new(peak, decay) };
        for chain in [
            Chain::warmup(warmup, held),
            Chain::warmup(warmup, Polynomial::new(peak, decay)),
            Chain::warmup(warmup, InverseSqrt { initial: peak }),
            Chain::warmup_stable_decay(peak, warmup, stable, decay),
        ] {
            for gap in gaps(&chain) {
                assert!(gap <= ROUNDING * peak, "a gap of {gap} in {chain:?}");
            }
            let ends: Vec<u64> = chain
                .pieces
                .iter()
                .scan(0, |end, (_, steps)| {
                    *end += steps;
                    Some(*end)
                })
                .collect();
            let schedule: Schedule = chain.clone().into();
            let total = *ends.last().unwrap();
            assert_eq!(schedule.value(total), chain.last.value(0));
            assert_eq!(schedule.value(total + decay), chain.last.value(decay));
            assert_eq!(schedule.value(ends[0] - 1), chain.pieces[0].0.value(warmup - 1));
            checked += 1;
        }
    }
    assert_eq!(checked, 800);
    let broken = Chain::new([(Constant { value: 0.1 }.into(), 5)], Constant { value: 0.2 });
    assert!(gaps(&broken)[0] > 0.05, "a jump is seen");
}

/// Schedules in a chain may be chains, and numbers of updates may be as large as they come.
#[test]
fn chains_nest() {
    let inner = Chain::new([(Constant { value: 1.0 }.into(), 2)], Constant { value: 2.0 });
    let outer: Schedule =
        Chain::new([(inner.into(), 3), (Constant { value: 3.0 }.into(), u64::MAX)], Constant { value: 4.0 }).into();
    assert_eq!([0, 1, 2, 3, u64::MAX].map(|t| outer.value(t)), [1.0, 1.0, 2.0, 3.0, 3.0]);
}

/// What happens after the end is part of the definition.
#[test]
fn ends() {
    let cosine = Cosine { end: 0.01, ..Cosine::new(0.1, 100) };
    let held = Cosine { periodic: false, ..cosine };
    assert_eq!([100, 101, u64::MAX].map(|t| held.value(t)), [0.01; 3]);
    for t in 0..100 {
        assert_eq!(cosine.value(100 + t), cosine.value(100 - t), "it rises as it fell");
        assert_eq!(cosine.value(200 + t), cosine.value(t), "and starts over");
    }
    assert_eq!(Linear::new(0.5, 0.25, 10).value(u64::MAX), 0.25);
    assert_eq!(StepDecay { gamma: 0.5, ..StepDecay::new(1.0, 10) }.value(29), 0.25);
    assert_eq!(MultiStep { gamma: 0.5, ..MultiStep::new(1.0, [9, 3, 3]) }.value(8), 0.25);
    let restarts = WarmRestarts { growth: 2, ..WarmRestarts::new(1.0, 10) };
    assert_eq!([0, 10, 30, 70].map(|t| restarts.value(t)), [1.0; 4]);
    assert_eq!([5, 20, 50].map(|t| restarts.value(t)), [restarts.value(5); 3]);
}
