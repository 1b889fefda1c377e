//! No barrier in control flow that differs between the invocations of a workgroup: naga accepts that, browsers refuse it, and on
//! real GPUs it hangs or reads what is not yet written.
//!
//! The rules are those of WGSL's uniformity analysis, made a little stricter by looking at a variable as a whole and not at each
//! of its assignments: it differs if anything assigned to it differs, or is assigned where control flow differs. What comes from
//! an invocation's number, from memory that the kernel writes, or from a subgroup differs; workgroup numbers, uniform buffers and
//! read-only buffers at an index that does not differ do not. After a `return`, `break` or `continue` that only some invocations
//! take, control flow differs until the function, or the loop, ends.

use std::collections::HashMap;

use naga::{
    AddressSpace, Arena, Binding, Block, BuiltIn, Expression, Function, Handle, Module, Span, Statement, StorageAccess,
};

/// Where a difference between invocations comes from; `None` where there is none.
type Cause = Option<Span>;

/// Finds the first barrier, or other operation that needs all invocations, in control flow that may differ.
///
/// # Errors
/// Which, and where the difference comes from.
pub fn check(module: &Module, wgsl: &str) -> Result<(), String> {
    let mut analysis = Analysis { module, known: HashMap::new(), found: None };
    for entry in &module.entry_points {
        let arguments = entry.function.arguments.iter().map(|argument| match argument.binding {
            Some(Binding::BuiltIn(BuiltIn::WorkGroupId | BuiltIn::NumWorkGroups)) => None,
            _ => Some(Span::UNDEFINED),
        });
        analysis.function(&entry.function, arguments.collect(), None);
    }
    if module.entry_points.is_empty() {
        for (_, function) in module.functions.iter() {
            analysis.function(function, vec![Some(Span::UNDEFINED); function.arguments.len()], None);
        }
    }
    let Some((barrier, cause)) = analysis.found else { return Ok(()) };
    let line = |span: Span| {
        let number = span.location(wgsl).line_number as usize;
        (number, wgsl.lines().nth(number - 1).unwrap_or_default().trim())
    };
    let (at, text) = line(barrier);
    let reason = if cause.is_defined() {
        let (at, text) = line(cause);
        format!("line {at}: {text}")
    } else {
        "an argument that differs".to_owned()
    };
    Err(format!("line {at}: '{text}' stands where control flow differs between invocations, because of {reason}"))
}

/// What is known about a function for the arguments and control flow that it is called with: the cause for its result.
type Known = HashMap<(*const Function, Vec<bool>, bool), Cause>;

struct Analysis<'m> {
    module: &'m Module,
    known: Known,
    /// The first offence: what, and because of what.
    found: Option<(Span, Span)>,
}

impl<'m> Analysis<'m> {
    fn function(&mut self, function: &'m Function, arguments: Vec<Cause>, control: Cause) -> Cause {
        let key = (std::ptr::from_ref(function), arguments.iter().map(Option::is_some).collect(), control.is_some());
        if let Some(result) = self.known.get(&key) {
            return *result;
        }
        let mut walk = Walk {
            expressions: &function.expressions,
            arguments,
            values: vec![None; function.expressions.len()],
            results: HashMap::new(),
            locals: vec![None; function.local_variables.len()],
            result: None,
            changed: true,
            analysis: self,
        };
        // Causes are only ever added, so this ends.
        while std::mem::take(&mut walk.changed) {
            walk.evaluate();
            walk.block(&function.body, control, &mut Exits::default());
        }
        let result = walk.result;
        self.known.insert(key, result);
        result
    }
}

/// Statements that leave a function, loop or iteration and are not taken by all invocations.
#[derive(Debug, Default)]
struct Exits {
    returned: Cause,
    broken: Cause,
    continued: Cause,
}

impl Exits {
    fn any(&self) -> Cause {
        self.returned.or(self.broken).or(self.continued)
    }
}

struct Walk<'a, 'm> {
    analysis: &'a mut Analysis<'m>,
    expressions: &'m Arena<Expression>,
    arguments: Vec<Cause>,
    values: Vec<Cause>,
    /// Of calls.
    results: HashMap<Handle<Expression>, Cause>,
    locals: Vec<Cause>,
    result: Cause,
    changed: bool,
}

impl<'m> Walk<'_, 'm> {
    fn value(&self, handle: Handle<Expression>) -> Cause {
        self.values[handle.index()]
    }

    fn any(&self, handles: impl IntoIterator<Item = Handle<Expression>>) -> Cause {
        handles.into_iter().find_map(|handle| self.value(handle))
    }

    /// All expressions, which come after what they are made of.
    fn evaluate(&mut self) {
        use Expression as E;
        for (handle, expression) in self.expressions.iter() {
            let itself = Some(self.expressions.get_span(handle));
            let cause = match expression {
                E::Literal(_) | E::Constant(_) | E::Override(_) | E::ZeroValue(_) => None,
                E::GlobalVariable(_) | E::LocalVariable(_) | E::ArrayLength(_) => None,
                E::WorkGroupUniformLoadResult { .. } => None,
                E::FunctionArgument(index) => self.arguments[*index as usize].and(itself),
                E::CallResult(_) => self.results.get(&handle).copied().flatten().and(itself),
                E::Load { pointer } => self.value(*pointer).or(self.memory(*pointer).and(itself)),
                E::Compose { components, .. } => self.any(components.iter().copied()),
                E::Access { base, index } => self.any([*base, *index]),
                E::AccessIndex { base, .. } => self.value(*base),
                E::Splat { value, .. } => self.value(*value),
                E::Swizzle { vector, .. } => self.value(*vector),
                E::Unary { expr, .. } | E::As { expr, .. } => self.value(*expr),
                E::Binary { left, right, .. } => self.any([*left, *right]),
                E::Select { condition, accept, reject } => self.any([*condition, *accept, *reject]),
                E::Relational { argument, .. } => self.value(*argument),
                E::Math { arg, arg1, arg2, arg3, .. } => {
                    self.any([Some(*arg), *arg1, *arg2, *arg3].into_iter().flatten())
                }
                // What differs by nature, and what no kernel uses.
                E::AtomicResult { .. } | E::SubgroupBallotResult | E::SubgroupOperationResult { .. } => itself,
                E::ImageSample { .. } | E::ImageLoad { .. } | E::ImageQuery { .. } | E::Derivative { .. } => itself,
                E::RayQueryVertexPositions { .. } | E::RayQueryProceedResult | E::RayQueryGetIntersection { .. } => {
                    itself
                }
                E::CooperativeLoad { .. } | E::CooperativeMultiplyAdd { .. } => itself,
            };
            self.values[handle.index()] = cause;
        }
    }

    /// Whether what lies in memory differs, wherever the pointer points.
    fn memory(&self, pointer: Handle<Expression>) -> Cause {
        match &self.expressions[pointer] {
            Expression::LocalVariable(local) => self.locals[local.index()],
            Expression::GlobalVariable(global) => match self.analysis.module.global_variables[*global].space {
                AddressSpace::Uniform => None,
                AddressSpace::Storage { access } if !access.contains(StorageAccess::STORE) => None,
                _ => Some(self.expressions.get_span(pointer)),
            },
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => self.memory(*base),
            _ => Some(self.expressions.get_span(pointer)),
        }
    }

    /// Notes that what differs was written where a pointer points; only variables of the function are followed.
    fn write(&mut self, pointer: Handle<Expression>, cause: Cause) {
        match &self.expressions[pointer] {
            Expression::LocalVariable(local) => {
                let known = &mut self.locals[local.index()];
                self.changed |= known.is_none() && cause.is_some();
                *known = known.or(cause);
            }
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => self.write(*base, cause),
            _ => {}
        }
    }

    fn demand(&mut self, what: Span, control: Cause) {
        if let (Some(cause), None) = (control, self.analysis.found) {
            self.analysis.found = Some((what, cause));
        }
    }

    /// Walks a block that is entered with a control flow, and gives that after it.
    fn block(&mut self, block: &'m Block, mut control: Cause, exits: &mut Exits) -> Cause {
        use Statement as S;
        for (statement, &span) in block.span_iter() {
            match statement {
                S::Emit(_) | S::ImageStore { .. } | S::MemoryBarrier(_) => {}
                S::Block(inner) => control = self.block(inner, control, exits),
                S::If { condition, accept, reject } => {
                    let inside = control.or(self.value(*condition));
                    self.block(accept, inside, exits);
                    self.block(reject, inside, exits);
                    control = control.or(exits.any());
                }
                S::Switch { selector, cases } => {
                    let inside = control.or(self.value(*selector));
                    let mut own = Exits::default();
                    for case in cases {
                        let entered = inside.or(own.any());
                        self.block(&case.body, entered, &mut own);
                    }
                    exits.returned = exits.returned.or(own.returned);
                    exits.continued = exits.continued.or(own.continued);
                    control = control.or(exits.any());
                }
                S::Loop { body, continuing, break_if } => {
                    let mut own = Exits::default();
                    // Invocations that leave an iteration early are missing in the next one.
                    for _ in 0..2 {
                        let entered = control.or(own.any());
                        let after = self.block(body, entered, &mut own);
                        self.block(continuing, after.or(own.any()), &mut own);
                        own.broken = own.broken.or(break_if.and_then(|condition| self.value(condition)));
                    }
                    exits.returned = exits.returned.or(own.returned);
                    control = control.or(exits.any());
                }
                S::Break => exits.broken = exits.broken.or(control),
                S::Continue => exits.continued = exits.continued.or(control),
                S::Return { value } => {
                    let cause = control.or(value.and_then(|value| self.value(value)));
                    self.result = self.result.or(cause);
                    exits.returned = exits.returned.or(control);
                }
                S::Kill => exits.returned = exits.returned.or(control),
                S::Store { pointer, value } => self.write(*pointer, control.or(self.any([*pointer, *value]))),
                S::Call { function, arguments, result } => {
                    let causes: Vec<Cause> = arguments.iter().map(|&argument| self.value(argument)).collect();
                    let called = &self.analysis.module.functions[*function];
                    let cause = self.analysis.function(called, causes, control);
                    for &argument in arguments {
                        // A function may write anything through a pointer.
                        self.write(argument, Some(span));
                    }
                    if let (Some(result), Some(cause)) = (result, cause) {
                        self.changed |= self.results.insert(*result, Some(cause)).is_none();
                    }
                }
                S::ControlBarrier(_) | S::WorkGroupUniformLoad { .. } => self.demand(span, control),
                S::SubgroupBallot { .. } | S::SubgroupGather { .. } | S::SubgroupCollectiveOperation { .. } => {
                    self.demand(span, control);
                }
                S::CooperativeStore { .. } => self.demand(span, control),
                S::Atomic { pointer, .. } => self.write(*pointer, Some(span)),
                S::ImageAtomic { .. } | S::RayQuery { .. } | S::RayPipelineFunction(_) => {}
            }
        }
        control
    }
}
