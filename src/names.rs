//! What a name is: of a user, of a token, of a request. One word that needs no quotes in a URL, in a shell or in a log.

/// Longest name, in bytes, which are as many characters.
pub(crate) const MAX_NAME: usize = 64;

/// Whether these are 1 to 64 ASCII letters, digits, dots, dashes or underscores.
pub(crate) fn is_name(bytes: &[u8]) -> bool {
    (1..=MAX_NAME).contains(&bytes.len())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_short_word() {
        let longest = "a".repeat(MAX_NAME);
        for name in ["a", "0", ".", "Ada.Lovelace-1815_x", &longest] {
            assert!(is_name(name.as_bytes()), "{name}");
        }
        let too_long = "a".repeat(MAX_NAME + 1);
        for text in ["", " ", "a b", "a\n", "a@b", "a/b", "a:b", "é", "\0", &too_long] {
            assert!(!is_name(text.as_bytes()), "{text}");
        }
    }
}
