//! Users who are created one by one, each in a transaction, as the API does it; without HTTP.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt, stream};
use oubliette::{
    attributes::{AttributesConfig, Change, Declarations},
    audit::Origin,
    config::KeysConfig,
    keys::{
        Backends, Keyring,
        local::{KeyFile, LocalBackend},
        unobserved,
    },
    users::{AttributeChanges, NewUser, Username, Users},
};
use sea_orm::DatabaseConnection;

use crate::people::{self, person};

/// At the same time.
const CLIENTS: usize = 32;
const NAMES: [&str; 4] = ["email", "full_name", "postal_address", "date_of_birth"];

/// Creates so many.
pub(crate) async fn create(db: DatabaseConnection, keys: &Path, count: usize) -> anyhow::Result<Duration> {
    let (config, observer) = (KeysConfig::default(), unobserved());
    let backend = Arc::new(LocalBackend::new("local", &KeyFile::read(keys)?));
    let keyring = Keyring::new(
        db.clone(),
        Backends::new(backend, Vec::new(), &config, observer.clone()),
        &config,
        observer,
    );
    let Declared { attributes } = toml::from_str(people::ATTRIBUTES)?;
    let users = Users::new(db, keyring).with_declarations(Declarations::of(&attributes)?);
    let origin = Origin::new("a bench");
    let create = |number| {
        let (users, origin) = (&users, &origin);
        async move {
            let [username, values @ ..] = person(number);
            let mut personal = AttributeChanges::default();
            for (name, value) in NAMES.iter().zip(&values) {
                let attribute =
                    users.attribute(name).ok_or_else(|| anyhow::anyhow!("no attribute {name}"))?;
                personal.add(&attribute, Change::Replace(value))?;
            }
            let new = NewUser { username: Username::parse(&username)?, personal };
            users.create(new, origin).await?;
            anyhow::Ok(())
        }
    };
    let began = Instant::now();
    stream::iter(0..count).map(create).buffer_unordered(CLIENTS).try_collect::<()>().await?;
    Ok(began.elapsed())
}

#[derive(serde::Deserialize)]
struct Declared {
    attributes: AttributesConfig,
}
