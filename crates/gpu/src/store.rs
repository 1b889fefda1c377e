//! Writing results.

use std::fmt::Write;

use wgrad_core::plan::ValueId;

use crate::emit::{Body, Names, Shared, Widths};
use crate::slots::is_aligned;

/// Writes the stores whose value `choose` takes, at the point with the given position; `aligned` says that the position of four
/// points is a multiple of four.
#[expect(clippy::too_many_arguments, reason = "a store needs the body, the point and what is shared")]
pub(crate) fn stores(
    body: &Body<'_>,
    out: &mut String,
    position: &str,
    wide: bool,
    aligned: bool,
    (names, widths): (&Names, &Widths),
    shared: &mut Shared,
    choose: impl Fn(ValueId) -> bool,
) {
    for (at, store) in body.kernel.stores.iter().enumerate() {
        if choose(store.value) {
            let value = body.value(store.value, wide, names, widths);
            body.store(out, at, position, &value, (wide, aligned), shared);
        }
    }
}

impl Body<'_> {
    /// Writes a store of a value at the point whose position in the space is the text `position`: one point, or four from a
    /// position that is a multiple of four if `aligned`.
    pub(crate) fn store(
        &self,
        out: &mut String,
        store: usize,
        position: &str,
        value: &str,
        form: (bool, bool),
        shared: &mut Shared,
    ) {
        let address = format!("{} + {position}", self.stores[store]);
        self.store_at(out, store, &address, value, form, shared);
    }

    /// The same with the text of the index in the buffer.
    pub(crate) fn store_at(
        &self,
        out: &mut String,
        store: usize,
        address: &str,
        value: &str,
        (wide, aligned): (bool, bool),
        shared: &mut Shared,
    ) {
        let place = self.kernel.stores[store].place;
        let dtype = self.dtypes[self.kernel.stores[store].value.index()];
        if wide && !(aligned && is_aligned(place)) {
            let put = shared.slots.put(place.buffer, dtype, false);
            for (lane, component) in ["x", "y", "z", "w"].iter().enumerate() {
                let _ = writeln!(out, "{put}({address} + {lane}u, ({value}).{component});");
            }
        } else {
            let put = shared.slots.put(place.buffer, dtype, wide);
            let _ = writeln!(out, "{put}({address}, {value});");
        }
    }

    /// Writes a store of those of four values that `mask` takes, rewriting the others: nothing else writes them meanwhile.
    pub(crate) fn store_masked(
        &self,
        out: &mut String,
        store: usize,
        position: &str,
        value: &str,
        mask: &str,
        shared: &mut Shared,
    ) {
        let place = self.kernel.stores[store].place;
        let dtype = self.dtypes[self.kernel.stores[store].value.index()];
        let (get, put) = (shared.slots.get(place.buffer, dtype, true), shared.slots.put(place.buffer, dtype, true));
        let at = format!("{} + {position}", self.stores[store]);
        let _ = writeln!(out, "{put}({at}, select({get}({at}), {value}, {mask}));");
    }

    /// Writes a store, to an index in the buffer and following ones, of those of four values whose lane is inside of the space.
    pub(crate) fn store_some(
        &self,
        out: &mut String,
        store: usize,
        address: &str,
        value: &str,
        inside: &dyn Fn(usize) -> String,
        shared: &mut Shared,
    ) {
        let place = self.kernel.stores[store].place;
        let dtype = self.dtypes[self.kernel.stores[store].value.index()];
        let put = shared.slots.put(place.buffer, dtype, false);
        for (lane, component) in ["x", "y", "z", "w"].iter().enumerate() {
            let condition = inside(lane);
            let _ = writeln!(out, "if ({condition}) {{ {put}({address} + {lane}u, ({value}).{component}); }}");
        }
    }
}
