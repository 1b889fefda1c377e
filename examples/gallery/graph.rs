//! A computation graph with its backward pass, as a picture and as text in the DOT language.

use std::fmt::Write as _;

use anyhow::Result;
use wgrad::{Builder, Entry, FeedId, Fetch, Graph, Init, NodeId, Op, Program, Role, TensorType, simplify};
use wgrad_examples::chart::Colour;

use crate::graph_svg;
use crate::pictures::Page;

/// A graph with what is to be known of its nodes.
pub(crate) struct Drawing {
    pub(crate) graph: Graph,
    /// The nodes that the loss needs; all others are of the backward pass.
    forward: Vec<bool>,
    /// What comes out, by name.
    outputs: Vec<(String, NodeId)>,
}

/// `(sigmoid(w·x + b) - t)²` with its derivatives by `w` and `b`, without what nothing needs.
fn drawing() -> Result<Drawing> {
    let builder = Builder::new();
    let x = builder.feed("x", TensorType::f32([3]))?;
    let t = builder.feed("t", TensorType::f32([]))?;
    let start = Init::F32([0.1, -0.2, 0.3].into());
    let w = builder.variable("w", TensorType::f32([3]), start, Role::Parameter)?;
    let b = builder.variable("b", TensorType::f32([]), Init::F32([0.0].into()), Role::Parameter)?;
    let product = w.mul(x)?.named("products").sum_all()?.named("w·x");
    let y = product.add(b)?.named("z").sigmoid()?.named("y");
    let error = y.sub(t)?.named("error");
    let loss = error.mul(error)?.named("loss");
    let gradients = builder.grad(loss, &[w, b])?;
    let named = [("loss", loss), ("gradient of w", gradients[0]), ("gradient of b", gradients[1])];
    let fetches = named.map(|(name, tensor)| Fetch { name: name.to_owned(), node: tensor.id() }).to_vec();
    let feeds = vec![FeedId::from_index(0), FeedId::from_index(1)];
    let entries = vec![Entry { name: "train".to_owned(), feeds, fetches, updates: vec![] }];
    let Program { graph, entries } = simplify(&Program { graph: builder.into_graph(), entries });
    let outputs: Vec<_> =
        entries.into_iter().flat_map(|entry| entry.fetches).map(|fetch| (fetch.name, fetch.node)).collect();
    let forward = graph.reachable(outputs.iter().take(1).map(|output| output.1));
    Ok(Drawing { graph, forward, outputs })
}

impl Drawing {
    pub(crate) fn nodes(&self) -> Vec<NodeId> {
        let needed = self.graph.reachable(self.outputs.iter().map(|output| output.1));
        self.graph.ids().filter(|id| needed[id.index()]).collect()
    }

    /// The two lines in a node's box.
    pub(crate) fn label(&self, id: NodeId) -> [String; 2] {
        let op = match &self.graph[id].op {
            Op::Splat { value, shape: _ } => format!("{}", value.to_f64()),
            other => other.name().replace('_', " "),
        };
        let output = self.outputs.iter().find(|output| output.1 == id).map(|output| output.0.as_str());
        let name = output.or_else(|| self.graph.name(id)).unwrap_or_default();
        [name.to_owned(), format!("{op} {}", self.graph.ty(id).shape)]
    }

    pub(crate) fn colour(&self, id: NodeId) -> Colour {
        if self.forward[id.index()] { Colour::Blue } else { Colour::Vermillion }
    }

    /// The graph in the DOT language.
    fn dot(&self) -> Result<String> {
        let mut out = "digraph gradient {\n  node [shape=box, fontname=\"sans-serif\"];\n".to_owned();
        for id in self.nodes() {
            let [name, op] = self.label(id);
            let label = if name.is_empty() { op } else { format!("{name}\\n{op}") };
            let colour = if self.forward[id.index()] { "#0072B2" } else { "#D55E00" };
            writeln!(out, "  n{} [label=\"{label}\", color=\"{colour}\"];", id.index())?;
            for operand in self.graph[id].op.operands() {
                writeln!(out, "  n{} -> n{} [color=\"{colour}\"];", operand.index(), id.index())?;
            }
        }
        out.push_str("}\n");
        Ok(out)
    }
}

/// The picture.
pub(crate) fn page() -> Result<Page> {
    let drawing = drawing()?;
    let nodes = drawing.nodes();
    let backward = nodes.iter().filter(|id| !drawing.forward[id.index()]).count();
    let text = format!(
        "The graph that `grad` makes of (sigmoid(w·x + b) − t)² with vectors of 3, simplified: {} nodes of the forward pass, and {backward} \
         that the derivatives by w and b add to the same graph, which use values of the forward pass again. The derivative of the square \
         is 2(y − t), that of the sigmoid y(1 − y), and the sum's is spread to all products. The same graph as text for Graphviz: \
         [graph.dot](graph.dot).",
        nodes.len() - backward
    );
    let files = vec![("graph.dot".to_owned(), drawing.dot()?)];
    Ok(Page { svg: graph_svg::svg(&drawing)?, text, files })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_drawn() {
        let drawing = drawing().unwrap();
        let (svg, dot) = (graph_svg::svg(&drawing).unwrap(), drawing.dot().unwrap());
        let nodes = drawing.nodes();
        assert!(
            nodes.iter().any(|id| drawing.forward[id.index()]) && nodes.iter().any(|id| !drawing.forward[id.index()])
        );
        for &id in &nodes {
            let [name, op] = drawing.label(id);
            assert!(
                svg.contains(&format!("\n{op}\n")) && svg.contains(&format!("\n{name}\n")) | name.is_empty(),
                "{op}"
            );
            assert!(dot.contains(&format!("  n{} [label=", id.index())), "{op}");
        }
        let edges: usize = nodes.iter().map(|&id| drawing.graph[id].op.operands().len()).sum();
        assert_eq!(dot.matches(" -> ").count(), edges);
        assert_eq!(
            svg.matches("<polyline").count() - nodes.len() - 2,
            unique_edges(&drawing),
            "an arrow for each edge"
        );
    }

    /// A node that takes an operand twice has one arrow from it.
    fn unique_edges(drawing: &Drawing) -> usize {
        let of = |id: &NodeId| drawing.graph[*id].op.operands().into_iter().collect::<std::collections::BTreeSet<_>>();
        drawing.nodes().iter().map(|id| of(id).len()).sum()
    }
}
