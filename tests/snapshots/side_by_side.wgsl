// side_by_side: part of the training step of a network 64-128-10: independent kernels side by side.
//
// Written for hardware without subgroups: rows_workgroup, rows_workgroup, matmul_tile_32, matmul_small_four.
// Started as 32 x 1 workgroups of 64 invocations, with these words:
//   1 32 0 0 | 1 128 0 0 | 0 0 0 0 | 0 0 0 0 | 0 0 0 0 | 0 0 0 0
//   11 32 0 1 | 10 128 0 10 | 9600 10 0 0 | 0 0 0 0 | 0 0 0 0 | 0 0 0 0
//   0 0 0 0 | 27 32 0 11 | 128 128 10 10 | 128 0 8320 4 | 4 0 128 0 | 0 0 0 0
//   0 0 0 0 | 0 0 0 0 | 0 0 0 0 | 0 0 0 0 | 0 0 0 0 | 0 0 0 0
//   32 32 0 27 | 10 128 128 10 | 128 0 0 10 | 32 8320 320
// The plan, with the buffers named as below:
//   rows %57 %60 over [128]
//     v0 = f32 b0[0 + i0]
//     v1 = fold sum v0
//     v2 = 0.0078125
//     v3 = mul v1 v2
//     b1+0 <- v1
//     b2+0 <- v3
//   rows %68 over [10, 128]
//     v0 = f32 b3[0 + i0 + 10*i1]
//     v1 = fold sum v0
//     b4+9600 <- v1
//   matmul nn %70 %74 over [128, 128], [128x10x128] b3+0 / 10 · b5+8320 / 128
//     v0 = product
//     v1 = f32 b6[0 + 128*i0 + i1]
//     v2 = 0.0
//     v3 = gt v1 v2
//     v4 = select v3 v0 v2
//     b7+0 <- v4
//   matmul tn %71 over [10, 128], [10x128x128] b3+0 / 10 transposed · b6+0 / 128
//     v0 = product
//     b4+8320 <- v0

@group(0) @binding(0) var<uniform> args: array<vec4u, 32>;
@group(0) @binding(1) var<storage, read> b0: array<vec4f>;
fn get_vec4f_b0(i: u32) -> vec4f { return b0[i >> 2u]; }
@group(0) @binding(2) var<storage, read_write> b1: array<f32>;
fn put_f32_b1(i: u32, v: f32) { b1[i] = v; }
@group(0) @binding(3) var<storage, read_write> b2: array<f32>;
fn put_f32_b2(i: u32, v: f32) { b2[i] = v; }
@group(0) @binding(4) var<storage, read> b3: array<f32>;
fn get_f32_b3(i: u32) -> f32 { return b3[i]; }
@group(0) @binding(5) var<storage, read_write> b4: array<f32>;
fn put_f32_b4(i: u32, v: f32) { b4[i] = v; }
fn put_vec4f_b4(i: u32, v: vec4f) { let w = v; b4[i] = w.x; b4[i + 1u] = w.y; b4[i + 2u] = w.z; b4[i + 3u] = w.w; }
@group(0) @binding(6) var<storage, read> b5: array<vec4f>;
fn get_vec4f_b5(i: u32) -> vec4f { return b5[i >> 2u]; }
@group(0) @binding(7) var<storage, read> b6: array<vec4f>;
fn get_vec4f_b6(i: u32) -> vec4f { return b6[i >> 2u]; }
@group(0) @binding(8) var<storage, read_write> b7: array<vec4f>;
fn put_vec4f_b7(i: u32, v: vec4f) { b7[i >> 2u] = v; }
var<workgroup> scratch: array<vec4f, 512>;

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

fn part_0(group: u32, lane: u32, at: u32) {
    let n4 = args[at + 1u].x;
    let n5 = args[at + 1u].y;
    let n6 = args[at + 1u].z;
    let n7 = args[at + 1u].w;
    let n8 = args[at + 2u].x;
    let row_length = n5;
    let size = 64u;
    let item = group;
    let row = item;
    let v2 = 0.0078125f;
    var f1_0 = vec4f(0.0);
    for (var j = lane * 4u; j < n5; j += 256u) {
        let v0_0 = get_vec4f_b0(n6 + j);
        f1_0 = f1_0 + v0_0;
    }
    let v1 = tree_sum(((f1_0.x + f1_0.y) + (f1_0.z + f1_0.w)), lane);
    let v3 = v1 * v2;
    if (lane == 0u) {
        put_f32_b1(n7 + row, v1);
        put_f32_b2(n8 + row, v3);
    }
}

fn part_1(group: u32, lane: u32, at: u32) {
    let n4 = args[at + 1u].x;
    let n5 = args[at + 1u].y;
    let n6 = args[at + 1u].z;
    let n7 = args[at + 1u].w;
    let n8 = args[at + 2u].x;
    let n9 = args[at + 2u].y;
    let row_length = n5;
    let size = 64u;
    let item = group;
    let row = item;
    var f1_0 = vec4f(0.0);
    for (var j = lane * 4u; j < n5; j += 256u) {
        let v0_0 = vec4f(
            get_f32_b3(n6 + row + n7 * j),
            get_f32_b3(n6 + row + n7 * (j + 1u)),
            get_f32_b3(n6 + row + n7 * (j + 2u)),
            get_f32_b3(n6 + row + n7 * (j + 3u))
        );
        f1_0 = f1_0 + v0_0;
    }
    let v1 = tree_sum(((f1_0.x + f1_0.y) + (f1_0.z + f1_0.w)), lane);
    if (lane == 0u) {
        put_f32_b4(n8 + row, v1);
    }
}

fn part_2(group: u32, lane: u32, at: u32) {
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
    let n15 = args[at + 3u].w;
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
        let av0 = select(
            vec4f(0.0),
            vec4f(
                get_f32_b3(a_at + min(ax + 0u, n4 - 1u) * n7 + min(ak + 0u, k_end - 1u)),
                get_f32_b3(a_at + min(ax + 1u, n4 - 1u) * n7 + min(ak + 0u, k_end - 1u)),
                get_f32_b3(a_at + min(ax + 2u, n4 - 1u) * n7 + min(ak + 0u, k_end - 1u)),
                get_f32_b3(a_at + min(ax + 3u, n4 - 1u) * n7 + min(ak + 0u, k_end - 1u))
            ),
            ak + 0u < k_end
        );
        let av1 = select(
            vec4f(0.0),
            vec4f(
                get_f32_b3(a_at + min(ax + 0u, n4 - 1u) * n7 + min(ak + 1u, k_end - 1u)),
                get_f32_b3(a_at + min(ax + 1u, n4 - 1u) * n7 + min(ak + 1u, k_end - 1u)),
                get_f32_b3(a_at + min(ax + 2u, n4 - 1u) * n7 + min(ak + 1u, k_end - 1u)),
                get_f32_b3(a_at + min(ax + 3u, n4 - 1u) * n7 + min(ak + 1u, k_end - 1u))
            ),
            ak + 1u < k_end
        );
        let av2 = select(
            vec4f(0.0),
            vec4f(
                get_f32_b3(a_at + min(ax + 0u, n4 - 1u) * n7 + min(ak + 2u, k_end - 1u)),
                get_f32_b3(a_at + min(ax + 1u, n4 - 1u) * n7 + min(ak + 2u, k_end - 1u)),
                get_f32_b3(a_at + min(ax + 2u, n4 - 1u) * n7 + min(ak + 2u, k_end - 1u)),
                get_f32_b3(a_at + min(ax + 3u, n4 - 1u) * n7 + min(ak + 2u, k_end - 1u))
            ),
            ak + 2u < k_end
        );
        let av3 = select(
            vec4f(0.0),
            vec4f(
                get_f32_b3(a_at + min(ax + 0u, n4 - 1u) * n7 + min(ak + 3u, k_end - 1u)),
                get_f32_b3(a_at + min(ax + 1u, n4 - 1u) * n7 + min(ak + 3u, k_end - 1u)),
                get_f32_b3(a_at + min(ax + 2u, n4 - 1u) * n7 + min(ak + 3u, k_end - 1u)),
                get_f32_b3(a_at + min(ax + 3u, n4 - 1u) * n7 + min(ak + 3u, k_end - 1u))
            ),
            ak + 3u < k_end
        );
        scratch[0u + ((ak - p) + 0u) * 8u + ag] = av0;
        scratch[0u + ((ak - p) + 1u) * 8u + ag] = av1;
        scratch[0u + ((ak - p) + 2u) * 8u + ag] = av2;
        scratch[0u + ((ak - p) + 3u) * 8u + ag] = av3;
        let bk = p + 4u * (lane / 8u);
        let bg = lane % 8u;
        let bx = j0 + 4u * bg;
        let bv0 = select(
            vec4f(0.0),
            get_vec4f_b5(b_at + min(bk + 0u, k_end - 1u) * n8 + min(bx, (n5 - 1u) & 0xfffffffcu)),
            bk + 0u < k_end
        );
        let bv1 = select(
            vec4f(0.0),
            get_vec4f_b5(b_at + min(bk + 1u, k_end - 1u) * n8 + min(bx, (n5 - 1u) & 0xfffffffcu)),
            bk + 1u < k_end
        );
        let bv2 = select(
            vec4f(0.0),
            get_vec4f_b5(b_at + min(bk + 2u, k_end - 1u) * n8 + min(bx, (n5 - 1u) & 0xfffffffcu)),
            bk + 2u < k_end
        );
        let bv3 = select(
            vec4f(0.0),
            get_vec4f_b5(b_at + min(bk + 3u, k_end - 1u) * n8 + min(bx, (n5 - 1u) & 0xfffffffcu)),
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
    let v2 = 0.0f;
    let at0_0_0 = n15 + (z * n4 + (i0 + row * 4u + 0u)) * n5 + (j0 + column * 4u + 0u);
    let v1_0_0 = get_vec4f_b6(n13 + n14 * (i0 + row * 4u + 0u) + (j0 + column * 4u + 0u));
    let v3_0_0 = select(vec4u(0u), vec4u(1u), v1_0_0 > vec4f(v2));
    let v4_0_0 = select(vec4f(v2), acc0_0, v3_0_0 != vec4u(0u));
    put_vec4f_b7(at0_0_0, v4_0_0);
    let at0_1_0 = at0_0_0 + n5;
    let v1_1_0 = get_vec4f_b6(n13 + n14 * (i0 + row * 4u + 1u) + (j0 + column * 4u + 0u));
    let v3_1_0 = select(vec4u(0u), vec4u(1u), v1_1_0 > vec4f(v2));
    let v4_1_0 = select(vec4f(v2), acc1_0, v3_1_0 != vec4u(0u));
    put_vec4f_b7(at0_1_0, v4_1_0);
    let at0_2_0 = at0_1_0 + n5;
    let v1_2_0 = get_vec4f_b6(n13 + n14 * (i0 + row * 4u + 2u) + (j0 + column * 4u + 0u));
    let v3_2_0 = select(vec4u(0u), vec4u(1u), v1_2_0 > vec4f(v2));
    let v4_2_0 = select(vec4f(v2), acc2_0, v3_2_0 != vec4u(0u));
    put_vec4f_b7(at0_2_0, v4_2_0);
    let at0_3_0 = at0_2_0 + n5;
    let v1_3_0 = get_vec4f_b6(n13 + n14 * (i0 + row * 4u + 3u) + (j0 + column * 4u + 0u));
    let v3_3_0 = select(vec4u(0u), vec4u(1u), v1_3_0 > vec4f(v2));
    let v4_3_0 = select(vec4f(v2), acc3_0, v3_3_0 != vec4u(0u));
    put_vec4f_b7(at0_3_0, v4_3_0);
}

fn part_3(group: u32, lane: u32, at: u32) {
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
            let a0_0 = get_f32_b3(a_at + (p) * n7 + i0);
            let a0_1 = get_f32_b3(a_at + (p + 1u) * n7 + i0);
            let a0_2 = get_f32_b3(a_at + (p + 2u) * n7 + i0);
            let a0_3 = get_f32_b3(a_at + (p + 3u) * n7 + i0);
            let b0_0 = get_vec4f_b6(b_at + (p) * n8 + jg0);
            let b0_1 = get_vec4f_b6(b_at + (p + 1u) * n8 + jg0);
            let b0_2 = get_vec4f_b6(b_at + (p + 2u) * n8 + jg0);
            let b0_3 = get_vec4f_b6(b_at + (p + 3u) * n8 + jg0);
            acc0_0 += a0_0 * b0_0;
            acc0_0 += a0_1 * b0_1;
            acc0_0 += a0_2 * b0_2;
            acc0_0 += a0_3 * b0_3;
        }
        for (var p = max(k_start, k_whole); p < k_end; p += 1u) {
        }
        let at0_0_0 = n13 + (z * n4 + (i_first + 0u)) * n5 + (j_first + 0u);
        put_vec4f_b4(at0_0_0, acc0_0);
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    let group = id.y * args[0u].y + id.x;
    if (group < args[0u].x) {
        part_0(group - args[0u].w, lane, 0u);
    }
    else if (group < args[6u].x) {
        part_1(group - args[6u].w, lane, 6u);
    }
    else if (group < args[13u].x) {
        part_2(group - args[13u].w, lane, 13u);
    }
    else if (group < args[24u].x) {
        part_3(group - args[24u].w, lane, 24u);
    }
}
