//! Personal values, as `show` and `export` print them.

use serde_json::{Value, json};

use crate::{
    attributes::{AttributeName, SEALED_PREFIX},
    audit::{Action, NewEvent, Origin, Outcome},
    causes,
    envelope::SubjectId,
    users::PersonalField,
};

/// A field's name and value, or why it does not open.
pub(super) type Shown = (String, Result<Option<String>, String>);

/// A user's values, masked or not.
pub(super) fn show(subject: SubjectId, fields: &[PersonalField], reveal: bool) -> Vec<Shown> {
    let show = |field: &PersonalField| {
        // Those of other tables whole: two tables may have one name.
        let own = ["users.", SEALED_PREFIX].iter().find_map(|prefix| field.name.strip_prefix(prefix));
        let name = own.unwrap_or(&field.name).to_owned();
        let value = match &field.value {
            Ok(value) if reveal => Ok(value.as_ref().map(|value| value.expose().to_owned())),
            Ok(_) => Ok(field.masked()),
            Err(cause) => {
                Err(format!("{} of user {subject} could not be opened: {}", field.name, causes::line(cause)))
            }
        };
        (name, value)
    };
    fields.iter().map(show).collect()
}

/// What the audit trail says of the look. That somebody has no value is something about them, as a masked value is.
pub(super) fn event(origin: &Origin, subject: SubjectId, fields: &[PersonalField], reveal: bool) -> NewEvent {
    let name = |field: &PersonalField| {
        let name = AttributeName::of_field(&field.name);
        if reveal && !matches!(field.value, Ok(None)) { name } else { name.masked() }
    };
    let names: Vec<_> = fields.iter().map(name).collect();
    let outcome = if all_open(fields) { Outcome::Ok } else { Outcome::Failed };
    NewEvent::new(origin, Action::ReadPii).about(subject).attributes(&names).outcome(outcome)
}

pub(super) fn all_open(fields: &[PersonalField]) -> bool {
    fields.iter().all(|field| field.value.is_ok())
}

/// The values as members of an object: one that several rows have is a list.
pub(super) fn add_to(object: &mut Value, shown: &[Shown]) {
    for (name, value) in shown {
        let value = json!(value.as_ref().ok());
        match &mut object[name] {
            Value::Array(values) => values.push(value),
            place @ Value::Null if shown.iter().filter(|(other, _)| other == name).count() > 1 => {
                *place = json!([value]);
            }
            place => *place = value,
        }
    }
}

/// Why some do not open.
pub(super) fn errors(shown: &[Shown]) -> Vec<&String> {
    shown.iter().filter_map(|(_, value)| value.as_ref().err()).collect()
}
