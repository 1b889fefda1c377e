// A matrix product, each invocation on its own: a few rows by a few columns in registers, operands straight from memory. For
// small and skinny results and for any alignment; needs neither workgroup memory nor subgroups.

//# hole standalone
@group(0) @binding(0) var<uniform> args: array<vec4u, 2>;
@group(0) @binding(1) var<storage, read> b0: array<f32>;
@group(0) @binding(2) var<storage, read> b1: array<f32>;
@group(0) @binding(3) var<storage, read_write> b2: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    part(id.x, lane, 0u);
}
//# end

fn part(group: u32, lane: u32, at: u32) {
    //# hole names
    let count = args[at + 1u].x;
    let columns = args[at + 1u].y;
    let k_end = args[at + 1u].z;
    let k_whole = k_end & 0xfffffffcu;
    let size = 64u;
    //# end
    let item = group * size + lane;
    if (item < count) {
        // Which tile, and the accumulators.
        //# hole start
        let i = item / columns;
        let j = item % columns;
        let k_start = 0u;
        var acc0 = 0.0;
        //# end
        for (var p = k_start; p < k_whole; p += 4u) {
            //# hole four
            acc0 += b0[i * k_end + p] * b1[p * columns + j];
            acc0 += b0[i * k_end + p + 1u] * b1[(p + 1u) * columns + j];
            acc0 += b0[i * k_end + p + 2u] * b1[(p + 2u) * columns + j];
            acc0 += b0[i * k_end + p + 3u] * b1[(p + 3u) * columns + j];
            //# end
        }
        for (var p = max(k_start, k_whole); p < k_end; p += 1u) {
            //# hole one
            acc0 += b0[i * k_end + p] * b1[p * columns + j];
            //# end
        }
        //# hole epilogue
        b2[i * columns + j] = acc0;
        //# end
    }
}
