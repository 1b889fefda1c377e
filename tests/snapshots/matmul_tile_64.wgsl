// matmul_tile_64: [512, 512] by [512, 512]: a workgroup for each tile of 64 by 64.
//
// Written for hardware without subgroups: matmul_tile_64.
// Started as 64 x 1 workgroups of 64 invocations, with these words:
//   64 64 0 0 | 512 512 512 512 | 512 0 262144 8 | 8
// The plan, with the buffers named as below:
//   matmul nn %2 %2 over [512, 512], [512x512x512] b0+0 / 512 · b0+262144 / 512
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
    let i0 = tile_i * 64u;
    let j0 = tile_j * 64u;
    let row = lane >> 3u;
    let column = lane & 7u;
    var acc0_0 = vec4f(0.0);
    var acc0_1 = vec4f(0.0);
    var acc1_0 = vec4f(0.0);
    var acc1_1 = vec4f(0.0);
    var acc2_0 = vec4f(0.0);
    var acc2_1 = vec4f(0.0);
    var acc3_0 = vec4f(0.0);
    var acc3_1 = vec4f(0.0);
    var acc4_0 = vec4f(0.0);
    var acc4_1 = vec4f(0.0);
    var acc5_0 = vec4f(0.0);
    var acc5_1 = vec4f(0.0);
    var acc6_0 = vec4f(0.0);
    var acc6_1 = vec4f(0.0);
    var acc7_0 = vec4f(0.0);
    var acc7_1 = vec4f(0.0);
    for (var p = k_start; p < k_end; p += 16u) {
        let ak = p + 4u * (lane % 4u);
        let ag = lane / 4u;
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
        scratch[0u + ((ak - p) + 0u) * 16u + ag] = av0;
        scratch[0u + ((ak - p) + 1u) * 16u + ag] = av1;
        scratch[0u + ((ak - p) + 2u) * 16u + ag] = av2;
        scratch[0u + ((ak - p) + 3u) * 16u + ag] = av3;
        let bk = p + 4u * (lane / 16u);
        let bg = lane % 16u;
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
        scratch[256u + ((bk - p) + 0u) * 16u + bg] = bv0;
        scratch[256u + ((bk - p) + 1u) * 16u + bg] = bv1;
        scratch[256u + ((bk - p) + 2u) * 16u + bg] = bv2;
        scratch[256u + ((bk - p) + 3u) * 16u + bg] = bv3;
        workgroupBarrier();
        for (var q = 0u; q < 256u; q += 64u) {
            let a0_0 = scratch[q + 0u + row * 2u];
            let b0_0 = scratch[q + 0u + 256u + column * 2u];
            let a0_1 = scratch[q + 1u + row * 2u];
            let b0_1 = scratch[q + 1u + 256u + column * 2u];
            acc0_0 += a0_0.x * b0_0;
            acc0_1 += a0_0.x * b0_1;
            acc1_0 += a0_0.y * b0_0;
            acc1_1 += a0_0.y * b0_1;
            acc2_0 += a0_0.z * b0_0;
            acc2_1 += a0_0.z * b0_1;
            acc3_0 += a0_0.w * b0_0;
            acc3_1 += a0_0.w * b0_1;
            acc4_0 += a0_1.x * b0_0;
            acc4_1 += a0_1.x * b0_1;
            acc5_0 += a0_1.y * b0_0;
            acc5_1 += a0_1.y * b0_1;
            acc6_0 += a0_1.z * b0_0;
            acc6_1 += a0_1.z * b0_1;
            acc7_0 += a0_1.w * b0_0;
            acc7_1 += a0_1.w * b0_1;
            let a1_0 = scratch[q + 16u + row * 2u];
            let b1_0 = scratch[q + 16u + 256u + column * 2u];
            let a1_1 = scratch[q + 17u + row * 2u];
            let b1_1 = scratch[q + 17u + 256u + column * 2u];
            acc0_0 += a1_0.x * b1_0;
            acc0_1 += a1_0.x * b1_1;
            acc1_0 += a1_0.y * b1_0;
            acc1_1 += a1_0.y * b1_1;
            acc2_0 += a1_0.z * b1_0;
            acc2_1 += a1_0.z * b1_1;
            acc3_0 += a1_0.w * b1_0;
            acc3_1 += a1_0.w * b1_1;
            acc4_0 += a1_1.x * b1_0;
            acc4_1 += a1_1.x * b1_1;
            acc5_0 += a1_1.y * b1_0;
            acc5_1 += a1_1.y * b1_1;
            acc6_0 += a1_1.z * b1_0;
            acc6_1 += a1_1.z * b1_1;
            acc7_0 += a1_1.w * b1_0;
            acc7_1 += a1_1.w * b1_1;
            let a2_0 = scratch[q + 32u + row * 2u];
            let b2_0 = scratch[q + 32u + 256u + column * 2u];
            let a2_1 = scratch[q + 33u + row * 2u];
            let b2_1 = scratch[q + 33u + 256u + column * 2u];
            acc0_0 += a2_0.x * b2_0;
            acc0_1 += a2_0.x * b2_1;
            acc1_0 += a2_0.y * b2_0;
            acc1_1 += a2_0.y * b2_1;
            acc2_0 += a2_0.z * b2_0;
            acc2_1 += a2_0.z * b2_1;
            acc3_0 += a2_0.w * b2_0;
            acc3_1 += a2_0.w * b2_1;
            acc4_0 += a2_1.x * b2_0;
            acc4_1 += a2_1.x * b2_1;
            acc5_0 += a2_1.y * b2_0;
            acc5_1 += a2_1.y * b2_1;
            acc6_0 += a2_1.z * b2_0;
            acc6_1 += a2_1.z * b2_1;
            acc7_0 += a2_1.w * b2_0;
            acc7_1 += a2_1.w * b2_1;
            let a3_0 = scratch[q + 48u + row * 2u];
            let b3_0 = scratch[q + 48u + 256u + column * 2u];
            let a3_1 = scratch[q + 49u + row * 2u];
            let b3_1 = scratch[q + 49u + 256u + column * 2u];
            acc0_0 += a3_0.x * b3_0;
            acc0_1 += a3_0.x * b3_1;
            acc1_0 += a3_0.y * b3_0;
            acc1_1 += a3_0.y * b3_1;
            acc2_0 += a3_0.z * b3_0;
            acc2_1 += a3_0.z * b3_1;
            acc3_0 += a3_0.w * b3_0;
            acc3_1 += a3_0.w * b3_1;
            acc4_0 += a3_1.x * b3_0;
            acc4_1 += a3_1.x * b3_1;
            acc5_0 += a3_1.y * b3_0;
            acc5_1 += a3_1.y * b3_1;
            acc6_0 += a3_1.z * b3_0;
            acc6_1 += a3_1.z * b3_1;
            acc7_0 += a3_1.w * b3_0;
            acc7_1 += a3_1.w * b3_1;
        }
        workgroupBarrier();
    }
    let at0_0_0 = n13 + (z * n4 + (i0 + row * 8u + 0u)) * n5 + (j0 + column * 8u + 0u);
    let at0_0_1 = n13 + (z * n4 + (i0 + row * 8u + 0u)) * n5 + (j0 + column * 8u + 4u);
    put_vec4f_b1(at0_0_0, acc0_0);
    put_vec4f_b1(at0_0_1, acc0_1);
    let at0_1_0 = at0_0_0 + n5;
    let at0_1_1 = at0_0_1 + n5;
    put_vec4f_b1(at0_1_0, acc1_0);
    put_vec4f_b1(at0_1_1, acc1_1);
    let at0_2_0 = at0_1_0 + n5;
    let at0_2_1 = at0_1_1 + n5;
    put_vec4f_b1(at0_2_0, acc2_0);
    put_vec4f_b1(at0_2_1, acc2_1);
    let at0_3_0 = at0_2_0 + n5;
    let at0_3_1 = at0_2_1 + n5;
    put_vec4f_b1(at0_3_0, acc3_0);
    put_vec4f_b1(at0_3_1, acc3_1);
    let at0_4_0 = at0_3_0 + n5;
    let at0_4_1 = at0_3_1 + n5;
    put_vec4f_b1(at0_4_0, acc4_0);
    put_vec4f_b1(at0_4_1, acc4_1);
    let at0_5_0 = at0_4_0 + n5;
    let at0_5_1 = at0_4_1 + n5;
    put_vec4f_b1(at0_5_0, acc5_0);
    put_vec4f_b1(at0_5_1, acc5_1);
    let at0_6_0 = at0_5_0 + n5;
    let at0_6_1 = at0_5_1 + n5;
    put_vec4f_b1(at0_6_0, acc6_0);
    put_vec4f_b1(at0_6_1, acc6_1);
    let at0_7_0 = at0_6_0 + n5;
    let at0_7_1 = at0_6_1 + n5;
    put_vec4f_b1(at0_7_0, acc7_0);
    put_vec4f_b1(at0_7_1, acc7_1);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    let group = id.y * args[0u].y + id.x;
    if (group < args[0u].x) {
        part_0(group - args[0u].w, lane, 0u);
    }
}
