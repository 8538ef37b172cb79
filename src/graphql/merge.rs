//! Fields with the same response key, merged before they are executed.
//!
//! GraphQL has them executed once, with all that is selected below any of them (6.3.2, CollectFields; 6.4.3,
//! MergeSelectionSets). async-graphql 7.2.1 executes each of them and merges their answers, so a mutation that is selected twice is made
//! twice. It also compares their arguments (5.3.2, FieldsInSetCanMerge) within one type condition only.
//!
//! Every type of the schema is an object, so a fragment either applies or is refused, and its fields belong to the set that it stands
//! in. How many there are when all fragments are expanded is bounded by the [preflight](super::preflight), which comes before.

use std::collections::{HashMap, HashSet};

use async_graphql::{
    Name, Pos, Positioned, ServerError, Variables,
    parser::types::{
        Directive, DocumentOperations, ExecutableDocument, Field, InlineFragment, Selection, SelectionSet,
    },
};
use async_graphql_value::{ConstValue, Value};

use super::preflight::selected;

/// What a document with repeated fields is made into.
#[derive(Debug)]
pub(super) struct Merged {
    /// The document as it was sent, with nothing to execute: to be validated.
    pub(super) whole: ExecutableDocument,
    /// The operation that was asked for, each field once and no fragments: to be executed if the whole is valid.
    pub(super) once: ExecutableDocument,
}

/// Merges the fields of the operation that will run; `None` if none of them is repeated, or the library refuses the document
/// anyhow.
///
/// # Errors
///
/// Fields with the same response key have other names or arguments.
pub(super) fn merged(
    document: &ExecutableDocument,
    operation_name: Option<&str>,
    variables: &Variables,
) -> Result<Option<Merged>, ServerError> {
    let Some((name, operation)) = selected(&document.operations, operation_name) else { return Ok(None) };
    if has_cycle(document) {
        return Ok(None);
    }
    let merge = Merge { document, variables, pos: operation.pos };
    let root = &operation.node.selection_set.node;
    if !merge.repeats(&[root])? {
        return Ok(None);
    }

    let mut once = operation.clone();
    once.node.selection_set.node = merge.once(&[root])?;
    let mut used = HashSet::new();
    variables_of(&once.node.selection_set.node, &mut used);
    directives_of(&once.node.directives, &mut used);
    once.node.variable_definitions.retain(|definition| used.contains(&definition.node.name.node));

    let mut whole = document.clone();
    let mut skipped = operation.clone();
    let inline = InlineFragment {
        type_condition: None,
        directives: vec![skip(operation.pos)],
        selection_set: operation.node.selection_set.clone(),
    };
    let inline = Selection::InlineFragment(Positioned::new(inline, operation.pos));
    skipped.node.selection_set.node.items = vec![Positioned::new(inline, operation.pos)];
    match (&mut whole.operations, name) {
        (DocumentOperations::Multiple(operations), Some(name)) => {
            drop(operations.insert(name.clone(), skipped));
        }
        (operations, _) => *operations = DocumentOperations::Single(skipped),
    }
    let operations = match name {
        Some(name) => DocumentOperations::Multiple(HashMap::from([(name.clone(), once)])),
        None => DocumentOperations::Single(once),
    };
    let once = ExecutableDocument { operations, fragments: HashMap::new() };
    Ok(Some(Merged { whole, once }))
}

/// Gives the variables that were not sent the defaults that the operation declares (6.1.2, CoerceVariableValues). The library does so
/// for arguments, and not for `@skip` and `@include`.
pub(super) fn fill_in_defaults(
    document: &ExecutableDocument,
    operation_name: Option<&str>,
    variables: &mut Variables,
) {
    let operation = selected(&document.operations, operation_name);
    for definition in operation.into_iter().flat_map(|(_, operation)| &operation.node.variable_definitions) {
        let name = &definition.node.name.node;
        if let Some(default) = &definition.node.default_value
            && !variables.contains_key(name)
        {
            variables.insert(name.clone(), default.node.clone());
        }
    }
}

struct Merge<'a> {
    document: &'a ExecutableDocument,
    variables: &'a Variables,
    /// Of the operation, for what was not in the text.
    pos: Pos,
}

/// The fields of some selection sets.
#[derive(Default)]
struct Collected<'a> {
    /// In the order in which each response key comes first.
    groups: Vec<Group<'a>>,
    places: HashMap<&'a str, usize>,
    /// Something is selected more than once.
    repeated: bool,
    /// Something is left out by `@skip` or `@include`.
    excluded: bool,
}

/// The fields of one response key.
struct Group<'a> {
    first: &'a Positioned<Field>,
    /// What is selected below each of them.
    sets: Vec<&'a SelectionSet>,
}

impl<'a> Merge<'a> {
    /// Whether a field is selected more than once, here or below.
    fn repeats(&self, sets: &[&'a SelectionSet]) -> Result<bool, ServerError> {
        let Collected { groups, mut repeated, .. } = self.collect(sets)?;
        for group in &groups {
            // All of them are looked at, as any may be in conflict.
            repeated |= self.repeats(&group.sets)?;
        }
        Ok(repeated)
    }

    /// Each field once, with all that is selected below.
    fn once(&self, sets: &[&'a SelectionSet]) -> Result<SelectionSet, ServerError> {
        let Collected { groups, excluded, .. } = self.collect(sets)?;
        let mut items = Vec::with_capacity(groups.len());
        for Group { first, sets } in &groups {
            let Field { alias, name, arguments, directives, selection_set } = &first.node;
            let field = Field {
                alias: alias.clone(),
                name: name.clone(),
                arguments: arguments.clone(),
                directives: directives.clone(),
                selection_set: Positioned::new(self.once(sets)?, selection_set.pos),
            };
            items.push(Positioned::new(Selection::Field(Positioned::new(field, first.pos)), first.pos));
        }
        if items.is_empty() && excluded {
            // An object without any field would not be valid.
            items.push(nothing(self.pos));
        }
        Ok(SelectionSet { items })
    }

    fn collect(&self, sets: &[&'a SelectionSet]) -> Result<Collected<'a>, ServerError> {
        let (mut collected, mut spread) = (Collected::default(), HashSet::new());
        for set in sets {
            self.add(set, &mut collected, &mut spread)?;
        }
        Ok(collected)
    }

    fn add(
        &self,
        set: &'a SelectionSet,
        collected: &mut Collected<'a>,
        spread: &mut HashSet<&'a Name>,
    ) -> Result<(), ServerError> {
        for selection in &set.items {
            if self.is_excluded(selection.node.directives()) {
                collected.excluded = true;
                continue;
            }
            match &selection.node {
                Selection::Field(field) => collected.add(field)?,
                Selection::InlineFragment(fragment) => {
                    self.add(&fragment.node.selection_set.node, collected, spread)?;
                }
                Selection::FragmentSpread(fragment) => {
                    let name = &fragment.node.fragment_name.node;
                    if !spread.insert(name) {
                        collected.repeated = true;
                    } else if let Some(fragment) = self.document.fragments.get(name) {
                        self.add(&fragment.node.selection_set.node, collected, spread)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether `@skip` or `@include` leave something out (3.13).
    fn is_excluded(&self, directives: &[Positioned<Directive>]) -> bool {
        directives.iter().any(|directive| {
            let condition = directive.node.get_argument("if").and_then(|value| self.boolean(&value.node));
            matches!(
                (directive.node.name.node.as_str(), condition),
                ("skip", Some(true)) | ("include", Some(false))
            )
        })
    }

    /// `None` for what is no condition: the library refuses it.
    fn boolean(&self, value: &Value) -> Option<bool> {
        match value {
            Value::Boolean(condition) => Some(*condition),
            Value::Variable(name) => match self.variables.get(name) {
                Some(ConstValue::Boolean(condition)) => Some(*condition),
                _ => None,
            },
            _ => None,
        }
    }
}

impl<'a> Collected<'a> {
    fn add(&mut self, field: &'a Positioned<Field>) -> Result<(), ServerError> {
        let (key, below) = (field.node.response_key().node.as_str(), &field.node.selection_set.node);
        let Some(place) = self.places.get(key) else {
            self.places.insert(key, self.groups.len());
            self.groups.push(Group { first: field, sets: vec![below] });
            return Ok(());
        };
        let group = &mut self.groups[*place];
        if !are_same(&group.first.node, &field.node) {
            let message = format!(
                "Fields \"{key}\" conflict: their names or arguments differ. Give one of them another alias."
            );
            let mut error = ServerError::new(message, Some(group.first.pos));
            error.locations.push(field.pos);
            return Err(error);
        }
        group.sets.push(below);
        self.repeated = true;
        Ok(())
    }
}

/// Whether two fields have the same name and the same arguments, in whatever order.
fn are_same(one: &Field, other: &Field) -> bool {
    one.name.node == other.name.node
        && one.arguments.len() == other.arguments.len()
        && one.arguments.iter().all(|(name, value)| {
            other.get_argument(&name.node).is_some_and(|others| others.node == value.node)
        })
}

/// Whether a fragment spreads itself, by way of others or not.
fn has_cycle(document: &ExecutableDocument) -> bool {
    fn leads_back<'a>(
        document: &'a ExecutableDocument,
        set: &'a SelectionSet,
        open: &mut Vec<&'a Name>,
        done: &mut HashSet<&'a Name>,
    ) -> bool {
        set.items.iter().any(|selection| match &selection.node {
            Selection::Field(field) => leads_back(document, &field.node.selection_set.node, open, done),
            Selection::InlineFragment(fragment) => {
                leads_back(document, &fragment.node.selection_set.node, open, done)
            }
            Selection::FragmentSpread(spread) => {
                let name = &spread.node.fragment_name.node;
                let Some(fragment) = document.fragments.get(name) else { return false };
                if open.contains(&name) {
                    return true;
                }
                if done.contains(name) {
                    return false;
                }
                open.push(name);
                let back = leads_back(document, &fragment.node.selection_set.node, open, done);
                open.pop();
                done.insert(name);
                back
            }
        })
    }
    let (mut open, mut done) = (Vec::new(), HashSet::new());
    let mut fragments = document.fragments.iter();
    fragments.any(|(name, fragment)| {
        if done.contains(name) {
            return false;
        }
        open.push(name);
        let back = leads_back(document, &fragment.node.selection_set.node, &mut open, &mut done);
        open.pop();
        done.insert(name);
        back
    })
}

fn variables_of(set: &SelectionSet, used: &mut HashSet<Name>) {
    for selection in &set.items {
        directives_of(selection.node.directives(), used);
        if let Selection::Field(field) = &selection.node {
            field.node.arguments.iter().for_each(|(_, value)| values_of(&value.node, used));
            variables_of(&field.node.selection_set.node, used);
        }
    }
}

fn directives_of(directives: &[Positioned<Directive>], used: &mut HashSet<Name>) {
    let arguments = directives.iter().flat_map(|directive| &directive.node.arguments);
    arguments.for_each(|(_, value)| values_of(&value.node, used));
}

fn values_of(value: &Value, used: &mut HashSet<Name>) {
    match value {
        Value::Variable(name) => drop(used.insert(name.clone())),
        Value::List(values) => values.iter().for_each(|value| values_of(value, used)),
        Value::Object(values) => values.values().for_each(|value| values_of(value, used)),
        _ => {}
    }
}

/// `@skip(if: true)`.
fn skip(pos: Pos) -> Positioned<Directive> {
    let condition = (Positioned::new(Name::new("if"), pos), Positioned::new(Value::Boolean(true), pos));
    let name = Positioned::new(Name::new("skip"), pos);
    Positioned::new(Directive { name, arguments: vec![condition] }, pos)
}

/// `__typename @skip(if: true)`.
fn nothing(pos: Pos) -> Positioned<Selection> {
    let field = Field {
        alias: None,
        name: Positioned::new(Name::new("__typename"), pos),
        arguments: Vec::new(),
        directives: vec![skip(pos)],
        selection_set: Positioned::new(SelectionSet::default(), pos),
    };
    Positioned::new(Selection::Field(Positioned::new(field, pos)), pos)
}
