use std::future::Future;

use sea_orm::DatabaseConnection;

use super::{
    AttributeChanges, MAX_PAGE_SIZE, Reads, User, UserAttribute, UserError, UserPage, Users, by_tag::FEW,
    values::and_values,
};
use crate::{
    attributes::{AttributeName, Change, Declarations, Matching, SearchSettings, Second},
    audit::Origin,
    database::is_deadlock,
    entity::user::PersonalAttribute,
    envelope::{PersonalText, SubjectId},
    keys::{
        KeyBackend, Keyring,
        sweep::{Controls, SweepOptions},
    },
    search::{Build, Search, Searched, no_head},
};

/// Who builds what is missing, in the audit trail.
const AT_START: &str = "system:start";

/// How often a change is made anew whose tags are of indexes that have changed.
const ATTEMPTS: usize = 5;

/// A value that somebody is looked for by: checked as one that is written.
#[derive(Debug)]
pub struct SearchedValue {
    attribute: UserAttribute,
    /// One change, of one value.
    given: AttributeChanges,
}

impl SearchedValue {
    /// Checks a value.
    ///
    /// # Errors
    ///
    /// [`UserError::Invalid`], by the attribute's own rules.
    pub fn parse(attribute: UserAttribute, value: &str) -> Result<Self, UserError> {
        let mut given = AttributeChanges::default();
        given.add(&attribute, Change::Replace(value))?;
        Ok(Self { attribute, given })
    }

    fn value(&self) -> Option<&PersonalText> {
        self.given.tagged().find_map(|change| change.value)
    }
}

impl Users {
    /// The user who has a value; `None` if nobody has.
    ///
    /// # Errors
    ///
    /// [`UserError::Ambiguous`], [`UserError::IndexNotReady`], [`UserError::Unreadable`], [`UserError::Keys`], [`UserError::LedgerWentBack`],
    /// [`UserError::Database`].
    pub async fn find_by_value(
        &self,
        value: &SearchedValue,
        reads: &Reads,
    ) -> Result<Option<User>, UserError> {
        self.require_trusted_ledger()?;
        let Some(wanted) = value.value() else { return Ok(None) };
        let name = value.attribute.name();
        let mut reads = reads.clone();
        reads.add(&value.attribute);
        let rows = self.search.look_up(name, wanted, |wanted| {
            let (tagged, columns) = (self.tagged.clone(), reads.columns);
            async move { tagged.find((columns, wanted)).await?.ok_or_else(no_head) }
        });
        let rows = rows.await?;
        let are_some = rows.len() >= FEW;
        let users = and_values(&self.db, rows, &reads.declared).await?;
        let users = User::together(self, users, &reads.declared, Vec::new());
        let number = users.len();
        let mut found = having(value, wanted, users).await?;
        if are_some && found.len() < number {
            // Not all of them have it. Others may.
            let page = self.search.page(name, wanted, None, MAX_PAGE_SIZE).await?;
            found = self.confirmed(value, wanted, &page.subjects, &reads).await?;
        }
        if found.len() > 1 {
            let subjects = found.iter().map(User::id).collect();
            return Err(UserError::Ambiguous { attribute: value.attribute.name().to_owned(), subjects });
        }
        Ok(found.pop())
    }

    /// The users who have a value, a page at a time.
    ///
    /// # Errors
    ///
    /// As for [`Users::find_by_value`], but for the first.
    pub async fn find_all_by_value(
        &self,
        value: &SearchedValue,
        after: Option<SubjectId>,
        size: u64,
        reads: &Reads,
    ) -> Result<UserPage, UserError> {
        self.require_trusted_ledger()?;
        let has_previous = after.is_some();
        let Some(wanted) = value.value() else {
            return Ok(UserPage { users: Vec::new(), has_previous, has_next: false });
        };
        let page = self.search.page(value.attribute.name(), wanted, after, size.min(MAX_PAGE_SIZE)).await?;
        let users = self.confirmed(value, wanted, &page.subjects, reads).await?;
        Ok(UserPage { users, has_previous, has_next: page.has_next })
    }

    /// Those of whom a value is what is looked for, as they are now: a tag may be that of another value, and somebody may have been changed or forgotten
    /// since.
    async fn confirmed(
        &self,
        value: &SearchedValue,
        wanted: &PersonalText,
        subjects: &[SubjectId],
        reads: &Reads,
    ) -> Result<Vec<User>, UserError> {
        let mut reads = reads.clone();
        reads.add(&value.attribute);
        let mut users = Vec::with_capacity(subjects.len());
        for subject in subjects {
            match self.find_with(*subject, &reads).await {
                Ok(user) => users.extend(user),
                Err(UserError::Forgotten(_)) => {}
                Err(error) => return Err(error),
            }
        }
        having(value, wanted, users).await
    }

    /// Gives a database without users its indexes, and builds those that are missing if that is wanted. Gives the names of the attributes that
    /// nobody can be found by yet.
    ///
    /// # Errors
    ///
    /// [`UserError::Keys`], [`UserError::Database`].
    pub async fn prepare_search(&self, build: bool) -> Result<Vec<String>, UserError> {
        let origin = Origin::new(AT_START);
        let missing = self.search.prepare(&origin).await?;
        if missing.is_empty() || !build {
            return Ok(missing);
        }
        self.require_trusted_ledger()?;
        let indexes = self.search.begin(&origin, Build::Missing).await?;
        let (options, controls) = (SweepOptions::default(), Controls::default());
        let build = self.index_build(&indexes);
        let report = build.run(AT_START, build.count().await?, &options, &controls).await?;
        if report.left > 0 {
            return Ok(missing);
        }
        self.search.finish(&origin, &indexes).await?;
        self.search.delete_retiring().await?;
        self.search.end(&origin).await?;
        Ok(self.search.prepare(&origin).await?)
    }

    /// Those of the changed attributes that one user alone can have, or will.
    ///
    /// # Errors
    ///
    /// [`UserError::Database`].
    pub async fn unique_among(&self, changes: &AttributeChanges) -> Result<Vec<AttributeName>, UserError> {
        let unique = self.search.unique().await?;
        Ok(changes.names().into_iter().filter(|name| unique.contains(name.as_str())).collect())
    }

    /// How users are to be found by an attribute.
    #[must_use]
    pub fn search_settings(&self, attribute: &UserAttribute) -> SearchSettings {
        self.declarations.search(attribute.name())
    }

    /// What people are found by.
    #[must_use]
    pub fn search(&self) -> &Search {
        &self.search
    }

    /// Makes a change anew whose tags are of indexes that have changed meanwhile, or that was undone since it and another one waited for each other.
    pub(super) async fn with_current_indexes<T, F: Future<Output = Result<T, UserError>>>(
        &self,
        change: impl Fn() -> F,
    ) -> Result<T, UserError> {
        for _ in 0..ATTEMPTS {
            match change().await {
                Err(UserError::IndexesChanged) => self.search.catch_up().await?,
                // Each wants a value that the other one is about to give up.
                Err(UserError::Database(error)) if is_deadlock(&error) => {}
                done => return done,
            }
        }
        Err(UserError::Contended)
    }
}

/// Those who have a value.
async fn having(
    value: &SearchedValue,
    wanted: &PersonalText,
    users: Vec<User>,
) -> Result<Vec<User>, UserError> {
    let matching = value.attribute.matching();
    let mut found = Vec::with_capacity(users.len());
    for user in users {
        match user.open(&value.attribute).await {
            Ok(Some(here)) if matching.is_same(&here, wanted) => found.push(user),
            Ok(_) | Err(UserError::Forgotten(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

impl UserAttribute {
    /// Which of its values are the same to who looks for one.
    #[must_use]
    pub fn matching(&self) -> Matching {
        match self {
            Self::Column(attribute) => Matching::new(attribute.kind(), &[]),
            Self::Declared(declaration) => declaration.matching().clone(),
        }
    }
}

/// What finds people by these attributes, and by those that are columns.
pub(super) fn search(db: &DatabaseConnection, keyring: &Keyring, declarations: &Declarations) -> Search {
    let columns = PersonalAttribute::ALL.iter().map(|attribute| UserAttribute::Column(*attribute));
    let declared = declarations.iter().map(|declaration| UserAttribute::Declared(declaration.clone()));
    // Without one, what is there is not used, and nothing is built.
    let mac_key = keyring.backends().mac().and_then(KeyBackend::mac_key).unwrap_or_default();
    let searched = columns.chain(declared).map(|attribute| {
        let (matching, settings) = (attribute.matching(), declarations.search(attribute.name()));
        let matching = match settings.second {
            Second::None => matching,
            Second::Backend => matching.with_second(mac_key),
        };
        Searched { name: attribute.name().to_owned(), matching, settings }
    });
    Search::new(db.clone(), keyring.clone(), searched.collect::<Vec<_>>())
}
