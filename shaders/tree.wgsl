// Folds over a workgroup of 64 in a fixed order, in workgroup memory. Every invocation of the workgroup must call them.

//# hole standalone
var<workgroup> scratch: array<vec4f, 512>;
//# end

fn tree_sum(x: f32, lane: u32) -> f32 {
    scratch[lane] = vec4f(x);
    workgroupBarrier();
    for (var half = 32u; half > 0u; half >>= 1u) {
        if (lane < half) {
            scratch[lane] += scratch[lane + half];
        }
        workgroupBarrier();
    }
    let total = scratch[0u].x;
    workgroupBarrier();
    return total;
}

fn tree_max(x: f32, lane: u32) -> f32 {
    scratch[lane] = vec4f(x);
    workgroupBarrier();
    for (var half = 32u; half > 0u; half >>= 1u) {
        if (lane < half) {
            scratch[lane] = vec4f(tree_larger(scratch[lane].x, scratch[lane + half].x));
        }
        workgroupBarrier();
    }
    let total = scratch[0u].x;
    workgroupBarrier();
    return total;
}

fn tree_min(x: f32, lane: u32) -> f32 {
    return -tree_max(-x, lane);
}

fn tree_larger(a: f32, b: f32) -> f32 {
    let b_is_nan = (bitcast<u32>(b) & 0x7fffffffu) > 0x7f800000u;
    let a_is_nan = (bitcast<u32>(a) & 0x7fffffffu) > 0x7f800000u;
    return select(select(max(a, b), b, b_is_nan), a, a_is_nan);
}
