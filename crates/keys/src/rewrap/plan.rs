use sea_orm::{ColumnTrait, Condition, DatabaseConnection, DbErr};

use crate::{
    BackendError, Backends, Inactive, KekId, KekState, Ownership, advice,
    database::Before,
    entity::{data_key::Column, index_key},
    index_keys, store, wrapping_keys,
};

/// Which data keys are to be moved, and where to.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only those under this wrapping key.
    pub from: Option<KekId>,
    /// The wrapping key to move to, or the name of a backend, for its current one. Without: the current
    /// wrapping key of the active backend.
    pub to: Option<String>,
    /// Also those that are under the target already, if they were wrapped before this moment: the target's
    /// material may have changed behind its id.
    pub before: Option<Before>,
}

/// What a run would do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The wrapping key to move to; the first of them, if they are several.
    pub to: KekId,
    /// All wrapping keys to move to: more than one where the backend has one for each group of subjects. What is under one of
    /// them is where it belongs.
    pub targets: Vec<KekId>,
    /// The backend that owns them.
    pub backend: String,
    /// Only data keys that were wrapped before this moment, if they are under the target already.
    pub before: Option<Before>,
    /// The wrapping keys to move from, those with the most data keys first.
    pub sources: Vec<Source>,
}

/// A wrapping key to move from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The wrapping key.
    pub kek_id: KekId,
    /// The backend that owns it.
    pub backend: String,
    /// How many data keys are to be moved.
    pub data_keys: u64,
    /// How many [index keys](crate::index_keys).
    pub index_keys: u64,
    /// How.
    pub route: Route,
}

/// How a data key gets from one wrapping key to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Within one backend: one call. In KMS it is `ReEncrypt`, and the data key does not leave KMS.
    Rewrap,
    /// From one backend to another: unwrapped, and wrapped again, in this process. Two calls.
    UnwrapAndWrap,
}

impl Route {
    /// Calls to backends for one data key.
    #[must_use]
    pub fn calls(self) -> u64 {
        match self {
            Self::Rewrap => 1,
            Self::UnwrapAndWrap => 2,
        }
    }
}

impl Plan {
    /// How many data keys are to be moved.
    #[must_use]
    pub fn data_keys(&self) -> u64 {
        self.sources.iter().map(|source| source.data_keys).sum()
    }

    /// How many index keys.
    #[must_use]
    pub fn index_keys(&self) -> u64 {
        self.sources.iter().map(|source| source.index_keys).sum()
    }

    pub(super) async fn make(
        db: &DatabaseConnection,
        backends: &Backends,
        selection: Selection,
    ) -> Result<Self, PlanError> {
        let (target, targets) = match &selection.to {
            None => (backends.active(), backends.active().all_current().await?),
            Some(to) => {
                if let Some(backend) = backends.named(to) {
                    (backend, backend.all_current().await?)
                } else {
                    let to = KekId::new(to);
                    let owner = backends.owner(&to).ok_or_else(|| PlanError::NoBackend(to.clone()))?;
                    (owner, vec![to])
                }
            }
        };
        for to in &targets {
            if let Some(state @ KekState::Retired) = wrapping_keys::state(db, to).await? {
                return Err(PlanError::Retired(Inactive { kek_id: to.clone(), state }));
            }
        }
        let to = targets.first().cloned().ok_or_else(|| PlanError::NoTarget(target.name().to_owned()))?;
        let mut sources = Vec::new();
        for (kek_id, data_keys, index_keys) in under_each(db, &targets, selection.before.as_ref()).await? {
            if selection.from.as_ref().is_some_and(|from| *from != kek_id) {
                continue;
            }
            let owner = backends.owner(&kek_id).ok_or_else(|| PlanError::NoBackend(kek_id.clone()))?;
            let one_realm = owner.realm() == target.realm() && target.owns(&kek_id) > Ownership::No;
            sources.push(Source {
                kek_id,
                backend: owner.name().to_owned(),
                data_keys,
                index_keys,
                route: if one_realm { Route::Rewrap } else { Route::UnwrapAndWrap },
            });
        }
        if let Some(from) = &selection.from
            && sources.is_empty()
            && !store::count_by_kek(db, Condition::all())
                .await?
                .iter()
                .any(|kek| kek.kek_id == from.as_str() || targets.contains(from))
        {
            return Err(PlanError::Unused(from.clone()));
        }
        Ok(Self { to, targets, backend: target.name().to_owned(), before: selection.before, sources })
    }
}

/// The wrapping keys that have something to be moved, those with the most data keys first: with the number of data keys and of index keys.
async fn under_each(
    db: &DatabaseConnection,
    targets: &[KekId],
    wrapped_before: Option<&Before>,
) -> Result<Vec<(KekId, u64, u64)>, DbErr> {
    let wrapped_before = |at| wrapped_before.map(|before| before.holds(at));
    let data_keys = before(Column::KekId, targets, wrapped_before(store::wrapped_at()));
    let index_keys = before(index_key::Column::KekId, targets, wrapped_before(index_keys::wrapped_at()));
    let mut of_index = index_keys::count_by_kek(db, index_keys).await?;
    let mut all: Vec<_> = store::count_by_kek(db, data_keys)
        .await?
        .into_iter()
        .map(|kek| {
            let index_keys = of_index.remove(&kek.kek_id).unwrap_or(0);
            (KekId::new(kek.kek_id), kek.data_keys.cast_unsigned(), index_keys)
        })
        .collect();
    all.extend(of_index.into_iter().map(|(kek_id, index_keys)| (KekId::new(kek_id), 0, index_keys)));
    Ok(all)
}

/// What is under another wrapping key, and of what is under a target, what was wrapped before a moment.
pub(super) fn before(
    kek_id: impl ColumnTrait,
    targets: &[KekId],
    wrapped_before: Option<Condition>,
) -> Condition {
    let elsewhere = kek_id.is_not_in(targets.iter().map(KekId::as_str));
    Condition::any().add(elsewhere).add_option(wrapped_before)
}

/// A run cannot be planned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The database failed.
    #[error("the data keys cannot be counted")]
    Database(#[from] DbErr),
    /// The target cannot be used.
    #[error("the wrapping key to move to cannot be used")]
    Target(#[from] BackendError),
    /// The target has no wrapping key at all.
    #[error("key backend `{0}` has no wrapping key to move to")]
    NoTarget(String),
    /// The target was retired.
    #[error("{0}; if that is not meant any more: `oubliette-admin keys retire --undo {kek}`", kek = .0.kek_id)]
    Retired(Inactive),
    /// A wrapping key is nobody's.
    #[error("no configured key backend owns the wrapping key `{0}`: {advice}; or leave it out with --from", advice = advice(.0))]
    NoBackend(KekId),
    /// There is nothing under the wrapping key to move from, and never a hint that there was.
    #[error("no data key is under `{0}`: see `oubliette-admin keys status`")]
    Unused(KekId),
}
