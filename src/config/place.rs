//! Where a value of the configuration stands.

use std::path::Path;

use figment::{Figment, Metadata, value::Value};

/// What sets a value that stands nowhere else.
const IN_CODE: &str = "default";

/// All that has a say in a key's value: files, variables, flags. A value that nobody has set is one of the defaults.
pub(super) fn places(figment: &Figment, key: &str) -> String {
    let mut places = Vec::new();
    let root = figment.extract::<Value>().ok();
    if let Some(value) = root.as_ref().and_then(|root| find(root, key)) {
        collect(figment, value, &mut places);
    }
    in_words(&places)
}

/// The value of a key. Names that an operator chose may have dots themselves, which figment's own search takes for ends.
fn find<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    value.as_dict()?.iter().find_map(|(name, inner)| match key.strip_prefix(name.as_str())? {
        "" => Some(inner),
        rest => find(inner, rest.strip_prefix('.')?),
    })
}

/// The same for what figment itself names, if it does.
pub(super) fn places_of(metadata: Option<&Metadata>) -> String {
    in_words(&metadata.map(place).into_iter().collect::<Vec<_>>())
}

/// The file, variable or flag that a value came from.
pub(super) fn place(metadata: &Metadata) -> String {
    match &metadata.source {
        Some(figment::Source::File(path)) => relative(path),
        // Settings have the name of their variable or flag.
        _ if metadata.source.is_none() => metadata.name.clone().into_owned(),
        _ => IN_CODE.to_owned(),
    }
}

fn collect(figment: &Figment, value: &Value, places: &mut Vec<String>) {
    if let Value::Dict(_, dict) = value {
        for value in dict.values() {
            collect(figment, value, places);
        }
        return;
    }
    let place = figment.get_metadata(value.tag()).map(place);
    places.extend(place.filter(|place| !places.contains(place)));
}

fn in_words(places: &[String]) -> String {
    match places {
        [] => "the defaults".to_owned(),
        [place] if place == IN_CODE => "the defaults".to_owned(),
        places => places.join(", "),
    }
}

fn relative(path: &Path) -> String {
    let current = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&current).unwrap_or(path).display().to_string()
}
