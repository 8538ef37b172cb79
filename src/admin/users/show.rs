use clap::Args;
use serde_json::json;
use uuid::Uuid;

use super::forget::receipt;
use crate::{
    admin::{
        office::{self, Actor, Office},
        terminal::{self, Output, time},
    },
    audit::{self, Action, NewEvent},
    causes,
    config::LoadedConfig,
    envelope::{Attribute, SubjectId},
    keys::store,
    ledger::rollbacks,
    users::{User, UserError},
};

/// Shows a user: the personal values masked, the data keys, or the receipt if the user was forgotten.
///
/// Exit status: 0, or 1 if there is no such user or a value does not open.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  oubliette-admin users show 019abcde-0000-7000-8000-000000000001
  oubliette-admin users show 019abcde-0000-7000-8000-000000000001 --reveal --json")]
pub struct Show {
    /// The user's id
    id: Uuid,
    /// Show personal values in the clear
    #[arg(long)]
    reveal: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    actor: Actor,
}

impl Show {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let office = Office::open(loaded).await?;
        if let Some(rollback) = rollbacks::waiting_or(&office.db, &[]).await?.first() {
            anyhow::bail!(
                "the erasure ledger went back: {rollback}. Who was forgotten there is not shown again: see `oubliette-admin \
                 ledger status`"
            );
        }
        let users = office.users();
        let subject = SubjectId::from(self.id);
        let user = match users.find(subject).await {
            Ok(Some(user)) => user,
            Ok(None) => anyhow::bail!("there is no user {subject}, and never was"),
            Err(UserError::Forgotten(_)) => {
                let erasure = users.erasure(subject).await?;
                let erasure = erasure.ok_or_else(|| anyhow::anyhow!("user {subject} is forgotten"))?;
                return Ok(receipt(&erasure, self.json)?.into());
            }
            Err(error) => return Err(error.into()),
        };
        let keys = store::ids_of(&office.db, &[subject]).await?;
        let wrapped = store::find(&office.db, &keys).await?;
        let mut keys: Vec<_> = wrapped
            .iter()
            .map(|(id, stored)| (id.version.get(), stored.wrapped.kek_id.to_string()))
            .collect();
        keys.sort();
        let email = value(user.email().await, |email| {
            if self.reveal { email.text().expose().to_owned() } else { email.masked() }
        });
        let phone = value(user.phone().await, |phone| {
            if self.reveal { phone.text().expose().to_owned() } else { phone.masked() }
        });
        let well = email.is_ok() && phone.is_ok();
        // Before anything of it is printed.
        let read = if self.reveal {
            [("email", &email), ("phone", &phone)]
        } else {
            [("email_masked", &email), ("phone_masked", &phone)]
        };
        let read = read.into_iter().filter(|(_, value)| !matches!(value, Ok(None)));
        let names: Vec<_> = read.map(|(name, _)| name).collect();
        if !names.is_empty() {
            let outcome = if well { audit::Outcome::Ok } else { audit::Outcome::Failed };
            let event = NewEvent::new(&self.actor.origin(), Action::ReadPii).about(subject);
            office::leave(&office.db, event.attributes(&names).outcome(outcome)).await?;
        }
        office.close().await?;
        let text = if self.json {
            let keys: Vec<_> =
                keys.iter().map(|(version, kek)| json!({ "version": version, "kek_id": kek })).collect();
            let errors: Vec<_> = [email.as_ref().err(), phone.as_ref().err()].into_iter().flatten().collect();
            terminal::json(&json!({
                "id": user.id().to_string(), "username": user.username(), "masked": !self.reveal,
                "email": email.as_ref().ok(), "phone": phone.as_ref().ok(),
                "errors": errors,
                "created_at": time(user.created_at()), "updated_at": time(user.updated_at()), "data_keys": keys,
            }))?
        } else {
            as_text(&user, email, phone, &keys)
        };
        Ok(if well { text.into() } else { Output::unwell(text) })
    }
}

fn as_text(
    user: &User,
    email: Result<Option<String>, String>,
    phone: Result<Option<String>, String>,
    keys: &[(u32, String)],
) -> String {
    let printed = |value: Result<Option<String>, String>| match value {
        Ok(Some(value)) => value,
        Ok(None) => "none".to_owned(),
        Err(error) => format!("ERROR: {error}"),
    };
    let mut text = format!(
        "id          {}\nusername    {}\nemail       {}\nphone       {}\ncreated at  {}\nupdated at  {}\n",
        user.id(),
        user.username(),
        printed(email),
        printed(phone),
        time(user.created_at()),
        time(user.updated_at()),
    );
    for (version, kek) in keys {
        text.push_str(&format!("data key    {version}, under {kek}\n"));
    }
    text
}

fn value<A>(
    opened: Result<Option<A>, UserError>,
    print: impl Fn(&A) -> String,
) -> Result<Option<String>, String> {
    opened.map(|value| value.as_ref().map(print)).map_err(|error| causes::line(&error))
}
