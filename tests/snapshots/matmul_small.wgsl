// matmul_small: [5, 6] by [6, 3]: results one by one.
//
// Written for hardware without subgroups: matmul_small.
// Started as 1 x 1 workgroups of 64 invocations, with these words:
//   1 1 0 0 | 5 3 6 6 | 3 0 32 5 | 3 0 15
// The plan, with the buffers named as below:
//   matmul nn %2 %2 over [5, 3], [5x6x3] b0+0 / 6 · b0+32 / 3
//     v0 = product
//     b1+0 <- v0

@group(0) @binding(0) var<uniform> args: array<vec4u, 16>;
@group(0) @binding(1) var<storage, read> b0: array<f32>;
fn get_f32_b0(i: u32) -> f32 { return b0[i]; }
@group(0) @binding(2) var<storage, read_write> b1: array<f32>;
fn put_f32_b1(i: u32, v: f32) { b1[i] = v; }

fn part_0(group: u32, lane: u32, at: u32) {
    let n4 = args[at + 1u].x;
    let n5 = args[at + 1u].y;
    let n6 = args[at + 1u].z;
    let n7 = args[at + 1u].w;
    let n8 = args[at + 2u].x;
    let n9 = args[at + 2u].y;
    let n10 = args[at + 2u].z;
    let n11 = args[at + 2u].w;
    let n12 = args[at + 3u].x;
    let n13 = args[at + 3u].y;
    let n14 = args[at + 3u].z;
    let count = n14;
    let size = 64u;
    let item = group * size + lane;
    if (item < count) {
        let tile_j = item % n12;
        let tile_r = item / n12;
        let tile_i = tile_r % n11;
        let z = tile_r / n11;
        let k_start = 0u;
        let k_end = n6;
        let a_at = n9;
        let b_at = n10;
        let k_whole = k_start + ((k_end - k_start) & 0xfffffffcu);
        let i_first = tile_i * 1u;
        let j_first = tile_j * 1u;
        let i0 = min(i_first + 0u, n4 - 1u);
        let j0 = min(j_first + 0u, n5 - 1u);
        let jg0 = min(j_first + 0u, (n5 - 1u) & 0xfffffffcu);
        var acc0_0 = 0.0;
        for (var p = k_start; p < k_whole; p += 4u) {
            let a0_0 = get_f32_b0(a_at + i0 * n7 + p);
            let a0_1 = get_f32_b0(a_at + i0 * n7 + p + 1u);
            let a0_2 = get_f32_b0(a_at + i0 * n7 + p + 2u);
            let a0_3 = get_f32_b0(a_at + i0 * n7 + p + 3u);
            let b0_0 = get_f32_b0(b_at + (p) * n8 + j0);
            let b0_1 = get_f32_b0(b_at + (p + 1u) * n8 + j0);
            let b0_2 = get_f32_b0(b_at + (p + 2u) * n8 + j0);
            let b0_3 = get_f32_b0(b_at + (p + 3u) * n8 + j0);
            acc0_0 += a0_0 * b0_0;
            acc0_0 += a0_1 * b0_1;
            acc0_0 += a0_2 * b0_2;
            acc0_0 += a0_3 * b0_3;
        }
        for (var p = max(k_start, k_whole); p < k_end; p += 1u) {
            let b0 = get_f32_b0(b_at + (p) * n8 + j0);
            let a0 = get_f32_b0(a_at + i0 * n7 + p);
            acc0_0 += a0 * b0;
        }
        let at0_0_0 = n13 + (z * n4 + (i_first + 0u)) * n5 + (j_first + 0u);
        put_f32_b1(at0_0_0, acc0_0);
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    let group = id.y * args[0u].y + id.x;
    if (group < args[0u].x) {
        part_0(group - args[0u].w, lane, 0u);
    }
}
