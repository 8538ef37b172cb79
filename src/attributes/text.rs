use crate::envelope::AttributeError;

/// A text without the spaces at its ends; neither empty nor longer than `max` characters.
pub(super) fn trimmed(input: &str, max: usize) -> Result<&str, AttributeError> {
    let text = input.trim();
    if text.is_empty() {
        Err(AttributeError::new("is empty; leave it out, or use null to remove it"))
    } else if text.chars().count() > max {
        Err(AttributeError::new(format!("is longer than {max} characters")))
    } else {
        Ok(text)
    }
}
