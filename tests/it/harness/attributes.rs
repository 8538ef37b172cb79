//! The attributes that a test's server declares.

use oubliette::{
    attributes::{AttributesConfig, Declarations},
    config::Config,
};

/// One of each kind, and one of each rule.
pub(crate) const ATTRIBUTES: &str = r#"
    [full_name]
    kind = "text"
    mask = "initials"
    [postal_address]
    kind = "text"
    max_length = 500
    [date_of_birth]
    kind = "date"
    mask = "year"
    [national_id]
    kind = "text"
    pattern = '[A-Z]?[0-9]{9}'
    normalise = ["no-spaces", "uppercase"]
    mask = "last-4"
    [second_email]
    kind = "email"
    mask = "email"
    [second_phone]
    kind = "phone"
    mask = "phone"
"#;

/// Declares them, or others.
pub(crate) fn declared(toml: &str) -> impl FnOnce(&mut Config) {
    let attributes: AttributesConfig = toml::from_str(toml).unwrap();
    Declarations::of(&attributes).unwrap();
    move |config| config.attributes = attributes
}
