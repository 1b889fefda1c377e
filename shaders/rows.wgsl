// Rows folded in order, an invocation for each row, or for four neighbouring rows. The body walks the row as often as its folds
// depend on each other.

//# hole standalone
@group(0) @binding(0) var<uniform> args: array<vec4u, 2>;
@group(0) @binding(1) var<storage, read> b0: array<f32>;
@group(0) @binding(2) var<storage, read_write> b1: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    part(id.x, lane, 0u);
}
//# end

fn part(group: u32, lane: u32, at: u32) {
    //# hole names
    let count = args[at + 1u].x;
    let row_length = args[at + 1u].y;
    let size = 64u;
    //# end
    let item = group * size + lane;
    if (item < count) {
        //# hole body
        var f0 = 0.0;
        for (var j = 0u; j < row_length; j += 1u) {
            f0 += b0[item * row_length + j];
        }
        b1[item] = f0;
        //# end
    }
}
