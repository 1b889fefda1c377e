// A matrix product, a subgroup for each tile: every lane loads a part of the left operand, which reaches the others through
// shuffles with literal lanes (free on lavapipe), and keeps its own columns in registers. All unrolled lines are generated; the
// lines here are the case of one row.

//# hole standalone
@group(0) @binding(0) var<uniform> args: array<vec4u, 2>;
@group(0) @binding(1) var<storage, read> b0: array<vec4f>;
@group(0) @binding(2) var<storage, read> b1: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> b2: array<vec4f>;
@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
    part(id.x, lane, 0u);
}
//# end

fn part(group: u32, lane: u32, at: u32) {
    //# hole names
    let k_end = args[at + 1u].z;
    //# end
    // Which tile, addresses that do not change, and the accumulators.
    //# hole start
    let k_start = 0u;
    var acc0_0 = vec4f(0.0);
    //# end
    for (var p = k_start; p < k_end; p += 4u) {
        //# hole four
        let a0 = b0[(lane * k_end + p) >> 2u];
        let s0 = subgroupShuffle(a0, 0u);
        let b0_0 = b1[p * 8u + lane];
        let b1_0 = b1[(p + 1u) * 8u + lane];
        let b2_0 = b1[(p + 2u) * 8u + lane];
        let b3_0 = b1[(p + 3u) * 8u + lane];
        acc0_0.x = acc0_0.x + s0.x * b0_0.x + s0.y * b1_0.x + s0.z * b2_0.x + s0.w * b3_0.x;
        acc0_0.y = acc0_0.y + s0.x * b0_0.y + s0.y * b1_0.y + s0.z * b2_0.y + s0.w * b3_0.y;
        acc0_0.z = acc0_0.z + s0.x * b0_0.z + s0.y * b1_0.z + s0.z * b2_0.z + s0.w * b3_0.z;
        acc0_0.w = acc0_0.w + s0.x * b0_0.w + s0.y * b1_0.w + s0.z * b2_0.w + s0.w * b3_0.w;
        //# end
    }
    //# hole epilogue
    b2[group * 8u + lane] = acc0_0;
    //# end
}
