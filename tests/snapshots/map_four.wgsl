// map_four: sigmoid(x) * y, [6, 8] and [8]: four points at a time.
//
// Written for hardware without subgroups: map_four.
// Started as 1 x 1 workgroups of 64 invocations, with these words:
//   1 1 0 0 | 12 0 8 48 | 0 6 8
// The plan, with the buffers named as below:
//   map %4 over [6, 8]
//     v0 = f32 b0[0 + 8*i0 + i1]
//     v1 = sigmoid v0
//     v2 = f32 b0[48 + i1]
//     v3 = mul v1 v2
//     b1+0 <- v3

@group(0) @binding(0) var<uniform> args: array<vec4u, 16>;
@group(0) @binding(1) var<storage, read> b0: array<vec4f>;
fn get_vec4f_b0(i: u32) -> vec4f { return b0[i >> 2u]; }
@group(0) @binding(2) var<storage, read_write> b1: array<vec4f>;
fn put_vec4f_b1(i: u32, v: vec4f) { b1[i >> 2u] = v; }

fn is_nan_vec4f(x: vec4f) -> vec4<bool> {
    return (bitcast<vec4u>(x) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
}

fn keep_nan_vec4f(y: vec4f, x: vec4f) -> vec4f {
    return select(y, x, is_nan_vec4f(x));
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

fn sigmoid_vec4f(x: vec4f) -> vec4f {
    let e = exp_vec4f(-abs(x));
    return select(e, vec4f(1.0), x >= vec4f(0.0)) / (1.0 + e);
}

fn part_0(group: u32, lane: u32, at: u32) {
    let n4 = args[at + 1u].x;
    let n5 = args[at + 1u].y;
    let n6 = args[at + 1u].z;
    let n7 = args[at + 1u].w;
    let n8 = args[at + 2u].x;
    let n9 = args[at + 2u].y;
    let n10 = args[at + 2u].z;
    let count = n4;
    let run = 1u;
    let size = 64u;
    for (var r = 0u; r < run; r += 1u) {
        let chunk = (group * run + r) * size + lane;
        if (chunk >= count) {
            break;
        }
        let x = chunk * 4u;
        let c1 = x % n10;
        let cr1 = x / n10;
        let c0 = cr1;
        let v0 = get_vec4f_b0(n5 + n6 * c0 + c1);
        let v1 = sigmoid_vec4f(v0);
        let v2 = get_vec4f_b0(n7 + c1);
        let v3 = v1 * v2;
        put_vec4f_b1(n8 + x, v3);
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    let group = id.y * args[0u].y + id.x;
    if (group < args[0u].x) {
        part_0(group - args[0u].w, lane, 0u);
    }
}
