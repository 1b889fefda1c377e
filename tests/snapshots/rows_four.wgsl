// rows_four: sum of [9, 8] over rows: an invocation for four columns.
//
// Written for hardware without subgroups: rows_four.
// Started as 1 x 1 workgroups of 64 invocations, with these words:
//   1 1 0 0 | 2 9 0 8 | 0 8
// The plan, with the buffers named as below:
//   rows %1 %2 over [8, 9]
//     v0 = f32 b0[0 + i0 + 8*i1]
//     v1 = fold sum v0
//     b1+0 <- v1

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
    let row_length = n5;
    let size = 64u;
    let count = n4;
    let item = group * size + lane;
    if (item < count) {
        let row = item * 4u;
        var f1_0 = vec4f(0.0);
        var f1_1 = vec4f(0.0);
        var f1_2 = vec4f(0.0);
        var f1_3 = vec4f(0.0);
        var t1 = vec4f(0.0);
        for (var j = 0u; j < (n5 & 0xfffffffcu); j += 4u) {
            let v0_0 = get_vec4f_b0(n6 + row + n7 * j);
            f1_0 = f1_0 + v0_0;
            let v0_1 = get_vec4f_b0(n6 + row + n7 * (j + 1u));
            f1_1 = f1_1 + v0_1;
            let v0_2 = get_vec4f_b0(n6 + row + n7 * (j + 2u));
            f1_2 = f1_2 + v0_2;
            let v0_3 = get_vec4f_b0(n6 + row + n7 * (j + 3u));
            f1_3 = f1_3 + v0_3;
        }
        for (var j = (n5 & 0xfffffffcu); j < n5; j += 1u) {
            let v0_t = get_vec4f_b0(n6 + row + n7 * j);
            t1 = t1 + v0_t;
        }
        let v1 = (((f1_0 + f1_1) + (f1_2 + f1_3)) + t1);
        put_vec4f_b1(n8 + row, v1);
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    let group = id.y * args[0u].y + id.x;
    if (group < args[0u].x) {
        part_0(group - args[0u].w, lane, 0u);
    }
}
