use clap::Args;
use serde_json::json;
use uuid::Uuid;

use super::{
    fields::{self, Shown},
    forget::receipt,
};
use crate::{
    admin::{
        context::{self, Actor, AdminContext},
        terminal::{self, Output, one_line, time},
    },
    config::LoadedConfig,
    envelope::SubjectId,
    keys::store,
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
        let context = AdminContext::open(loaded).await?;
        context.require_trusted_ledger().await?;
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
        // Before anything of it is printed.
        let event = fields::event(&self.actor.origin(), subject, &fields, self.reveal);
        context::record(&context.db, event).await?;
        let well = fields::all_open(&fields);
        let shown = fields::show(subject, &fields, self.reveal);
        context.close().await?;
        let text = if self.json {
            let keys: Vec<_> =
                keys.iter().map(|(version, kek)| json!({ "version": version, "kek_id": kek })).collect();
            let mut object = json!({
                "id": user.id().to_string(), "username": user.username(), "masked": !self.reveal,
                "errors": fields::errors(&shown),
                "created_at": time(user.created_at()), "updated_at": time(user.updated_at()), "data_keys": keys,
            });
            fields::add_to(&mut object, &shown);
            terminal::json(&object)?
        } else {
            as_text(&user, &shown, &keys)
        };
        Ok(if well { text.into() } else { Output::unwell(text) })
    }
}

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
