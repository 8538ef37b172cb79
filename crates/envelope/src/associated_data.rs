use super::{SubjectId, attribute::MAX_NAME_LENGTH, format::HEADER_LENGTH};

const LENGTH_PREFIX: usize = 2;
const SUBJECT_LENGTH: usize = 16;
const MAX_LENGTH: usize = 3 * LENGTH_PREFIX + HEADER_LENGTH + MAX_NAME_LENGTH + SUBJECT_LENGTH;

/// The identity bound to a sealed attribute: header, attribute name, subject id, each after its length
/// as a big-endian `u16`.
///
/// A ciphertext moved to another row, column or subject has other associated data and does not open.
/// Built on the stack: sealing allocates for the ciphertext only.
pub(super) struct AssociatedData {
    bytes: [u8; MAX_LENGTH],
    length: usize,
}

impl AssociatedData {
    /// `name` has at most [`MAX_NAME_LENGTH`] bytes, which the caller checks.
    pub(super) fn new(header: [u8; HEADER_LENGTH], name: &str, subject: SubjectId) -> Self {
        let mut data = Self { bytes: [0; MAX_LENGTH], length: 0 };
        data.append(&header);
        data.append(name.as_bytes());
        data.append(subject.as_uuid().as_bytes());
        data
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn append(&mut self, part: &[u8]) {
        debug_assert!(part.len() <= MAX_NAME_LENGTH);
        #[expect(clippy::cast_possible_truncation, reason = "a part has at most MAX_NAME_LENGTH bytes")]
        let prefix = (part.len() as u16).to_be_bytes();
        for bytes in [&prefix[..], part] {
            let end = self.length + bytes.len();
            self.bytes[self.length..end].copy_from_slice(bytes);
            self.length = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_stands_after_its_length() {
        let subject = SubjectId::from(uuid::Uuid::from_bytes([7; 16]));
        let data = AssociatedData::new([1, 1, 0, 0, 0, 9], "t.c", subject);
        let expected = [&[0, 6, 1, 1, 0, 0, 0, 9, 0, 3][..], b"t.c", &[0, 16], &[7; 16]].concat();
        assert_eq!(data.as_slice(), expected);
    }
}
