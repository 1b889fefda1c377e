// matmul_bias_relu: relu(x w + b), [100, 30] by [30, 50]: one kernel; no size fits its tiles.
//
// Written for hardware without subgroups: matmul_tile_32.
// Started as 8 x 1 workgroups of 64 invocations, with these words:
//   8 8 0 0 | 100 50 30 30 | 50 0 3000 4 | 2 4500
// The plan, with the buffers named as below:
//   matmul nn %3 %6 over [100, 50], [100x30x50] b0+0 / 30 · b0+3000 / 50
//     v0 = product
//     v1 = f32 b0[4500 + i1]
//     v2 = add v0 v1
//     v3 = relu v2
//     b1+0 <- v3

@group(0) @binding(0) var<uniform> args: array<vec4u, 16>;
@group(0) @binding(1) var<storage, read> b0: array<vec4f>;
fn get_f32_b0(i: u32) -> f32 { return b0[i >> 2u][i & 3u]; }
fn get_vec4f_b0(i: u32) -> vec4f { return b0[i >> 2u]; }
@group(0) @binding(2) var<storage, read_write> b1: array<f32>;
fn put_f32_b1(i: u32, v: f32) { b1[i] = v; }
var<workgroup> scratch: array<vec4f, 512>;

fn is_nan_vec4f(x: vec4f) -> vec4<bool> {
    return (bitcast<vec4u>(x) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
}

fn keep_nan_vec4f(y: vec4f, x: vec4f) -> vec4f {
    return select(y, x, is_nan_vec4f(x));
}

fn relu_vec4f(x: vec4f) -> vec4f {
    return keep_nan_vec4f(max(x, vec4f(0.0)), x);
}

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
                get_f32_b0(a_at + min(ax + 0u, n4 - 1u) * n7 + min(ak + 0u, k_end - 1u)),
                get_f32_b0(a_at + min(ax + 1u, n4 - 1u) * n7 + min(ak + 0u, k_end - 1u)),
                get_f32_b0(a_at + min(ax + 2u, n4 - 1u) * n7 + min(ak + 0u, k_end - 1u)),
                get_f32_b0(a_at + min(ax + 3u, n4 - 1u) * n7 + min(ak + 0u, k_end - 1u))
            ),
            ak + 0u < k_end
        );
        let av1 = select(
            vec4f(0.0),
            vec4f(
                get_f32_b0(a_at + min(ax + 0u, n4 - 1u) * n7 + min(ak + 1u, k_end - 1u)),
                get_f32_b0(a_at + min(ax + 1u, n4 - 1u) * n7 + min(ak + 1u, k_end - 1u)),
                get_f32_b0(a_at + min(ax + 2u, n4 - 1u) * n7 + min(ak + 1u, k_end - 1u)),
                get_f32_b0(a_at + min(ax + 3u, n4 - 1u) * n7 + min(ak + 1u, k_end - 1u))
            ),
            ak + 1u < k_end
        );
        let av2 = select(
            vec4f(0.0),
            vec4f(
                get_f32_b0(a_at + min(ax + 0u, n4 - 1u) * n7 + min(ak + 2u, k_end - 1u)),
                get_f32_b0(a_at + min(ax + 1u, n4 - 1u) * n7 + min(ak + 2u, k_end - 1u)),
                get_f32_b0(a_at + min(ax + 2u, n4 - 1u) * n7 + min(ak + 2u, k_end - 1u)),
                get_f32_b0(a_at + min(ax + 3u, n4 - 1u) * n7 + min(ak + 2u, k_end - 1u))
            ),
            ak + 2u < k_end
        );
        let av3 = select(
            vec4f(0.0),
            vec4f(
                get_f32_b0(a_at + min(ax + 0u, n4 - 1u) * n7 + min(ak + 3u, k_end - 1u)),
                get_f32_b0(a_at + min(ax + 1u, n4 - 1u) * n7 + min(ak + 3u, k_end - 1u)),
                get_f32_b0(a_at + min(ax + 2u, n4 - 1u) * n7 + min(ak + 3u, k_end - 1u)),
                get_f32_b0(a_at + min(ax + 3u, n4 - 1u) * n7 + min(ak + 3u, k_end - 1u))
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
            vec4f(
                get_f32_b0(b_at + min(bk + 0u, k_end - 1u) * n8 + min(bx + 0u, n5 - 1u)),
                get_f32_b0(b_at + min(bk + 0u, k_end - 1u) * n8 + min(bx + 1u, n5 - 1u)),
                get_f32_b0(b_at + min(bk + 0u, k_end - 1u) * n8 + min(bx + 2u, n5 - 1u)),
                get_f32_b0(b_at + min(bk + 0u, k_end - 1u) * n8 + min(bx + 3u, n5 - 1u))
            ),
            bk + 0u < k_end
        );
        let bv1 = select(
            vec4f(0.0),
            vec4f(
                get_f32_b0(b_at + min(bk + 1u, k_end - 1u) * n8 + min(bx + 0u, n5 - 1u)),
                get_f32_b0(b_at + min(bk + 1u, k_end - 1u) * n8 + min(bx + 1u, n5 - 1u)),
                get_f32_b0(b_at + min(bk + 1u, k_end - 1u) * n8 + min(bx + 2u, n5 - 1u)),
                get_f32_b0(b_at + min(bk + 1u, k_end - 1u) * n8 + min(bx + 3u, n5 - 1u))
            ),
            bk + 1u < k_end
        );
        let bv2 = select(
            vec4f(0.0),
            vec4f(
                get_f32_b0(b_at + min(bk + 2u, k_end - 1u) * n8 + min(bx + 0u, n5 - 1u)),
                get_f32_b0(b_at + min(bk + 2u, k_end - 1u) * n8 + min(bx + 1u, n5 - 1u)),
                get_f32_b0(b_at + min(bk + 2u, k_end - 1u) * n8 + min(bx + 2u, n5 - 1u)),
                get_f32_b0(b_at + min(bk + 2u, k_end - 1u) * n8 + min(bx + 3u, n5 - 1u))
            ),
            bk + 2u < k_end
        );
        let bv3 = select(
            vec4f(0.0),
            vec4f(
                get_f32_b0(b_at + min(bk + 3u, k_end - 1u) * n8 + min(bx + 0u, n5 - 1u)),
                get_f32_b0(b_at + min(bk + 3u, k_end - 1u) * n8 + min(bx + 1u, n5 - 1u)),
                get_f32_b0(b_at + min(bk + 3u, k_end - 1u) * n8 + min(bx + 2u, n5 - 1u)),
                get_f32_b0(b_at + min(bk + 3u, k_end - 1u) * n8 + min(bx + 3u, n5 - 1u))
            ),
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
    let jc0 = min((j0 + column * 4u + 0u), (n5 - 1u) & 0xfffffffcu);
    let v1_c0 = get_vec4f_b0(n13 + min(jc0 + 0u, n5 - 1u));
    if ((j0 + column * 4u + 0u) < n5) {
        let at0_0_0 = n14 + (z * n4 + (i0 + row * 4u + 0u)) * n5 + (j0 + column * 4u + 0u);
        if ((i0 + row * 4u + 0u) < n4) {
            let v2_0_0 = acc0_0 + v1_c0;
            let v3_0_0 = relu_vec4f(v2_0_0);
            if ((j0 + column * 4u + 0u) + 0u < n5) { put_f32_b1(at0_0_0 + 0u, (v3_0_0).x); }
            if ((j0 + column * 4u + 0u) + 1u < n5) { put_f32_b1(at0_0_0 + 1u, (v3_0_0).y); }
            if ((j0 + column * 4u + 0u) + 2u < n5) { put_f32_b1(at0_0_0 + 2u, (v3_0_0).z); }
            if ((j0 + column * 4u + 0u) + 3u < n5) { put_f32_b1(at0_0_0 + 3u, (v3_0_0).w); }
        }
        let at0_1_0 = at0_0_0 + n5;
        if ((i0 + row * 4u + 1u) < n4) {
            let v2_1_0 = acc1_0 + v1_c0;
            let v3_1_0 = relu_vec4f(v2_1_0);
            if ((j0 + column * 4u + 0u) + 0u < n5) { put_f32_b1(at0_1_0 + 0u, (v3_1_0).x); }
            if ((j0 + column * 4u + 0u) + 1u < n5) { put_f32_b1(at0_1_0 + 1u, (v3_1_0).y); }
            if ((j0 + column * 4u + 0u) + 2u < n5) { put_f32_b1(at0_1_0 + 2u, (v3_1_0).z); }
            if ((j0 + column * 4u + 0u) + 3u < n5) { put_f32_b1(at0_1_0 + 3u, (v3_1_0).w); }
        }
        let at0_2_0 = at0_1_0 + n5;
        if ((i0 + row * 4u + 2u) < n4) {
            let v2_2_0 = acc2_0 + v1_c0;
            let v3_2_0 = relu_vec4f(v2_2_0);
            if ((j0 + column * 4u + 0u) + 0u < n5) { put_f32_b1(at0_2_0 + 0u, (v3_2_0).x); }
            if ((j0 + column * 4u + 0u) + 1u < n5) { put_f32_b1(at0_2_0 + 1u, (v3_2_0).y); }
            if ((j0 + column * 4u + 0u) + 2u < n5) { put_f32_b1(at0_2_0 + 2u, (v3_2_0).z); }
            if ((j0 + column * 4u + 0u) + 3u < n5) { put_f32_b1(at0_2_0 + 3u, (v3_2_0).w); }
        }
        let at0_3_0 = at0_2_0 + n5;
        if ((i0 + row * 4u + 3u) < n4) {
            let v2_3_0 = acc3_0 + v1_c0;
            let v3_3_0 = relu_vec4f(v2_3_0);
            if ((j0 + column * 4u + 0u) + 0u < n5) { put_f32_b1(at0_3_0 + 0u, (v3_3_0).x); }
            if ((j0 + column * 4u + 0u) + 1u < n5) { put_f32_b1(at0_3_0 + 1u, (v3_3_0).y); }
            if ((j0 + column * 4u + 0u) + 2u < n5) { put_f32_b1(at0_3_0 + 2u, (v3_3_0).z); }
            if ((j0 + column * 4u + 0u) + 3u < n5) { put_f32_b1(at0_3_0 + 3u, (v3_3_0).w); }
        }
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    let group = id.y * args[0u].y + id.x;
    if (group < args[0u].x) {
        part_0(group - args[0u].w, lane, 0u);
    }
}
