//! Binding slots of a dispatch: each buffer is bound once, and how it is declared follows from how its kernels touch it.
//!
//! Kernels never name a binding; they call accessor functions, which are written here once all kernels of the dispatch are known.
//! A buffer is declared as vectors of four where somebody reads or writes it so and nobody writes single elements: a component
//! of a vector must never be written on its own, because drivers may do so by rewriting its neighbours.

use std::collections::BTreeSet;
use std::fmt::Write;

use wgrad_core::DType;
use wgrad_core::plan::{BufferId, Place};

use crate::texture::{Texture, WIDTH};

/// The buffers of one dispatch in order of first use, which makes the text independent of their numbers in the plan.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    slots: Vec<Slot>,
    /// The texture that kernels read, if there is one.
    texture: Option<Texture>,
    /// As what that is read: the element type, and whether in fours.
    texture_uses: BTreeSet<(DType, bool)>,
}

#[derive(Debug)]
struct Slot {
    buffer: BufferId,
    uses: BTreeSet<Use>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Use {
    dtype: DType,
    wide: bool,
    write: bool,
}

/// WGSL name of an element type, or of four elements.
pub(crate) const fn type_name(dtype: DType, wide: bool) -> &'static str {
    match (dtype, wide) {
        (DType::F32, false) => "f32",
        (DType::U32, false) => "u32",
        (DType::F32, true) => "vec4f",
        (DType::U32, true) => "vec4u",
    }
}

/// Whether a place can be written in fours.
pub(crate) const fn is_aligned(place: Place) -> bool {
    place.offset.is_multiple_of(4)
}

impl Slots {
    /// No buffers yet. A number that no buffer of the plan has stands for the texture.
    pub(crate) fn new(texture: Option<&Texture>) -> Self {
        Self { texture: texture.cloned(), ..Self::default() }
    }

    /// Whether this is what stands for the texture.
    pub(crate) fn is_texture(&self, buffer: BufferId) -> bool {
        self.texture.as_ref().is_some_and(|texture| texture.id() == buffer)
    }

    /// Where the texture shows a place of a buffer, if it does, and the function that reads four elements there.
    pub(crate) fn shown(&mut self, place: Place) -> Option<(String, usize)> {
        let texture = self.texture.as_ref()?;
        let (id, start) = (texture.id(), texture.starts[place.buffer.index()]?);
        Some((self.get(id, DType::F32, true), start + place.offset))
    }

    /// The function that reads the element at an index, or the four from an index that is a multiple of four.
    pub(crate) fn get(&mut self, buffer: BufferId, dtype: DType, wide: bool) -> String {
        if self.is_texture(buffer) {
            self.texture_uses.insert((dtype, wide));
            return format!("get_{}_texture", type_name(dtype, wide));
        }
        let slot = self.note(buffer, Use { dtype, wide, write: false });
        format!("get_{}_b{slot}", type_name(dtype, wide))
    }

    /// The function that writes the element at an index, or the four from an index that is a multiple of four.
    pub(crate) fn put(&mut self, buffer: BufferId, dtype: DType, wide: bool) -> String {
        let slot = self.note(buffer, Use { dtype, wide, write: true });
        format!("put_{}_b{slot}", type_name(dtype, wide))
    }

    /// Binds a buffer that is read through the texture.
    pub(crate) fn bind(&mut self, buffer: BufferId) {
        self.position(buffer);
    }

    fn note(&mut self, buffer: BufferId, r#use: Use) -> usize {
        let position = self.position(buffer);
        self.slots[position].uses.insert(r#use);
        position
    }

    fn position(&mut self, buffer: BufferId) -> usize {
        match self.slots.iter().position(|s| s.buffer == buffer) {
            Some(position) => position,
            None => {
                self.slots.push(Slot { buffer, uses: BTreeSet::new() });
                self.slots.len() - 1
            }
        }
    }

    /// The buffers by binding (the first is binding 1), each with whether it is written.
    pub(crate) fn layout(&self) -> Vec<(BufferId, bool)> {
        self.slots.iter().map(|s| (s.buffer, s.is_written())).collect()
    }

    /// Whether the texture is bound, after the buffers.
    pub(crate) fn binds_texture(&self) -> bool {
        !self.texture_uses.is_empty()
    }

    /// Declarations of the bindings and of their accessor functions.
    pub(crate) fn declare(&self) -> String {
        let mut text = String::new();
        for (position, slot) in self.slots.iter().enumerate().filter(|(_, slot)| !slot.uses.is_empty()) {
            slot.declare(position, &mut text);
        }
        if self.binds_texture() {
            let binding = self.slots.len() + 1;
            let _ = writeln!(text, "@group(0) @binding({binding}) var words: texture_storage_2d<rgba32float, read>;");
            let at = format!("vec2u(texel & {}u, texel >> {}u)", WIDTH - 1, WIDTH.trailing_zeros());
            let _ = writeln!(text, "fn texel(texel: u32) -> vec4f {{ return textureLoad(words, {at}); }}");
        }
        for &(dtype, wide) in &self.texture_uses {
            let ty = type_name(dtype, wide);
            let lane = if wide { "" } else { "[i & 3u]" };
            let _ = writeln!(text, "fn get_{ty}_texture(i: u32) -> {ty} {{ return texel(i >> 2u){lane}; }}");
        }
        text
    }
}

impl Slot {
    fn is_written(&self) -> bool {
        self.uses.iter().any(|u| u.write)
    }

    fn declare(&self, position: usize, text: &mut String) {
        let wide = self.uses.iter().any(|u| u.wide) && !self.uses.iter().any(|u| u.write && !u.wide);
        let dtype = if self.uses.iter().all(|u| u.dtype == DType::F32) { DType::F32 } else { DType::U32 };
        let access = if self.is_written() { "read_write" } else { "read" };
        let element = type_name(dtype, wide);
        let name = format!("b{position}");
        let binding = position + 1;
        let _ = writeln!(text, "@group(0) @binding({binding}) var<storage, {access}> {name}: array<{element}>;");
        for u in &self.uses {
            let ty = type_name(u.dtype, u.wide);
            let cast = |value: &str, to: DType| match (u.dtype == dtype, u.wide) {
                (true, _) => value.to_owned(),
                (false, is_wide) => format!("bitcast<{}>({value})", type_name(to, is_wide)),
            };
            let body = match (u.write, u.wide, wide) {
                (false, true, true) => format!("return {};", cast(&format!("{name}[i >> 2u]"), u.dtype)),
                (false, false, false) => format!("return {};", cast(&format!("{name}[i]"), u.dtype)),
                (false, false, true) => format!("return {};", cast(&format!("{name}[i >> 2u][i & 3u]"), u.dtype)),
                (false, true, false) => {
                    let four = format!(
                        "{element_4}({name}[i], {name}[i + 1u], {name}[i + 2u], {name}[i + 3u])",
                        element_4 = type_name(dtype, true)
                    );
                    format!("return {};", cast(&four, u.dtype))
                }
                (true, true, true) => format!("{name}[i >> 2u] = {};", cast("v", dtype)),
                (true, false, _) => format!("{name}[i] = {};", cast("v", dtype)),
                (true, true, false) => {
                    let v = cast("v", dtype);
                    format!(
                        "let w = {v}; {name}[i] = w.x; {name}[i + 1u] = w.y; {name}[i + 2u] = w.z; {name}[i + 3u] = w.w;"
                    )
                }
            };
            let _ = if u.write {
                writeln!(text, "fn put_{ty}_{name}(i: u32, v: {ty}) {{ {body} }}")
            } else {
                writeln!(text, "fn get_{ty}_{name}(i: u32) -> {ty} {{ {body} }}")
            };
        }
    }
}
