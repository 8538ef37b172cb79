use serde::Serialize;

/// Appends a text as a string of JSON (RFC 8259, section 7).
pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    // All of them are looked at, without an early end: so the compiler takes many at a time.
    let special = |byte: u8| u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\');
    if text.bytes().fold(0, |any, byte| any | special(byte)) == 0 {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // Writing a text to a vector cannot fail.
        let _ = text.serialize(&mut serde_json::Serializer::new(out));
    }
}

/// Appends a boolean.
pub(super) fn write_bool(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// Appends the value that is absent.
pub(super) fn write_null(out: &mut Vec<u8>) {
    out.extend_from_slice(b"null");
}

/// Appends a list.
///
/// # Errors
///
/// The first of `write`, which appends one item.
pub(super) fn write_list<T, E>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T) -> Result<(), E>,
) -> Result<(), E> {
    out.push(b'[');
    for (position, item) in items.into_iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        write(out, item)?;
    }
    out.push(b']');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_written_as_serde_json_writes_it() {
        for text in ["", "Ada", "a\"b\\c", "\u{0}\n\u{1f}\u{7f}", "é🦀\u{2028}"] {
            let mut out = b"x".to_vec();
            write_text(&mut out, text);
            assert_eq!(String::from_utf8(out).unwrap(), format!("x{}", serde_json::to_string(text).unwrap()));
        }
    }
}
