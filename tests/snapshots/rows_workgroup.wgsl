// rows_workgroup: softmax of [4, 1000] along rows: a workgroup for each row.
//
// Written for hardware without subgroups: rows_workgroup.
// Started as 4 x 1 workgroups of 64 invocations, with these words:
//   4 4 0 0 | 4 1000 0 1000 | 0 4
// The plan, with the buffers named as below:
//   rows (2 folds) %1 %9 %10 %12 over [4, 1000]
//     v0 = f32 b0[0 + 1000*i0 + i1]
//     v1 = fold max v0
//     v2 = abs v1
//     v3 = 3.4028235e38
//     v4 = le v2 v3
//     v5 = 0.0
//     v6 = select v4 v1 v5
//     v7 = sub v0 v6
//     v8 = exp v7
//     v9 = fold sum v8
//     v10 = div v8 v9
//     b1+0 <- v10

@group(0) @binding(0) var<uniform> args: array<vec4u, 16>;
@group(0) @binding(1) var<storage, read> b0: array<vec4f>;
fn get_vec4f_b0(i: u32) -> vec4f { return b0[i >> 2u]; }
@group(0) @binding(2) var<storage, read_write> b1: array<vec4f>;
fn put_vec4f_b1(i: u32, v: vec4f) { b1[i >> 2u] = v; }
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

fn tree_larger(a: f32, b: f32) -> f32 {
    let b_is_nan = (bitcast<u32>(b) & 0x7fffffffu) > 0x7f800000u;
    let a_is_nan = (bitcast<u32>(a) & 0x7fffffffu) > 0x7f800000u;
    return select(select(max(a, b), b, b_is_nan), a, a_is_nan);
}

fn is_nan_vec4f(x: vec4f) -> vec4<bool> {
    return (bitcast<vec4u>(x) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
}

fn is_nan_f32(x: f32) -> bool {
    return (bitcast<u32>(x) & u32(0x7fffffffu)) > u32(0x7f800000u);
}

fn keep_nan_vec4f(y: vec4f, x: vec4f) -> vec4f {
    return select(y, x, is_nan_vec4f(x));
}

fn keep_nan_f32(y: f32, x: f32) -> f32 {
    return select(y, x, is_nan_f32(x));
}

fn max_vec4f(a: vec4f, b: vec4f) -> vec4f {
    return keep_nan_vec4f(keep_nan_vec4f(max(a, b), b), a);
}

fn max_f32(a: f32, b: f32) -> f32 {
    return keep_nan_f32(keep_nan_f32(max(a, b), b), a);
}

fn exp_vec4f(x: vec4f) -> vec4f {
    let c = clamp(x, vec4f(-104.0), vec4f(89.0));
    let n = floor(c * 1.44269504 + 0.5);
    let r = (c - n * 0.693359375) + n * 2.12194440e-4;
    let p = (((1.3926927e-3 * r + 8.3637741e-3) * r + 4.1666549e-2) * r + 0.16666573) * r + 0.5;
    let y = (p * r) * r + r + 1.0;
    let whole = vec4i(n);
    let half = whole >> vec4u(1u);
    let low = bitcast<vec4f>((half + 127) << vec4u(23u));
    let high = bitcast<vec4f>((whole - half + 127) << vec4u(23u));
    return keep_nan_vec4f((y * low) * high, x);
}

fn part_0(group: u32, lane: u32, at: u32) {
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
    let v3 = 3.4028234663852886e38f;
    let v5 = 0.0f;
    var f1_0 = vec4f(bitcast<f32>(4286578688u | args[at].z));
    for (var j = lane * 4u; j < n5; j += 256u) {
        let v0_0 = get_vec4f_b0(n6 + n7 * row + j);
        f1_0 = max_vec4f(f1_0, v0_0);
    }
    let v1 = tree_max(max_f32(max_f32(f1_0.x, f1_0.y), max_f32(f1_0.z, f1_0.w)), lane);
    let v2 = abs(v1);
    let v4 = select(u32(0u), u32(1u), v2 <= v3);
    let v6 = select(v5, v1, v4 != u32(0u));
    var f9_0 = vec4f(0.0);
    for (var j = lane * 4u; j < n5; j += 256u) {
        let v0_0 = get_vec4f_b0(n6 + n7 * row + j);
        let v7_0 = v0_0 - vec4f(v6);
        let v8_0 = exp_vec4f(v7_0);
        f9_0 = f9_0 + v8_0;
    }
    let v9 = tree_sum(((f9_0.x + f9_0.y) + (f9_0.z + f9_0.w)), lane);
    for (var j = lane * 4u; j < n5; j += 256u) {
        let v0_0 = get_vec4f_b0(n6 + n7 * row + j);
        let v7_0 = v0_0 - vec4f(v6);
        let v8_0 = exp_vec4f(v7_0);
        let v10_0 = v8_0 / vec4f(v9);
        let at_0 = row * n5 + j;
        put_vec4f_b1(n8 + at_0, v10_0);
    }
    if (lane == 0u) {
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    let group = id.y * args[0u].y + id.x;
    if (group < args[0u].x) {
        part_0(group - args[0u].w, lane, 0u);
    }
}
