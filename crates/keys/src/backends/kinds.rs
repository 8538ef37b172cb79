use super::{BackendKind, SettingError};
use crate::KekId;

/// All kinds of key backends. A new one is a file and its line here; nothing else in the program asks for the kind.
pub const KINDS: &[&dyn BackendKind] = &[
    #[cfg(feature = "local")]
    &crate::local::KIND,
    #[cfg(feature = "aws-kms")]
    &crate::aws_kms::KIND,
    #[cfg(test)]
    &super::fake::KIND,
];

/// The kind of this name.
///
/// # Errors
///
/// [`SettingError`] if there is none; it says which there are.
pub fn kind(name: &str) -> Result<&'static dyn BackendKind, SettingError> {
    let found = KINDS.iter().find(|kind| kind.name() == name);
    found.copied().ok_or_else(|| SettingError::unknown_kind(name))
}

/// The lines that would configure a backend for a wrapping key that no configured one owns.
#[must_use]
pub fn advice(kek_id: &KekId) -> String {
    for kind in KINDS {
        if let Some(mut settings) = kind.advice(kek_id) {
            settings.insert(0, format!("kind = \"{}\"", kind.name()));
            let last = settings.pop().unwrap_or_default();
            return match &settings[..] {
                [] => format!("add [keys.backends.NAME] with {last}"),
                others => format!("add [keys.backends.NAME] with {} and {last}", others.join(", ")),
            };
        }
    }
    "no kind of backend has such ids; was the row written by something else?".to_owned()
}
