//! What every section of the configuration can do: validate itself.

use super::Config;

/// A section of the configuration: a table of the files, and the keys in it.
pub(super) trait Section {
    /// Checks what no single value can be checked for: values against each other, against those of other sections, and
    /// against the profile. A section without such rules validates as it is.
    fn validate(&self, _: &Context<'_>) -> Result<(), Invalid> {
        Ok(())
    }
}

/// What a section is validated against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    /// The profile that the configuration was loaded for.
    pub(super) profile: &'a str,
    /// All sections.
    pub(super) config: &'a Config,
}

/// A value that cannot be used. Where the value stands is added where the configuration is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Invalid {
    /// The whole key: `keys.call_timeout`.
    pub(super) key: String,
    /// The key of another value that has a part in it.
    pub(super) other: Option<&'static str>,
    /// What is wrong and what to do, as the end of a sentence that begins with the key.
    pub(super) problem: String,
}

impl Invalid {
    pub(super) fn new(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { key: key.into(), other: None, problem: problem.into() }
    }

    /// The same, and another key whose value may be changed instead.
    pub(super) fn beside(mut self, other: &'static str) -> Self {
        self.other = Some(other);
        self
    }
}

impl Config {
    /// Validates every section.
    ///
    /// # Errors
    ///
    /// The first [`Invalid`] value.
    pub(super) fn validate(&self, profile: &str) -> Result<(), Invalid> {
        let context = Context { profile, config: self };
        // Each by name, so that a new section cannot be forgotten.
        let Self {
            http,
            metrics,
            auth,
            limits,
            database,
            keys,
            attributes,
            search,
            ledger,
            audit,
            graphql,
            log,
            memory,
            peers,
        } = self;
        // The backends come first: their kinds find unknown keys there, as in other sections the first reading does.
        let sections: [&dyn Section; _] = [
            keys, attributes, search, ledger, http, metrics, auth, limits, database, audit, graphql, log,
            memory, peers,
        ];
        sections.into_iter().try_for_each(|section| section.validate(&context))
    }
}
