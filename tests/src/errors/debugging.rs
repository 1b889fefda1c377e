//! Errors of debugging, and of the oracle that it compares with.

use wgrad::debug::{self, GradOptions};
use wgrad::{
    Builder, Entry, EntryId, Error, FeedId, Fetch, HostSlice, Init, NodeId, Op, Program, Role, Scalar, TensorType,
    VarId,
};
use wgrad_cpu_ref::oracle::{Environment, eval};
use wgrad_cpu_ref::{Oracle, OracleFeed};

use super::{Doing, List};

pub(super) fn add(list: &mut List) -> Result<(), Error> {
    let doing = Doing::Debugging;
    let program = lookup()?;
    let (table, rows) = ([0.5; 6], [0, 1]);
    let feeds = [HostSlice::F32(&table), HostSlice::U32(&rows)];
    list.add(doing, "Gradients of what is no loss", debug::gradcheck(&program, &feeds));
    let options = GradOptions { entry: Some("train"), ..GradOptions::default() };
    list.add(doing, "An entry that is not there", debug::gradcheck_with(&program, &feeds, &options));
    let none = Program { graph: Builder::new().into_graph(), entries: vec![] };
    list.add(doing, "A program without entries", debug::gradcheck(&none, &[]));

    let mut oracle = Oracle::new(&program)?;
    let entry = EntryId::from_index(0);
    let (x, y) = (OracleFeed::F64(&[0.5; 6]), OracleFeed::U32(&rows));
    list.add(doing, "A feed too few", oracle.run(entry, &[x]));
    list.add(doing, "A feed of another length", oracle.run(entry, &[OracleFeed::F64(&[0.5; 5]), y]));
    list.add(doing, "A feed of another type", oracle.run(entry, &[OracleFeed::U32(&[0; 6]), y]));
    list.add(doing, "An index that is computed, and out of range", oracle.run(entry, &[x, OracleFeed::U32(&[0, 2])]));
    list.add(doing, "An entry of another program", oracle.run(EntryId::from_index(5), &[]));
    list.add(doing, "A variable of another program", oracle.write(VarId::from_index(9), &[]));
    list.add(doing, "A number that is no integer", oracle.write(VarId::from_index(0), &[0.5]));
    list.add(
        doing,
        "An integer beyond its bound",
        Oracle::new(&bounded()?)?.run(entry, &[x, OracleFeed::U32(&[0, 3])]),
    );
    list.add(
        doing,
        "A node of another graph",
        eval(&program.graph, &[NodeId::from_index(99)], &Environment::default()),
    );
    let table = program.graph.ids().find(|&id| matches!(program.graph[id].op, Op::Feed(_)));
    let table: Vec<NodeId> = table.into_iter().collect();
    list.add(doing, "A feed that nobody gave", eval(&program.graph, &table, &Environment::default()));
    let mut broken = program;
    for entry in &mut broken.entries {
        entry.feeds.clear();
    }
    list.add(doing, "A program that contradicts itself", Oracle::new(&broken).map(|_| ()));
    Ok(())
}

/// Rows of a table by numbers; one more than the number fed, or the number itself, which is then bounded.
fn gather(added: Option<u32>) -> Result<Program, Error> {
    let b = Builder::new();
    b.variable("count", TensorType::u32([1]), Init::Fill(Scalar::U32(0)), Role::Other)?;
    let table = b.feed("table", TensorType::f32([3, 2]))?;
    let number = b.feed("rows", TensorType::u32([2]))?;
    let index = match added {
        Some(added) => number.add(added)?,
        None => number,
    };
    let fetches = vec![Fetch { name: "found".to_owned(), node: table.gather(index)?.id() }];
    let feeds = vec![FeedId::from_index(0), FeedId::from_index(1)];
    let entry = Entry { name: "look up".to_owned(), feeds, fetches, updates: vec![] };
    Ok(Program { graph: b.into_graph(), entries: vec![entry] })
}

fn lookup() -> Result<Program, Error> {
    gather(Some(1))
}

fn bounded() -> Result<Program, Error> {
    gather(None)
}
