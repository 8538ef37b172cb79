/// What people call a chain, and its entries.
#[derive(Debug, PartialEq, Eq)]
pub struct Words {
    /// The whole, with its article: `the audit trail`.
    pub name: &'static str,
    /// The same in a word: `trail`.
    pub chain: &'static str,
    /// One of its entries: `event`.
    pub entry: &'static str,
    /// Several: `events`.
    pub entries: &'static str,
    /// By what else entries are found than by their place, and where, as the end of a sentence. Empty if by nothing else.
    pub index: &'static str,
}
