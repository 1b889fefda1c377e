// matmul_small_four: [9, 8] by [8, 8]: results in fours.
//
// Written for hardware without subgroups: matmul_small_four.
// Started as 1 x 1 workgroups of 64 invocations, with these words:
//   1 1 0 0 | 9 8 8 8 | 8 0 72 9 | 2 0 18
// The plan, with the buffers named as below:
//   matmul nn %2 %2 over [9, 8], [9x8x8] b0+0 / 8 · b0+72 / 8
//     v0 = product
//     b1+0 <- v0

@group(0) @binding(0) var<uniform> args: array<vec4u, 16>;
@group(0) @binding(1) var<storage, read> b0: array<vec4f>;
fn get_vec4f_b0(i: u32) -> vec4f { return b0[i >> 2u]; }
@group(0) @binding(2) var<storage, read_write> b1: array<vec4f>;
fn put_vec4f_b1(i: u32, v: vec4f) { b1[i >> 2u] = v; }

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
        let j_first = tile_j * 4u;
        let i0 = min(i_first + 0u, n4 - 1u);
        let j0 = min(j_first + 0u, n5 - 1u);
        let j1 = min(j_first + 1u, n5 - 1u);
        let j2 = min(j_first + 2u, n5 - 1u);
        let j3 = min(j_first + 3u, n5 - 1u);
        let jg0 = min(j_first + 0u, (n5 - 1u) & 0xfffffffcu);
        var acc0_0 = vec4f(0.0);
        for (var p = k_start; p < k_whole; p += 4u) {
            let a0 = get_vec4f_b0(a_at + i0 * n7 + p);
            let b0_0 = get_vec4f_b0(b_at + (p) * n8 + jg0);
            let b0_1 = get_vec4f_b0(b_at + (p + 1u) * n8 + jg0);
            let b0_2 = get_vec4f_b0(b_at + (p + 2u) * n8 + jg0);
            let b0_3 = get_vec4f_b0(b_at + (p + 3u) * n8 + jg0);
            acc0_0 += a0.x * b0_0;
            acc0_0 += a0.y * b0_1;
            acc0_0 += a0.z * b0_2;
            acc0_0 += a0.w * b0_3;
        }
        for (var p = max(k_start, k_whole); p < k_end; p += 1u) {
        }
        let at0_0_0 = n13 + (z * n4 + (i_first + 0u)) * n5 + (j_first + 0u);
        put_vec4f_b1(at0_0_0, acc0_0);
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    let group = id.y * args[0u].y + id.x;
    if (group < args[0u].x) {
        part_0(group - args[0u].w, lane, 0u);
    }
}
