use clap::Args;
use serde_json::{Value, json};
use uuid::Uuid;

use super::forget::receipt;
use crate::{
    admin::{
        context::{self, Actor, AdminContext},
        terminal::{self, Output, one_line, time},
    },
    attributes::{AttributeName, SEALED_PREFIX},
    audit::{self, Action, NewEvent},
    causes,
    config::LoadedConfig,
    envelope::SubjectId,
    keys::store,
    ledger::rollbacks,
    users::{PersonalField, User, UserError},
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
        let context = AdminContext::open(loaded).await?;
        if let Some(rollback) = rollbacks::waiting_or(&context.db, &[]).await?.first() {
            anyhow::bail!(
                "the erasure ledger went back: {rollback}. Who was forgotten there is not shown again: see `oubliette-admin \
                 ledger status`"
            );
        }
        let users = context.users();
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
        let keys = store::ids_of(&context.db, &[subject]).await?;
        let wrapped = store::find(&context.db, &keys).await?;
        let mut keys: Vec<_> = wrapped
            .iter()
            .map(|(id, stored)| (id.version.get(), stored.wrapped.kek_id.to_string()))
            .collect();
        keys.sort();
        let fields = users.personal_fields(&user).await?;
        let well = fields.iter().all(|field| field.value.is_ok());
        // Before anything of it is printed.
        let read = fields.iter().filter(|field| !matches!(field.value, Ok(None)));
        let names: Vec<_> = read.map(|field| self.name(field)).collect();
        if !names.is_empty() {
            let outcome = if well { audit::Outcome::Ok } else { audit::Outcome::Failed };
            let event = NewEvent::new(&self.actor.origin(), Action::ReadPii).about(subject);
            context::record(&context.db, event.attributes(&names).outcome(outcome)).await?;
        }
        let shown: Vec<_> = fields.iter().map(|field| self.show(subject, field)).collect();
        context.close().await?;
        let text = if self.json {
            let keys: Vec<_> =
                keys.iter().map(|(version, kek)| json!({ "version": version, "kek_id": kek })).collect();
            let errors: Vec<_> = shown.iter().filter_map(|(_, value)| value.as_ref().err()).collect();
            let mut object = json!({
                "id": user.id().to_string(), "username": user.username(), "masked": !self.reveal,
                "errors": errors,
                "created_at": time(user.created_at()), "updated_at": time(user.updated_at()), "data_keys": keys,
            });
            for (name, value) in &shown {
                let value = json!(value.as_ref().ok());
                match &mut object[name] {
                    // Several rows have one.
                    Value::Array(values) => values.push(value),
                    place @ Value::Null if shown.iter().filter(|(other, _)| other == name).count() > 1 => {
                        *place = json!([value]);
                    }
                    place => *place = value,
                }
            }
            terminal::json(&object)?
        } else {
            as_text(&user, &shown, &keys)
        };
        Ok(if well { text.into() } else { Output::unwell(text) })
    }
}

impl Show {
    /// What the audit trail says was looked at.
    fn name(&self, field: &PersonalField) -> AttributeName {
        let name = AttributeName::of_field(&field.name);
        if self.reveal { name } else { name.masked() }
    }

    /// The field's name and value, or why it does not open.
    fn show(&self, subject: SubjectId, field: &PersonalField) -> Shown {
        // Those of other tables whole: two tables may have one name.
        let own = ["users.", SEALED_PREFIX].iter().find_map(|prefix| field.name.strip_prefix(prefix));
        let name = own.unwrap_or(&field.name).to_owned();
        let value = match &field.value {
            Ok(value) if self.reveal => Ok(value.as_ref().map(|value| value.expose().to_owned())),
            Ok(_) => Ok(field.masked()),
            Err(cause) => {
                Err(format!("{} of user {subject} could not be opened: {}", field.name, causes::line(cause)))
            }
        };
        (name, value)
    }
}

type Shown = (String, Result<Option<String>, String>);

fn as_text(user: &User, shown: &[Shown], keys: &[(u32, String)]) -> String {
    // Wide enough for the other lines, too.
    let width = shown.iter().map(|(name, _)| name.len()).max().unwrap_or_default().max("created at ".len());
    let mut text = format!("{:<width$} {}\n{:<width$} {}\n", "id", user.id(), "username", user.username());
    for (name, value) in shown {
        let value = match value {
            Ok(Some(value)) => one_line(value),
            Ok(None) => "none".to_owned(),
            Err(error) => format!("ERROR: {error}"),
        };
        text.push_str(&format!("{name:<width$} {value}\n"));
    }
    for (name, at) in [("created at", user.created_at()), ("updated at", user.updated_at())] {
        text.push_str(&format!("{name:<width$} {}\n", time(at)));
    }
    for (version, kek) in keys {
        text.push_str(&format!("{:<width$} {version}, under {kek}\n", "data key"));
    }
    text
}
