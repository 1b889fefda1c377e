//! Messages of schedules out of range, values by hand, and what a plateau does.

use super::*;

fn message(schedule: impl Into<Schedule>) -> String {
    schedule.into().validate().unwrap_err().to_string()
}

#[test]
fn errors_name_schedule_field_value_and_range() {
    assert_eq!(
        message(Constant { value: f64::NAN }),
        "constant schedule: value is NaN, but must be at least 0 and finite"
    );
    assert_eq!(
        message(Geometric { initial: 0.1, gamma: 1.1 }),
        "geometric schedule: gamma is 1.1, but must be at least 0 and at most 1"
    );
    assert_eq!(message(Cosine::new(0.1, 0)), "cosine schedule: steps is 0, but must be at least 1");
    assert_eq!(
        message(Polynomial { power: 0.0, ..Polynomial::new(0.1, 1) }),
        "polynomial schedule: power is 0, but must be above 0 and finite"
    );
    assert_eq!(
        message(Cyclic { shape: CyclicShape::ExpRange { gamma: -1.0 }, ..Cyclic::new(0.1, 0.2) }),
        "cyclic schedule: shape.gamma is -1, but must be at least 0 and at most 1"
    );
    assert_eq!(
        message(OneCycle { three_phase: true, rising: 0.6, ..OneCycle::new(0.1, 100) }),
        "one-cycle schedule: rising is 0.6, but must be at most 0.5, because three_phase is set"
    );
    assert_eq!(
        message(Piecewise { initial: 0.1, changes: vec![(5, 0.2), (5, 0.3)] }),
        "piecewise schedule: changes is 5, but must be at a later update than the change before"
    );
    assert_eq!(
        message(Piecewise { initial: 0.1, changes: vec![(5, -0.2)] }),
        "piecewise schedule: changes is -0.2, but must be at least 0 and finite"
    );
    assert_eq!(
        message(Chain::new([(Constant { value: 0.1 }.into(), 0)], Constant { value: 0.1 })),
        "chain of schedules: pieces is 0, but must be at least 1"
    );
    assert_eq!(message(Chain::warmup(10, Cosine::new(0.1, 0))), "cosine schedule: steps is 0, but must be at least 1");
    assert_eq!(
        ReduceOnPlateau { factor: 1.0, ..ReduceOnPlateau::default() }.validate().unwrap_err().to_string(),
        "plateau: factor is 1, but must be at least 0 and below 1"
    );
}

/// What is out of range is refused, and asking for its values nevertheless ends.
#[test]
fn nothing_out_of_range_panics() {
    let piece = |schedule: Schedule| (schedule, 0);
    let schedules: [Schedule; 8] = [
        Cosine::new(0.1, 0).into(),
        WarmRestarts { growth: 2, ..WarmRestarts::new(0.1, 0) }.into(),
        WarmRestarts { growth: 0, ..WarmRestarts::new(0.1, 0) }.into(),
        StepDecay::new(0.1, 0).into(),
        Cyclic { up: 0, down: 0, ..Cyclic::new(0.1, 0.2) }.into(),
        OneCycle::new(0.1, 0).into(),
        Warmup { peak: 0.1, steps: 0 }.into(),
        Chain::new([piece(Linear::new(0.0, 0.1, 0).into())], InverseSqrtWarmup { peak: 0.1, warmup: 0 }).into(),
    ];
    for schedule in schedules {
        assert!(schedule.validate().is_err(), "{schedule:?}");
        for t in [0, 1, u64::MAX] {
            schedule.value(t);
        }
    }
}

#[test]
fn the_transformer_schedule_is_that_of_its_paper() {
    let schedule = InverseSqrtWarmup::transformer(512, 4000);
    for t in [0, 1, 3998, 3999, 4000, 100_000] {
        let s = t as f64 + 1.0;
        let paper = 512_f64.powf(-0.5) * s.powf(-0.5).min(s * 4000_f64.powf(-1.5));
        assert!((schedule.value(t) - paper).abs() <= 1e-14 * paper, "{t}");
    }
}

#[test]
fn warm_up_stable_decay_by_hand() {
    let schedule: Schedule = Chain::warmup_stable_decay(1.0, 4, 10, 16).into();
    let values = [0, 1, 3, 4, 13, 14, 15, 18, 23, 30, 31].map(|t| schedule.value(t));
    assert_eq!(values, [0.25, 0.5, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0]);
}

#[test]
fn one_cycle_holds_its_end() {
    for cycle in [OneCycle::new(1.0, 100), OneCycle { three_phase: true, ..OneCycle::new(1.0, 100) }] {
        let highest = (0..100).map(|t| cycle.value(t)).fold(0.0, f64::max);
        assert_eq!([cycle.value(0), highest, cycle.value(29)], [0.04, 1.0, 1.0]);
        assert_eq!([99, 100, u64::MAX].map(|t| cycle.value(t)), [cycle.end; 3]);
        let momentum = cycle.counterpart(0.85, 0.95);
        assert_eq!([0, 29, 99, 200].map(|t| momentum.value(t)), [0.95, 0.85, 0.95, 0.95]);
    }
    let at_once = OneCycle { rising: 0.0, ..OneCycle::new(1.0, 100) };
    assert_eq!(at_once.value(0), 1.0);
    assert_eq!(OneCycle::new(1.0, 1).value(0), 1.0 / 25.0 / 1e4);
}

/// Metrics that never improve, at a rate that a schedule changes meanwhile.
#[test]
fn a_plateau_respects_its_lowest_rate_under_a_schedule() {
    let plateau = ReduceOnPlateau { factor: 0.5, patience: 0, min_rate: 0.03, ..ReduceOnPlateau::default() };
    plateau.validate().unwrap();
    let first = plateau.observe(plateau.start(), 1.0, 0.1);
    assert_eq!(first, PlateauState { best: 1.0, ..plateau.start() });
    let second = plateau.observe(first, 1.0, 0.1);
    assert_eq!(second.factor, 0.5);
    let third = plateau.observe(second, 1.0, 0.1);
    assert_eq!(third.factor, 0.03 / 0.1, "not below the lowest rate");
    for rate in [0.1, 0.05, 0.0] {
        assert_eq!(plateau.observe(third, 1.0, rate).factor, third.factor, "it lowers no further, and never raises");
    }
    assert_eq!(plateau.observe(third, 1.0, 0.2).factor, third.factor / 2.0, "the schedule has made room");
}

#[test]
fn metrics_that_are_not_numbers_are_bad() {
    for goal in [Goal::Lower, Goal::Higher] {
        let plateau = ReduceOnPlateau { goal, patience: 1, ..ReduceOnPlateau::default() };
        let state = plateau.observe(plateau.start(), f64::NAN, 1.0);
        assert_eq!(state, PlateauState { bad: 1, ..plateau.start() });
        assert_eq!(plateau.observe(state, f64::NAN, 1.0).factor, 0.1);
    }
}
