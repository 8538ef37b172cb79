use std::{borrow::Cow, collections::HashSet, fmt, sync::Arc};

use chrono::{DateTime, Utc};
use strum::EnumIter;

use crate::{attributes::AttributeName, database::now, envelope::SubjectId};

/// Longest actor, in characters: as the column has it.
pub(crate) const MAX_ACTOR: usize = 255;
/// Subjects that one event names, at most: the first ones. Its count is that of all.
pub(crate) const MAX_SUBJECTS: usize = 100;

/// So long a text of subjects' ids, of eight of them, is as large as an event, in bytes.
const TEXT_OF_SUBJECTS: usize = 8 * 37;

/// What was done.
#[derive(Clone, Copy, Debug, EnumIter, PartialEq, Eq)]
pub enum Action {
    /// Somebody looked at personal values.
    ReadPii,
    /// Somebody was refused something that is not personal, and changes nothing.
    Read,
    /// Somebody's requests were refused before they were read, as too many things had been refused to them.
    RequestsRefused,
    /// A user was created.
    Create,
    /// A user was changed.
    Update,
    /// A user was forgotten.
    Forget,
    /// An access token was made.
    TokenCreate,
    /// An access token was revoked.
    TokenRevoke,
    /// Data keys were moved to another wrapping key.
    KeyRewrap,
    /// Data keys were replaced by fresh ones.
    KeyRotate,
    /// Everything was opened, to see whether it opens.
    KeyVerify,
    /// Nothing new comes under a wrapping key from now on.
    KeyRetiring,
    /// No data key was under a retiring wrapping key any more.
    KeyRetired,
    /// Data keys come under a wrapping key again.
    KeyReactivated,
    /// A wrapping key was added to a key file.
    KeyLocalAdd,
    /// A wrapping key was made the one that wraps new data keys.
    KeyLocalPromote,
    /// A wrapping key was taken out of a key file.
    KeyLocalRetire,
    /// The erasure ledger went back, and was adopted as it is.
    LedgerAdopt,
    /// The database was behind the ledger outside, and was brought forward.
    LedgerReplay,
    /// From now on, the erasure ledger's entries are written in a newer version.
    LedgerUpgrade,
    /// Values of an attribute that is not declared any more were removed.
    AttributePurge,
    /// All values of declared attributes were opened, to see which do not fit any more.
    AttributeCheck,
    /// Somebody was looked for by a personal value.
    Find,
    /// An index of an attribute is being built: tags are added.
    IndexBuild,
    /// People are found by an index.
    IndexReady,
    /// People are not found by an index any more: its tags are being deleted.
    IndexRetire,
    /// The key of an epoch was destroyed, whose tags were deleted.
    IndexKeyDestroy,
}

impl Action {
    /// As the trail has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadPii => "read_pii",
            Self::Read => "read",
            Self::RequestsRefused => "requests_refused",
            Self::Create => "create",
            Self::Update => "update",
            Self::Forget => "forget",
            Self::TokenCreate => "token_create",
            Self::TokenRevoke => "token_revoke",
            Self::KeyRewrap => "key_rewrap",
            Self::KeyRotate => "key_rotate",
            Self::KeyVerify => "key_verify",
            Self::KeyRetiring => "key_retiring",
            Self::KeyRetired => "key_retired",
            Self::KeyReactivated => "key_reactivated",
            Self::KeyLocalAdd => "key_local_add",
            Self::KeyLocalPromote => "key_local_promote",
            Self::KeyLocalRetire => "key_local_retire",
            Self::LedgerAdopt => "ledger_adopt",
            Self::LedgerReplay => "ledger_replay",
            Self::LedgerUpgrade => "ledger_upgrade",
            Self::AttributePurge => "attribute_purge",
            Self::AttributeCheck => "attribute_check",
            Self::Find => "find",
            Self::IndexBuild => "index_build",
            Self::IndexReady => "index_ready",
            Self::IndexRetire => "index_retire",
            Self::IndexKeyDestroy => "index_key_destroy",
        }
    }
}

/// What became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It was done.
    #[default]
    Ok,
    /// It was not permitted.
    Denied,
    /// It was tried, and failed, at least in part.
    Failed,
}

impl Outcome {
    /// As the trail has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who does something, and within which request. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    actor: Arc<str>,
    request_id: Option<Arc<str>>,
}

impl Origin {
    /// Somebody, outside of any request. As much of the name as fits: one line of 255 characters.
    #[must_use]
    pub fn new(actor: &str) -> Self {
        let actor = one_line(actor);
        let end = actor.char_indices().nth(MAX_ACTOR).map_or(actor.len(), |(end, _)| end);
        Self { actor: actor[..end].into(), request_id: None }
    }

    /// The same, within a request.
    #[must_use]
    pub fn in_request(self, id: &str) -> Self {
        Self { request_id: Some(Arc::from(&*one_line(id))), ..self }
    }

    /// Who.
    #[must_use]
    pub fn actor(&self) -> &str {
        &self.actor
    }
}

/// Something that happened, not yet in the trail.
#[derive(Clone, Debug)]
pub struct NewEvent {
    pub(super) occurred_at: DateTime<Utc>,
    origin: Origin,
    pub(super) action: Action,
    /// Whom it concerns, if it is one.
    pub(super) subject: Option<SubjectId>,
    /// If it is more: their ids, joined by commas.
    subjects: String,
    pub(super) count: i32,
    attributes: String,
    target: Option<String>,
    pub(super) outcome: Outcome,
}

impl NewEvent {
    /// It happened now, and was done.
    #[must_use]
    pub fn new(origin: &Origin, action: Action) -> Self {
        Self {
            occurred_at: now(),
            origin: origin.clone(),
            action,
            subject: None,
            subjects: String::new(),
            count: 1,
            attributes: String::new(),
            target: None,
            outcome: Outcome::Ok,
        }
    }

    /// Whom it concerns.
    #[must_use]
    pub fn about(self, subject: SubjectId) -> Self {
        Self { subject: Some(subject), subjects: String::new(), ..self }
    }

    /// Whom it concerns: as many as there are, the first hundred of them.
    #[must_use]
    pub fn about_each(self, subjects: &[SubjectId]) -> Self {
        let mut known = HashSet::new();
        let new = subjects.iter().copied().filter(|subject| known.insert(*subject));
        let mut distinct: Vec<_> = new.take(MAX_SUBJECTS).collect();
        distinct.sort_unstable();
        match distinct[..] {
            [] => Self { subject: None, subjects: String::new(), ..self },
            [one] => self.about(one),
            _ => {
                let ids: Vec<_> = distinct.iter().map(ToString::to_string).collect();
                Self { subject: None, subjects: ids.join(","), ..self }
            }
        }
    }

    /// How many events about one subject or none it is as large as, in bytes: while it waits, and when it is written.
    pub(super) fn weight(&self) -> usize {
        1 + self.subjects.len() / TEXT_OF_SUBJECTS
    }

    /// How often it happened.
    #[must_use]
    pub fn times(self, count: u32) -> Self {
        Self { count: count.try_into().unwrap_or(i32::MAX), ..self }
    }

    /// Which attributes. A name is all that there is of them; so no value gets in here.
    #[must_use]
    pub fn attributes(self, names: &[AttributeName]) -> Self {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        Self { attributes: names.join(","), ..self }
    }

    /// What else it is about: a token's id, a wrapping key, a run's id. Nothing personal.
    #[must_use]
    pub fn target(self, target: impl fmt::Display) -> Self {
        Self { target: Some(one_line(&target.to_string()).into_owned()), ..self }
    }

    /// What became of it.
    #[must_use]
    pub fn outcome(self, outcome: Outcome) -> Self {
        Self { outcome, ..self }
    }

    pub(super) fn actor(&self) -> &Arc<str> {
        &self.origin.actor
    }

    /// The actor, several subjects' ids, the attributes, the target and the request's id; empty if there is none.
    pub(super) fn texts(&self) -> [&str; 5] {
        let Self { origin: Origin { actor, request_id }, subjects, attributes, target, .. } = self;
        [
            actor,
            subjects,
            attributes,
            target.as_deref().unwrap_or_default(),
            request_id.as_deref().unwrap_or_default(),
        ]
    }
}

/// The digest is taken over lines: a text that could end one could pass for several. And PostgreSQL takes no NUL.
fn one_line(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) { text.replace(char::is_control, " ").into() } else { text.into() }
}
