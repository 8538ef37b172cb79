//! Texts one after another, each with its length before it: two bytes, the larger first (c2sp.org/tlog-tiles, "Log Entries").

/// Longest text, in bytes.
pub(super) const MAX_LENGTH: usize = u16::MAX as usize;

/// Appends a text; one that is too long is cut, which who calls rules out.
pub(super) fn push(bytes: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    bytes.extend(length.to_be_bytes());
    bytes.extend(&text.as_bytes()[..usize::from(length)]);
}

/// The texts, if these are any, and nothing else.
pub(super) fn read(mut bytes: &[u8]) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (text, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        texts.push(std::str::from_utf8(text).ok()?.to_owned());
        bytes = rest;
    }
    Some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_they_were_written() {
        let mut bytes = Vec::new();
        for text in ["one\n", "", "zwölf"] {
            push(&mut bytes, text);
        }
        assert_eq!(bytes[..6], *b"\0\x04one\n");
        assert_eq!(read(&bytes).unwrap(), ["one\n", "", "zwölf"]);
        for cut in 1..bytes.len() {
            assert!(read(&bytes[..cut]).is_none_or(|texts| texts.len() < 3), "{cut}");
        }
        assert_eq!(read(b"\0\x01\xff"), None);
    }
}
