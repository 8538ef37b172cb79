use std::{fmt, str::FromStr};

/// The digest that the first entry follows.
pub const GENESIS: [u8; 32] = [0; 32];

/// The end of a chain, or an earlier place in it: an entry's number and digest. Kept elsewhere, it fixes everything up to there.
///
/// As text, `SEQUENCE:DIGEST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The entry's place: 1 for the first, 0 if there is none yet.
    pub sequence: i64,
    /// Its digest, 32 bytes. What a database holds may be anything.
    pub digest: Vec<u8>,
}

impl Head {
    /// That of a chain without entries.
    #[must_use]
    pub fn genesis() -> Self {
        Self { sequence: 0, digest: GENESIS.to_vec() }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sequence, hex::encode(&self.digest))
    }
}

impl FromStr for Head {
    type Err = NotAHead;

    fn from_str(text: &str) -> Result<Self, NotAHead> {
        let (sequence, digest) = text.trim().split_once(':').ok_or(NotAHead)?;
        let sequence = sequence.parse().map_err(|_| NotAHead)?;
        let digest: [u8; 32] =
            hex::decode(digest).ok().and_then(|digest| digest.try_into().ok()).ok_or(NotAHead)?;
        if sequence < 0 { Err(NotAHead) } else { Ok(Self { sequence, digest: digest.to_vec() }) }
    }
}

/// A text is no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not SEQUENCE:DIGEST")]
pub struct NotAHead;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_is_written() {
        let head = Head { sequence: 4711, digest: vec![0xa5; 32] };
        assert_eq!(head.to_string(), format!("4711:{}", "a5".repeat(32)));
        assert_eq!(head.to_string().parse(), Ok(head.clone()));
        assert_eq!(format!(" {head}\n").parse(), Ok(head.clone()));
        assert_eq!(format!("0:{}", "00".repeat(32)).parse(), Ok(Head::genesis()));
        let head = head.to_string();
        for typo in
            ["", "4711", "4711:", ":", "4:00", &head[..head.len() - 1], &format!("{head}0"), &head[1..4]]
        {
            assert_eq!(typo.parse::<Head>(), Err(NotAHead), "{typo}");
        }
        assert_eq!(format!("-{head}").parse::<Head>(), Err(NotAHead));
    }
}
