//! Comparison with the oracle.

use wgrad_core::plan::{Backend, PrepareOptions, Session, Source};
use wgrad_core::{EntryId, HostVec, Program, lower};
use wgrad_cpu_ref::{Oracle, OracleFeed};

use crate::common::modes;

/// Runs a program twice in every mode on the same feeds, the transient buffers filled with NaN before, and compares every fetch with
/// the oracle: `|difference| <= tolerance · (1 + |expected|)`.
pub(crate) fn check(what: &str, program: &Program, feeds: &[HostVec], tolerance: f64) {
    let entry = EntryId::from_index(0);
    let mut oracle = Oracle::new(program).expect("a valid program");
    let oracle_feeds: Vec<OracleFeed<'_>> = feeds
        .iter()
        .map(|f| match f {
            HostVec::F32(v) => OracleFeed::F32(v),
            HostVec::U32(v) => OracleFeed::U32(v),
        })
        .collect();
    oracle.run(entry, &oracle_feeds).expect("the oracle runs");
    let slices: Vec<_> = feeds.iter().map(HostVec::as_slice).collect();
    for (mode, backend) in modes() {
        let plan = lower(program, backend.target()).unwrap_or_else(|e| panic!("{what}: {e}"));
        let text = plan.to_string();
        let memory = plan.memory().total_bytes();
        let options = PrepareOptions { poison: true, ..PrepareOptions::default() };
        let mut session = backend.session(plan, options).unwrap_or_else(|e| panic!("{what}, {mode}: {e}\n{text}"));
        assert_eq!(session.counters().allocated_bytes, memory as u64, "{what}: memory report");
        for _ in 0..2 {
            session.run(entry, &slices).unwrap_or_else(|e| panic!("{what}, {mode}: {e}\n{text}"));
        }
        for fetch in 0..program.entries[0].fetches.len() {
            let got =
                session.read(Source::Fetch(entry, fetch)).unwrap_or_else(|e| panic!("{what}, {mode}: {e}\n{text}"));
            let expected = oracle.fetch(entry, fetch);
            let (got, expected): (Vec<f64>, Vec<f64>) = match got {
                // The oracle's range is larger.
                HostVec::F32(v) => {
                    (v.into_iter().map(f64::from).collect(), expected.iter().map(|&e| f64::from(e as f32)).collect())
                }
                HostVec::U32(v) => (v.into_iter().map(f64::from).collect(), expected.to_vec()),
            };
            assert_eq!(got.len(), expected.len(), "{what}, {mode}");
            for (i, (g, e)) in got.iter().zip(&expected).enumerate() {
                let same = (g.is_nan() && e.is_nan()) || g == e || (g - e).abs() <= tolerance * (1.0 + e.abs());
                assert!(
                    same,
                    "{what}, {mode}: fetch {fetch} element {i} is {g}, not {e} {:?}\n{text}",
                    feeds
                        .iter()
                        .map(|f| match f {
                            HostVec::F32(v) => v.get(i).copied().unwrap_or(0.0),
                            HostVec::U32(_) => 0.0,
                        })
                        .collect::<Vec<_>>()
                );
            }
        }
    }
}
