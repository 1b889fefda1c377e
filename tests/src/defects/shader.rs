//! Wrong WGSL, put in by rewriting the text of every module before it is compiled.

use wgrad_gpu::Module;

use super::{Change, Check, Defect};

const PARITY: &[Check] = &[Check::ParityOnGpu];

/// The text with one phrase in place of another.
macro_rules! replaced {
    ($from:literal => $to:literal) => {
        Change::Shader(|module: &Module| module.wgsl.replace($from, $to))
    };
}

pub(super) const LIST: &[Defect] = &[
    Defect {
        name: "sign of the sigmoid's exponent",
        account: "e^|x| overflows where e^-|x| would vanish",
        change: replaced!("(-abs(x))" => "(abs(x))"),
        cases: &["sigmoid: wide -80..80"],
        golden: &[],
        checks: PARITY,
    },
    Defect {
        name: "exponent not clamped",
        account: "2^n is made of bits of n, which are nonsense beyond the range",
        change: Change::Shader(|module| {
            let text = module.wgsl.replace("clamp(x, f32(-104.0), f32(89.0))", "x");
            text.replace("clamp(x, vec4f(-104.0), vec4f(89.0))", "x")
        }),
        cases: &["exp: wide -2000..20", "softmax: masked by -1e9"],
        golden: &[],
        checks: PARITY,
    },
    Defect {
        name: "last lane of the tail not written",
        account: "the mask of the last, incomplete four elements is one short",
        change: replaced!("let inside = vec4u(0u, 1u, 2u, 3u) < vec4u(" => "let inside = vec4u(1u, 2u, 3u, 4u) < vec4u("),
        cases: &["tanh: 37"],
        golden: &[],
        checks: PARITY,
    },
    Defect {
        name: "last terms of the product lost",
        account: "the loop in fours has no other one after it for what is left of k",
        change: replaced!("max(k_start, k_whole); p < k_end;" => "max(k_start, k_whole); p < k_whole;"),
        cases: &["matmul: NN 5x7x3"],
        golden: &[],
        checks: PARITY,
    },
    Defect {
        name: "tree ends one level early",
        account: "the last halving of a workgroup's fold is missing",
        change: replaced!("half > 0u; half >>= 1u" => "half > 1u; half >>= 1u"),
        cases: &["reduce_sum: 3x129 over [1]", "reduce_max: 3x129 over [1]"],
        golden: &[],
        checks: PARITY,
    },
    Defect {
        name: "maximum that starts from 0",
        account: "rows of negative numbers have the maximum 0",
        change: replaced!("bitcast<f32>(4286578688u | " => "bitcast<f32>(0u & "),
        cases: &["reduce_max: 4x3x5 over [1], kept"],
        golden: &[],
        checks: PARITY,
    },
    Defect {
        name: "wrong round constant",
        account: "one digit of a multiplier of Philox",
        change: replaced!("0xD2511F53u" => "0xD2511F35u"),
        cases: &["random_bits: 7"],
        golden: &[],
        checks: PARITY,
    },
    Defect {
        name: "one term too many",
        account: "where a tile goes past the end of k its last term counts twice",
        change: replaced!("u < k_end\n" => "u <= k_end\n"),
        cases: &["matmul: NN 63x65x64"],
        golden: &[],
        checks: PARITY,
    },
];
