//! What async-graphql lets through, refused before it validates and runs a request.
//!
//! - Fragments that spread each other again and again: the library walks them expanded before it counts
//!   anything, which takes time exponential in the document's length; and it counts no `__typename`. Those that
//!   no operation uses it follows to their end, until the stack overflows.
//! - A default value for a list of an unknown type: the library panics.
//! - Introspection where it is switched off: the library answers null, as if there were no schema.
//! - A required variable that is missing: the library runs what comes before the field that needs it. The
//!   specification (6.1.2) has nothing run.

use std::collections::{HashMap, HashSet};

use async_graphql::{
    Name, Pos, Positioned, Request, ServerError,
    parser::{
        parse_schema,
        types::{
            BaseType, DocumentOperations, ExecutableDocument, OperationDefinition, Selection, SelectionSet,
            Type, TypeSystemDefinition,
        },
    },
};

use crate::config::GraphqlConfig;

/// Selection sets in one another, fragments expanded. More than the library allows (32), so that it is the
/// library who says so; less than the stack holds.
const MAX_NESTING: usize = 64;

/// Types that every schema has, and none defines.
const BUILT_IN: [&str; 5] = ["Boolean", "Float", "ID", "Int", "String"];

/// The checks, as configured.
#[derive(Clone, Debug)]
pub(super) struct Preflight {
    max_selections: usize,
    introspection: bool,
    types: HashSet<Name>,
}

impl Preflight {
    /// For the schema that `sdl` describes.
    pub(super) fn new(config: &GraphqlConfig, sdl: &str) -> Self {
        // What cannot be parsed, which a test rules out, would leave variables of our own types refused.
        let defined = parse_schema(sdl).map(|schema| schema.definitions).unwrap_or_default();
        let defined = defined.into_iter().filter_map(|definition| match definition {
            TypeSystemDefinition::Type(definition) => Some(definition.node.name.node),
            _ => None,
        });
        Self {
            // Each field costs at least 1.
            max_selections: config.max_complexity,
            introspection: config.introspection,
            types: defined.chain(BUILT_IN.map(Name::new)).collect(),
        }
    }

    /// Checks the request. What the library checks itself is left to it.
    pub(super) fn check(&self, request: &mut Request) -> Result<(), ServerError> {
        let variables: Vec<Name> = request.variables.keys().cloned().collect();
        let operation_name = request.operation_name.clone();
        let document = request.parsed_query()?;

        let mut walk = Walk { document, expanded: HashMap::new(), introspection: None };
        let mut selections = 0_usize;
        for (_, operation) in document.operations.iter() {
            let extent = walk.set(&operation.node.selection_set.node, 0)?;
            selections = selections.saturating_add(extent.selections);
        }
        for name in document.fragments.keys() {
            selections = selections.max(walk.fragment(name, 0)?.selections);
        }
        if selections > self.max_selections {
            return Err(ServerError::new("Query is too complex.", None));
        }
        if let (false, Some(place)) = (self.introspection, walk.introspection) {
            return Err(ServerError::new("Introspection is switched off.", Some(place)));
        }
        for (_, operation) in document.operations.iter() {
            self.types_are_known(&operation.node)?;
        }
        let operation = selected(&document.operations, operation_name.as_deref());
        operation.map_or(Ok(()), |(_, operation)| required_are_there(&operation.node, &variables))
    }

    fn types_are_known(&self, operation: &OperationDefinition) -> Result<(), ServerError> {
        for definition in &operation.variable_definitions {
            let name = innermost(&definition.node.var_type.node);
            if !self.types.contains(name) {
                return Err(ServerError::new(format!("Unknown type \"{name}\""), Some(definition.pos)));
            }
        }
        Ok(())
    }
}

/// The type that lists, and lists of lists, are of.
fn innermost(mut whole: &Type) -> &Name {
    loop {
        match &whole.base {
            BaseType::Named(name) => return name,
            BaseType::List(items) => whole = items,
        }
    }
}

/// Counts selections as they are when all fragments are expanded, without expanding any of them twice.
struct Walk<'a> {
    document: &'a ExecutableDocument,
    expanded: HashMap<&'a Name, Extent>,
    introspection: Option<Pos>,
}

/// How large a selection set is.
#[derive(Clone, Copy, Default)]
struct Extent {
    /// Fields, and what stands between them and the set. A spread counts even if there is nothing in it: to look
    /// is work, too.
    selections: usize,
    /// Sets in one another, below this one.
    levels: usize,
}

impl<'a> Walk<'a> {
    fn set(&mut self, set: &'a SelectionSet, nesting: usize) -> Result<Extent, ServerError> {
        if nesting > MAX_NESTING {
            return Err(too_deep());
        }
        let mut whole = Extent::default();
        for selection in &set.items {
            let inner = match &selection.node {
                Selection::Field(field) => {
                    if matches!(field.node.name.node.as_str(), "__schema" | "__type") {
                        self.introspection = Some(field.pos);
                    }
                    self.set(&field.node.selection_set.node, nesting + 1)?
                }
                Selection::InlineFragment(fragment) => {
                    self.set(&fragment.node.selection_set.node, nesting + 1)?
                }
                Selection::FragmentSpread(spread) => {
                    self.fragment(&spread.node.fragment_name.node, nesting + 1)?
                }
            };
            whole.selections = whole.selections.saturating_add(inner.selections).saturating_add(1);
            whole.levels = whole.levels.max(inner.levels + 1);
        }
        Ok(whole)
    }

    fn fragment(&mut self, name: &'a Name, nesting: usize) -> Result<Extent, ServerError> {
        if let Some(extent) = self.expanded.get(name) {
            return if nesting + extent.levels > MAX_NESTING { Err(too_deep()) } else { Ok(*extent) };
        }
        let Some(fragment) = self.document.fragments.get(name) else { return Ok(Extent::default()) };
        // A fragment that spreads itself counts as empty there; the library refuses it.
        self.expanded.insert(name, Extent::default());
        let extent = self.set(&fragment.node.selection_set.node, nesting)?;
        self.expanded.insert(name, extent);
        Ok(extent)
    }
}

fn too_deep() -> ServerError {
    ServerError::new("Query is nested too deep.", None)
}

/// The operation that will run, and its name, if the library finds one, too.
pub(super) fn selected<'a>(
    operations: &'a DocumentOperations,
    name: Option<&str>,
) -> Option<(Option<&'a Name>, &'a Positioned<OperationDefinition>)> {
    operations.iter().find(|(own, _)| name.is_none() || own.map(Name::as_str) == name)
}

fn required_are_there(operation: &OperationDefinition, variables: &[Name]) -> Result<(), ServerError> {
    for definition in &operation.variable_definitions {
        let variable = &definition.node;
        let required = !variable.var_type.node.nullable && variable.default_value.is_none();
        if required && !variables.contains(&variable.name.node) {
            let (name, of_type) = (&variable.name.node, &variable.var_type.node);
            let message = format!("Variable \"${name}\" of required type \"{of_type}\" was not provided.");
            return Err(ServerError::new(message, Some(definition.pos)));
        }
    }
    Ok(())
}
