//! Defects of drivers and translators that kernels go around, each in a few lines of WGSL, which run here without this library.
//!
//! The list is exact for the drivers that it names. A reproduction that no longer goes wrong fails the test: the defect is mended
//! in that version, and the way around it may be dropped. So does one that goes wrong on a driver for which it is not listed.

mod machine;

use machine::{Driver, Machine};

/// Whether WGSL promises what a driver does not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It does: this is wrong.
    Wrong,
    /// It does not: kernels merely need better.
    Allowed,
}

#[derive(Debug)]
struct Defect {
    title: &'static str,
    /// Whose it is.
    of: &'static str,
    verdict: Verdict,
    /// The drivers on which it shows, with the versions seen.
    on: &'static [(Driver, &'static str)],
    /// What kernels do instead.
    instead: &'static str,
    /// What goes wrong, if it does.
    reproduce: fn(&Machine) -> Option<String>,
}

const MESA: &str = "Mesa 22.3.6 with LLVM 15.0.6";
const CHROMIUM: &str = "of Chromium 148";
const MESA_BOTH: &[(Driver, &str)] = &[(Driver::Lavapipe, MESA), (Driver::LlvmpipeGl, MESA)];
const SWIFTSHADER: &[(Driver, &str)] = &[(Driver::SwiftShader, CHROMIUM)];
const VULKAN: &[(Driver, &str)] = &[(Driver::Lavapipe, MESA), (Driver::SwiftShader, CHROMIUM)];
const EVERYWHERE: &[(Driver, &str)] =
    &[(Driver::Lavapipe, MESA), (Driver::SwiftShader, CHROMIUM), (Driver::LlvmpipeGl, MESA)];

const DEFECTS: &[Defect] = &[
    Defect {
        title: "loops end after 65,535 iterations",
        of: "Mesa: LP_MAX_TGSI_LOOP_ITERATIONS",
        verdict: Verdict::Wrong,
        on: MESA_BOTH,
        instead: "sums are cut into pieces: LOOP_ITERATIONS_MAX in device.rs",
        reproduce: |machine| loops(machine, 70_000),
    },
    Defect {
        title: "branches nested deeper than 80 are not taken apart",
        of: "Mesa: LP_MAX_TGSI_NESTING",
        verdict: Verdict::Wrong,
        on: MESA_BOTH,
        instead: "a dispatch has few kernels, which are told apart by a chain of `else if`",
        reproduce: |machine| branches(machine, 90),
    },
    Defect {
        title: "`!=` is false for NaN",
        of: "naga 30: OpFOrdNotEqual where OpFUnordNotEqual is meant",
        verdict: Verdict::Allowed,
        on: VULKAN,
        instead: "ne_f32 and is_nan_f32 of math.wgsl",
        reproduce: |machine| value(machine, "y = select(0.0, 1.0, x != x)", f32::NAN, 1.0),
    },
    Defect {
        title: "floats above the range of u32 wrap around when converted",
        of: "naga 30: a plain conversion in GLSL",
        verdict: Verdict::Wrong,
        on: &[(Driver::LlvmpipeGl, MESA)],
        instead: "truncate_f32 of math.wgsl",
        reproduce: |machine| value(machine, "y = f32(u32(x))", 5e9, 4_294_967_040.0),
    },
    Defect {
        title: "max of NaN and a number is the number",
        of: "the driver",
        verdict: Verdict::Allowed,
        on: EVERYWHERE,
        instead: "max_f32, min_f32 and relu_f32 of math.wgsl",
        reproduce: |machine| value(machine, "y = max(x, 1.0)", f32::NAN, f32::NAN),
    },
    Defect {
        title: "tanh of a large number is NaN",
        of: "the driver",
        verdict: Verdict::Wrong,
        on: SWIFTSHADER,
        instead: "tanh_f32 of math.wgsl",
        reproduce: |machine| value(machine, "y = tanh(x)", 100.0, 1.0),
    },
    Defect {
        title: "log of 0 is -88",
        of: "the driver",
        verdict: Verdict::Allowed,
        on: SWIFTSHADER,
        instead: "log_f32 of math.wgsl",
        reproduce: |machine| value(machine, "y = log(x)", 0.0, f32::NEG_INFINITY),
    },
    Defect {
        title: "tanh is inaccurate near 0",
        of: "the driver",
        verdict: Verdict::Allowed,
        on: EVERYWHERE,
        instead: "tanh_f32 of math.wgsl",
        reproduce: |machine| relative(machine, "y = tanh(x)", f64::tanh, [1e-3, 0.1]),
    },
    Defect {
        title: "log is inaccurate below 1",
        of: "the driver",
        verdict: Verdict::Allowed,
        on: EVERYWHERE,
        instead: "log_f32 of math.wgsl",
        reproduce: |machine| relative(machine, "y = log(x)", f64::ln, [0.99, 0.999]),
    },
    Defect {
        title: "exp is inaccurate far from 0",
        of: "the driver",
        verdict: Verdict::Allowed,
        on: EVERYWHERE,
        instead: "exp_f32 of math.wgsl",
        reproduce: |machine| relative(machine, "y = exp(x)", f64::exp, [40.0, 80.0]),
    },
    Defect {
        title: "sin is inaccurate",
        of: "the driver",
        verdict: Verdict::Allowed,
        on: SWIFTSHADER,
        instead: "sine_f32 of math.wgsl",
        reproduce: |machine| relative(machine, "y = sin(x)", f64::sin, [0.5, 1.5]),
    },
    Defect {
        title: "cos is inaccurate",
        of: "the driver",
        verdict: Verdict::Allowed,
        on: SWIFTSHADER,
        instead: "sine_f32 of math.wgsl",
        reproduce: |machine| relative(machine, "y = cos(x)", f64::cos, [0.1, 1.0]),
    },
];

/// Counts to a number that the compiler does not know.
fn loops(machine: &Machine, count: u32) -> Option<String> {
    let got = machine.map_integers("for (var n = 0u; n < x; n += 1u) { y += 1u; }", &[count])[0];
    (got != count).then(|| format!("a loop of {count} iterations counts {got}"))
}

/// Tells numbers apart by a chain of `else if`, each a branch within the one before.
fn branches(machine: &Machine, depth: u32) -> Option<String> {
    let chain: Vec<String> = (0..depth).map(|k| format!("if (x == {k}u) {{ y = {k}u + 1u; }}")).collect();
    let input: Vec<u32> = (0..depth).collect();
    let got = machine.map_integers(&chain.join(" else "), &input);
    let wrong = got.iter().zip(&input).find(|(got, x)| **got != **x + 1)?;
    Some(format!("branch {} of a chain of {depth} gives {}", wrong.1, wrong.0))
}

/// One value, NaN being equal to NaN.
fn value(machine: &Machine, body: &str, x: f32, wanted: f32) -> Option<String> {
    let got = machine.map(body, &[x])[0];
    let agrees = if wanted.is_nan() { got.is_nan() } else { got == wanted };
    (!agrees).then(|| format!("with x = {x:e}, `{body}` gives {got:e}, not {wanted:e}"))
}

/// The largest relative error on a grid: eight roundings are what a function in kernels may have.
fn relative(machine: &Machine, body: &str, function: fn(f64) -> f64, [low, high]: [f32; 2]) -> Option<String> {
    const POINTS: u16 = 4096;
    let grid: Vec<f32> = (0..POINTS).map(|i| low + (high - low) * f32::from(i) / f32::from(POINTS)).collect();
    let got = machine.map(body, &grid);
    let error = |(x, got): (&f32, &f32)| {
        let wanted = function(f64::from(*x));
        ((f64::from(*got) - wanted) / wanted).abs()
    };
    let errors: Vec<f64> = grid.iter().zip(&got).map(error).collect();
    if errors.iter().any(|error| error.is_nan()) {
        return Some(format!("between {low} and {high}, `{body}` gives NaN"));
    }
    let worst = errors.into_iter().fold(0.0, f64::max);
    (worst > 8.0 * f64::from(f32::EPSILON) / 2.0)
        .then(|| format!("between {low} and {high}, `{body}` is off by {worst:.1e} of its value"))
}

fn machines() -> Vec<Machine> {
    let machines = Machine::all();
    if machines.is_empty() {
        assert!(std::env::var_os("WGRAD_REQUIRE_GPU").is_none(), "WGRAD_REQUIRE_GPU is set, but there is no adapter");
        println!("SKIPPED: no GPU adapter");
    }
    machines
}

#[test]
fn the_list_is_exact() {
    let mut failures = vec![];
    for machine in machines() {
        println!("{machine}");
        for Defect { title, of, verdict, on, instead, reproduce } in DEFECTS {
            let found = reproduce(&machine);
            let listed = on.iter().find(|(driver, _)| machine.driver() == Some(*driver));
            if let Some(found) = &found {
                println!("  {title} ({of}, {verdict:?}): {found}");
            }
            match (machine.driver(), listed, found) {
                (Some(_), None, Some(found)) => {
                    failures.push(format!("{machine}: {title}, which is not listed: {found}"));
                }
                (Some(_), Some((driver, seen)), None) => failures.push(format!(
                    "{machine}: not so any more that {title}, as listed for {driver:?} ({seen}). Take it off the list, and see \
                     whether this is still needed: {instead}"
                )),
                // Nothing is listed for other adapters; what they do is only told.
                _ => {}
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The same programs with harmless numbers: what is reported above is not the doing of this test.
#[test]
fn harmless_numbers_do_no_harm() {
    for machine in machines() {
        let found = [
            loops(&machine, 1000),
            branches(&machine, 16),
            value(&machine, "y = select(0.0, 1.0, x != x)", 1.0, 0.0),
            value(&machine, "y = f32(u32(x))", 7.9, 7.0),
            value(&machine, "y = max(x, 1.0)", 3.0, 3.0),
            value(&machine, "y = x", f32::NAN, f32::NAN),
            relative(&machine, "y = x * 3.0", |x| x * 3.0, [0.5, 80.0]),
            relative(&machine, "y = sqrt(x)", f64::sqrt, [0.5, 80.0]),
        ];
        assert_eq!(found, [const { None }; 8], "{machine}");
        assert!(loops(&machine, 0).is_none() && value(&machine, "y = x", 1.0, 2.0).is_some(), "{machine}");
        assert!(relative(&machine, "y = x * 3.0", |x| x * 3.001, [0.5, 80.0]).is_some(), "{machine}");
    }
}
