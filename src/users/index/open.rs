use std::collections::{HashMap, HashSet};

use futures::{StreamExt, stream::FuturesUnordered};

use super::{IndexBuild, Place, Problem, Texts, Values};
use crate::{
    causes,
    envelope::{DataKeyId, Sealed, SubjectId},
    keys::{
        BackendError, KeyBackend, Keyring, KeyringError,
        subjects::Unreadable,
        sweep::{Pace, Refusal, StopCause},
    },
    users::opened::key_of,
};

/// What the values of a batch were found to be.
#[derive(Debug, Default)]
pub(super) struct Opened {
    pub(super) texts: Texts,
    /// Those whose data key was not there, with what it means if it stays so.
    pub(super) gone: Vec<(Place, Problem)>,
    pub(super) problems: HashMap<SubjectId, Problem>,
}

impl IndexBuild {
    /// Opens values. `Err` if the run is to end; with the cause, if there is one.
    pub(super) async fn open(&self, values: &Values, pace: &Pace) -> Result<Opened, Option<StopCause>> {
        let sealed = || values.iter().map(|((subject, _), value)| (*subject, value.as_sealed()));
        self.open_at_pace(sealed(), pace).await?;
        let keys = self.users.open_keys_of(sealed()).await;
        let mut opened = Opened::default();
        for (key, value) in values {
            match keys.value(key.0, value.as_sealed()).await {
                Ok(text) => {
                    opened.texts.insert(key.clone(), text);
                }
                Err(error) if error.is_key_gone() => {
                    opened.gone.push((key.clone(), unreadable(&key.1, &error)));
                }
                Err(error) if blames_the_value(&error) => {
                    self.note_unreadable(key);
                    opened.problems.insert(key.0, unreadable(&key.1, &error));
                }
                Err(error) => {
                    pace.abort();
                    return Err(Some(StopCause(causes::line(&error))));
                }
            }
        }
        Ok(opened)
    }

    /// Has data keys opened that a service opens, call by call: as many as the run may make.
    async fn open_at_pace<'v>(
        &self,
        values: impl Iterator<Item = (SubjectId, Sealed<'v>)>,
        pace: &Pace,
    ) -> Result<(), Option<StopCause>> {
        let keyring = &self.users.keyring;
        if keyring.backends().iter().all(KeyBackend::unwraps_in_process) {
            return Ok(());
        }
        let ids: HashSet<_> = values.filter_map(|(subject, value)| key_of(subject, value)).collect();
        let mut calls: FuturesUnordered<_> =
            ids.into_iter().map(|id| pace.call(move || open(keyring, id))).collect();
        while let Some(called) = calls.next().await {
            match called {
                Ok(()) => {}
                Err(Refusal::Stopped) => return Err(None),
                Err(Refusal::Backend(error)) => {
                    pace.abort();
                    return Err(Some(StopCause::outage(&error)));
                }
            }
        }
        Ok(())
    }
}

/// Opens a data key into the cache. What it fails for is said where its values are opened, unless it may pass.
async fn open(keyring: &Keyring, id: DataKeyId) -> Result<(), BackendError> {
    match keyring.open(id).await {
        Err(error) => match &*error {
            KeyringError::Backend(BackendError { backend, class, .. }) if class.is_retryable() => {
                Err(BackendError { backend: backend.clone(), class: *class, source: None })
            }
            _ => Ok(()),
        },
        Ok(_) => Ok(()),
    }
}

/// Whether others may open all the same.
fn blames_the_value(error: &Unreadable) -> bool {
    let Unreadable::Key(error) = error else { return true };
    match &**error {
        KeyringError::Backend(error) => error.class.blames_the_wrapped_key(),
        KeyringError::NoDataKey(_) | KeyringError::Missing(_) => true,
        _ => false,
    }
}

fn unreadable(attribute: &str, error: &Unreadable) -> Problem {
    ("unreadable", format!("{attribute}: {}", causes::line(error)))
}
