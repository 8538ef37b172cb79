//! What async-graphql lets through, refused before it validates and runs a request.
//!
//! - Fragments that spread each other again and again: the library walks them expanded before it counts
//!   anything, which takes time exponential in the document's length; and it counts no `__typename`.
//! - Introspection where it is switched off: the library answers null, as if there were no schema.
//! - A required variable that is missing: the library runs what comes before the field that needs it. The
//!   specification (6.1.2) has nothing run.

use std::collections::HashMap;

use async_graphql::{
    Name, Pos, Request, ServerError,
    parser::types::{DocumentOperations, ExecutableDocument, OperationDefinition, Selection, SelectionSet},
};

use crate::config::GraphqlConfig;

/// Selection sets in one another, fragments expanded. More than the library allows (32), so that it is the
/// library who says so; less than the stack holds.
const MAX_NESTING: usize = 64;

/// The checks, as configured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Preflight {
    max_fields: usize,
    introspection: bool,
}

impl Preflight {
    pub(super) fn new(config: &GraphqlConfig) -> Self {
        // Each field costs at least 1.
        Self { max_fields: config.max_complexity, introspection: config.introspection }
    }

    /// Checks the request. What the library checks itself is left to it.
    pub(super) fn check(self, request: &mut Request) -> Result<(), ServerError> {
        let variables: Vec<Name> = request.variables.keys().cloned().collect();
        let operation_name = request.operation_name.clone();
        let document = request.parsed_query()?;

        let mut walk = Walk { document, expanded: HashMap::new(), introspection: None };
        let mut fields = 0_usize;
        for (_, operation) in document.operations.iter() {
            fields = fields.saturating_add(walk.fields(&operation.node.selection_set.node, 0)?);
        }
        if fields > self.max_fields {
            return Err(ServerError::new("Query is too complex.", None));
        }
        if let (false, Some(place)) = (self.introspection, walk.introspection) {
            return Err(ServerError::new("Introspection is switched off.", Some(place)));
        }
        let operation = selected(&document.operations, operation_name.as_deref());
        operation.map_or(Ok(()), |operation| required_are_there(operation, &variables))
    }
}

/// Counts fields as they are when all fragments are expanded, without expanding any of them twice.
struct Walk<'a> {
    document: &'a ExecutableDocument,
    expanded: HashMap<&'a Name, usize>,
    introspection: Option<Pos>,
}

impl<'a> Walk<'a> {
    fn fields(&mut self, set: &'a SelectionSet, nesting: usize) -> Result<usize, ServerError> {
        if nesting > MAX_NESTING {
            return Err(ServerError::new("Query is nested too deep.", None));
        }
        let mut fields = 0_usize;
        for selection in &set.items {
            let more = match &selection.node {
                Selection::Field(field) => {
                    if matches!(field.node.name.node.as_str(), "__schema" | "__type") {
                        self.introspection = Some(field.pos);
                    }
                    self.fields(&field.node.selection_set.node, nesting + 1)?.saturating_add(1)
                }
                Selection::InlineFragment(fragment) => {
                    self.fields(&fragment.node.selection_set.node, nesting + 1)?
                }
                Selection::FragmentSpread(spread) => {
                    self.fragment(&spread.node.fragment_name.node, nesting + 1)?
                }
            };
            fields = fields.saturating_add(more);
        }
        Ok(fields)
    }

    fn fragment(&mut self, name: &'a Name, nesting: usize) -> Result<usize, ServerError> {
        if let Some(fields) = self.expanded.get(name) {
            return Ok(*fields);
        }
        let Some(fragment) = self.document.fragments.get(name) else { return Ok(0) };
        // A fragment that spreads itself counts as empty there; the library refuses it.
        self.expanded.insert(name, 0);
        let fields = self.fields(&fragment.node.selection_set.node, nesting)?;
        self.expanded.insert(name, fields);
        Ok(fields)
    }
}

/// The operation that will run, if the library finds one, too.
fn selected<'a>(operations: &'a DocumentOperations, name: Option<&str>) -> Option<&'a OperationDefinition> {
    let mut named = operations.iter().filter(|(own, _)| name.is_none() || own.map(Name::as_str) == name);
    named.next().map(|(_, operation)| &operation.node)
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
