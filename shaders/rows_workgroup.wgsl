// Rows folded in a fixed order, a workgroup for each row: every invocation folds its share, then a tree folds the shares. All
// invocations know the row's values; the first one writes them.

//# hole standalone
@group(0) @binding(0) var<uniform> args: array<vec4u, 2>;
@group(0) @binding(1) var<storage, read> b0: array<f32>;
@group(0) @binding(2) var<storage, read_write> b1: array<f32>;
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
    return scratch[0u].x;
}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    part(id.x, lane, 0u);
}
//# end

fn part(group: u32, lane: u32, at: u32) {
    //# hole names
    let row_length = args[at + 1u].y;
    let size = 64u;
    //# end
    let item = group;
    //# hole body
    var f0 = 0.0;
    for (var j = lane; j < row_length; j += size) {
        f0 += b0[item * row_length + j];
    }
    let v0 = tree_sum(f0, lane);
    if (lane == 0u) {
        b1[item] = v0;
    }
    //# end
}
