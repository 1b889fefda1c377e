// matmul_tile_32: [64, 64] by [64, 64]: a workgroup for each tile of 32 by 32.
//
// Written for hardware without subgroups: matmul_tile_32.
// Started as 4 x 1 workgroups of 64 invocations, with these words:
//   4 4 0 0 | 64 64 64 64 | 64 0 4096 2 | 2
// The plan, with the buffers named as below:
//   matmul nn %2 %2 over [64, 64], [64x64x64] b0+0 / 64 · b0+4096 / 64
//     v0 = product
//     b1+0 <- v0

@group(0) @binding(0) var<uniform> args: array<vec4u, 16>;
@group(0) @binding(1) var<storage, read> b0: array<vec4f>;
fn get_vec4f_b0(i: u32) -> vec4f { return b0[i >> 2u]; }
@group(0) @binding(2) var<storage, read_write> b1: array<vec4f>;
fn put_vec4f_b1(i: u32, v: vec4f) { b1[i >> 2u] = v; }
var<workgroup> scratch: array<vec4f, 512>;

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
    let tile_j = group % n12;
    let tile_r = group / n12;
    let tile_i = tile_r % n11;
    let z = tile_r / n11;
    let k_start = 0u;
    let k_end = n6;
    let a_at = n9;
    let b_at = n10;
    let i0 = tile_i * 32u;
    let j0 = tile_j * 32u;
    let row = lane >> 3u;
    let column = lane & 7u;
    var acc0_0 = vec4f(0.0);
    var acc1_0 = vec4f(0.0);
    var acc2_0 = vec4f(0.0);
    var acc3_0 = vec4f(0.0);
    for (var p = k_start; p < k_end; p += 32u) {
        let ak = p + 4u * (lane % 8u);
        let ag = lane / 8u;
        let ax = i0 + 4u * ag;
        let ar0 = select(
            vec4f(0.0),
            get_vec4f_b0(a_at + min(ax + 0u, n4 - 1u) * n7 + min(ak, k_end - 4u)),
            ak + 0u < k_end
        );
        let ar1 = select(
            vec4f(0.0),
            get_vec4f_b0(a_at + min(ax + 1u, n4 - 1u) * n7 + min(ak, k_end - 4u)),
            ak + 0u < k_end
        );
        let ar2 = select(
            vec4f(0.0),
            get_vec4f_b0(a_at + min(ax + 2u, n4 - 1u) * n7 + min(ak, k_end - 4u)),
            ak + 0u < k_end
        );
        let ar3 = select(
            vec4f(0.0),
            get_vec4f_b0(a_at + min(ax + 3u, n4 - 1u) * n7 + min(ak, k_end - 4u)),
            ak + 0u < k_end
        );
        let av0 = vec4f(ar0.x, ar1.x, ar2.x, ar3.x);
        let av1 = vec4f(ar0.y, ar1.y, ar2.y, ar3.y);
        let av2 = vec4f(ar0.z, ar1.z, ar2.z, ar3.z);
        let av3 = vec4f(ar0.w, ar1.w, ar2.w, ar3.w);
        scratch[0u + ((ak - p) + 0u) * 8u + ag] = av0;
        scratch[0u + ((ak - p) + 1u) * 8u + ag] = av1;
        scratch[0u + ((ak - p) + 2u) * 8u + ag] = av2;
        scratch[0u + ((ak - p) + 3u) * 8u + ag] = av3;
        let bk = p + 4u * (lane / 8u);
        let bg = lane % 8u;
        let bx = j0 + 4u * bg;
        let bv0 = select(
            vec4f(0.0),
            get_vec4f_b0(b_at + min(bk + 0u, k_end - 1u) * n8 + min(bx, (n5 - 1u) & 0xfffffffcu)),
            bk + 0u < k_end
        );
        let bv1 = select(
            vec4f(0.0),
            get_vec4f_b0(b_at + min(bk + 1u, k_end - 1u) * n8 + min(bx, (n5 - 1u) & 0xfffffffcu)),
            bk + 1u < k_end
        );
        let bv2 = select(
            vec4f(0.0),
            get_vec4f_b0(b_at + min(bk + 2u, k_end - 1u) * n8 + min(bx, (n5 - 1u) & 0xfffffffcu)),
            bk + 2u < k_end
        );
        let bv3 = select(
            vec4f(0.0),
            get_vec4f_b0(b_at + min(bk + 3u, k_end - 1u) * n8 + min(bx, (n5 - 1u) & 0xfffffffcu)),
            bk + 3u < k_end
        );
        scratch[256u + ((bk - p) + 0u) * 8u + bg] = bv0;
        scratch[256u + ((bk - p) + 1u) * 8u + bg] = bv1;
        scratch[256u + ((bk - p) + 2u) * 8u + bg] = bv2;
        scratch[256u + ((bk - p) + 3u) * 8u + bg] = bv3;
        workgroupBarrier();
        for (var q = 0u; q < 256u; q += 32u) {
            let a0_0 = scratch[q + 0u + row * 1u];
            let b0_0 = scratch[q + 0u + 256u + column * 1u];
            acc0_0 += a0_0.x * b0_0;
            acc1_0 += a0_0.y * b0_0;
            acc2_0 += a0_0.z * b0_0;
            acc3_0 += a0_0.w * b0_0;
            let a1_0 = scratch[q + 8u + row * 1u];
            let b1_0 = scratch[q + 8u + 256u + column * 1u];
            acc0_0 += a1_0.x * b1_0;
            acc1_0 += a1_0.y * b1_0;
            acc2_0 += a1_0.z * b1_0;
            acc3_0 += a1_0.w * b1_0;
            let a2_0 = scratch[q + 16u + row * 1u];
            let b2_0 = scratch[q + 16u + 256u + column * 1u];
            acc0_0 += a2_0.x * b2_0;
            acc1_0 += a2_0.y * b2_0;
            acc2_0 += a2_0.z * b2_0;
            acc3_0 += a2_0.w * b2_0;
            let a3_0 = scratch[q + 24u + row * 1u];
            let b3_0 = scratch[q + 24u + 256u + column * 1u];
            acc0_0 += a3_0.x * b3_0;
            acc1_0 += a3_0.y * b3_0;
            acc2_0 += a3_0.z * b3_0;
            acc3_0 += a3_0.w * b3_0;
        }
        workgroupBarrier();
    }
    let at0_0_0 = n13 + (z * n4 + (i0 + row * 4u + 0u)) * n5 + (j0 + column * 4u + 0u);
    put_vec4f_b1(at0_0_0, acc0_0);
    let at0_1_0 = at0_0_0 + n5;
    put_vec4f_b1(at0_1_0, acc1_0);
    let at0_2_0 = at0_1_0 + n5;
    put_vec4f_b1(at0_2_0, acc2_0);
    let at0_3_0 = at0_2_0 + n5;
    put_vec4f_b1(at0_3_0, acc3_0);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    let group = id.y * args[0u].y + id.x;
    if (group < args[0u].x) {
        part_0(group - args[0u].w, lane, 0u);
    }
}
