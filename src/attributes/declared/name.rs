/// Longest name of an attribute.
pub const MAX_ATTRIBUTE_NAME: u32 = 40;

/// Whether an attribute may have this name: `[a-z][a-z0-9_]{0,39}`.
#[must_use]
pub fn is_attribute_name(name: &str) -> bool {
    let is_tail = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    u32::try_from(name.len()).is_ok_and(|length| length <= MAX_ATTRIBUTE_NAME)
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(is_tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_lower_case_and_begins_with_a_letter() {
        for name in ["a", "full_name", "line_2", &"a".repeat(40)] {
            assert!(is_attribute_name(name), "{name}");
        }
        for name in ["", "A", "2nd", "_a", "full-name", "fullName", "näme", "a b", "a\n", &"a".repeat(41)] {
            assert!(!is_attribute_name(name), "{name}");
        }
    }
}
