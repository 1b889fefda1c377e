// adam: Adam's step of a network 64-128-10: all parameters in one pass over their arena.
//
// Written for hardware without subgroups: map_four_masked.
// Started as 38 x 1 workgroups of 64 invocations, with these words:
//   38 38 0 0 | 2402 0 0 0 | 0 0 1 0 | 0 0 9610 2
// The plan, with the buffers named as below:
//   map %82 %97 %88 … %148 over [9610]
//     v0 = f32 b1[0 + i0]
//     v1 = 0.9
//     v2 = mul v0 v1
//     v3 = f32 b2[0 + i0]
//     v4 = 0.1
//     v5 = mul v3 v4
//     v6 = add v2 v5
//     v7 = f32 b3[0 + i0]
//     v8 = f32 b0[0]
//     v9 = mul v6 v8
//     v10 = f32 b4[0 + i0]
//     v11 = 0.999
//     v12 = mul v10 v11
//     v13 = mul v3 v3
//     v14 = 0.001
//     v15 = mul v13 v14
//     v16 = add v12 v15
//     v17 = sqrt v16
//     v18 = f32 b0[1]
//     v19 = mul v17 v18
//     v20 = 1e-8
//     v21 = add v19 v20
//     v22 = div v9 v21
//     v23 = sub v7 v22
//     b1+0 <- v6
//     b3+0 <- v23
//     b4+0 <- v16

@group(0) @binding(0) var<uniform> args: array<vec4u, 16>;
@group(0) @binding(1) var<storage, read> b0: array<f32>;
fn get_f32_b0(i: u32) -> f32 { return b0[i]; }
@group(0) @binding(2) var<storage, read_write> b1: array<vec4f>;
fn get_vec4f_b1(i: u32) -> vec4f { return b1[i >> 2u]; }
fn put_vec4f_b1(i: u32, v: vec4f) { b1[i >> 2u] = v; }
@group(0) @binding(3) var<storage, read> b2: array<vec4f>;
fn get_vec4f_b2(i: u32) -> vec4f { return b2[i >> 2u]; }
@group(0) @binding(4) var<storage, read_write> b3: array<vec4f>;
fn get_vec4f_b3(i: u32) -> vec4f { return b3[i >> 2u]; }
fn put_vec4f_b3(i: u32, v: vec4f) { b3[i >> 2u] = v; }
@group(0) @binding(5) var<storage, read_write> b4: array<vec4f>;
fn get_vec4f_b4(i: u32) -> vec4f { return b4[i >> 2u]; }
fn put_vec4f_b4(i: u32, v: vec4f) { b4[i >> 2u] = v; }

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
    let n15 = args[at + 3u].w;
    let v1 = 0.9f;
    let v4 = 0.1f;
    let v8 = get_f32_b0(n8);
    let v11 = 0.999f;
    let v14 = 0.001f;
    let v18 = get_f32_b0(n10);
    let v20 = 1e-8f;
    let count = n4;
    let run = 1u;
    let size = 64u;
    for (var r = 0u; r < run; r += 1u) {
        let chunk = (group * run + r) * size + lane;
        if (chunk >= count) {
            break;
        }
        let x = chunk * 4u;
        let v0 = get_vec4f_b1(n5 + x);
        let v2 = v0 * vec4f(v1);
        let v3 = get_vec4f_b2(n6 + x);
        let v5 = v3 * vec4f(v4);
        let v6 = v2 + v5;
        let v7 = get_vec4f_b3(n7 + x);
        let v9 = v6 * vec4f(v8);
        let v10 = get_vec4f_b4(n9 + x);
        let v12 = v10 * vec4f(v11);
        let v13 = v3 * v3;
        let v15 = v13 * vec4f(v14);
        let v16 = v12 + v15;
        let v17 = sqrt(v16);
        let v19 = v17 * vec4f(v18);
        let v21 = v19 + vec4f(v20);
        let v22 = v9 / v21;
        let v23 = v7 - v22;
        put_vec4f_b1(n11 + x, v6);
        put_vec4f_b3(n12 + x, v23);
        put_vec4f_b4(n13 + x, v16);
    }
    if (group == 0u && lane < 1u) {
        let chunk = n4 + lane;
        let x = chunk * 4u;
        let v0 = get_vec4f_b1(n5 + (x + min(0u, n15 - 1u)));
        let v2 = v0 * vec4f(v1);
        let v3 = get_vec4f_b2(n6 + (x + min(0u, n15 - 1u)));
        let v5 = v3 * vec4f(v4);
        let v6 = v2 + v5;
        let v7 = get_vec4f_b3(n7 + (x + min(0u, n15 - 1u)));
        let v9 = v6 * vec4f(v8);
        let v10 = get_vec4f_b4(n9 + (x + min(0u, n15 - 1u)));
        let v12 = v10 * vec4f(v11);
        let v13 = v3 * v3;
        let v15 = v13 * vec4f(v14);
        let v16 = v12 + v15;
        let v17 = sqrt(v16);
        let v19 = v17 * vec4f(v18);
        let v21 = v19 + vec4f(v20);
        let v22 = v9 / v21;
        let v23 = v7 - v22;
        let inside = vec4u(0u, 1u, 2u, 3u) < vec4u(n15);
        put_vec4f_b1(n11 + x, select(get_vec4f_b1(n11 + x), v6, inside));
        put_vec4f_b3(n12 + x, select(get_vec4f_b3(n12 + x), v23, inside));
        put_vec4f_b4(n13 + x, select(get_vec4f_b4(n13 + x), v16, inside));
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    let group = id.y * args[0u].y + id.x;
    if (group < args[0u].x) {
        part_0(group - args[0u].w, lane, 0u);
    }
}
