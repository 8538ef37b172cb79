/// Why a caller is not let in. The texts are for the log: a caller learns only which of the two it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No credential, or none that is good.
    #[error("{0}")]
    Refused(&'static str),
    /// Whether it is good cannot be told now, so it is not let in either.
    #[error("{0}")]
    Unavailable(&'static str),
}
