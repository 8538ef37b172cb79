use std::{fmt, str::FromStr};

use chrono::{DateTime, SubsecRound, Utc};
use clap::Args;
use serde_json::json;
use uuid::Uuid;

use crate::{
    access::{
        Scope, Scopes,
        tokens::{self, NewToken},
    },
    admin::{
        context::{Actor, connect},
        terminal::{self, Output, say, time},
    },
    config::{AuthMode, LoadedConfig},
};

/// Makes a token, and prints it: once, to standard output, and nothing else there. Only its hash is stored.
///
/// Scopes: users:read (users, with personal values masked), users:write, users:forget, pii:read (personal values in
/// the clear), audit:read. For one attribute: pii:read:postal_address, users:write:postal_address.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  oubliette-admin tokens create --name billing --scopes users:read,pii:read --expires 90d
  oubliette-admin tokens create --name parcels --scopes pii:read:postal_address
  oubliette-admin tokens create --name import --scopes users:write --subjects-per-minute 0 --expires 1d
  oubliette-admin tokens create --name ada-phone --self 019abcde-0000-7000-8000-000000000001 --expires 30d")]
pub struct Create {
    /// What records call its bearer: letters, digits, dots, dashes, underscores. Never used twice
    #[arg(long)]
    name: String,
    /// What it allows, with commas between [default with --self: users:read,users:write,users:forget,pii:read]
    #[arg(long, required_unless_present = "own")]
    scopes: Option<Scopes>,
    /// The one user whom the token is for: it reads, changes and forgets nobody else
    #[arg(long = "self", value_name = "USER ID")]
    own: Option<Uuid>,
    /// When it ends: a time from now (`90d`, `12h`), a moment (`2027-01-31T00:00:00Z`), or `never`
    #[arg(long, value_name = "WHEN", default_value = "90d")]
    expires: Expiry,
    /// Most users whose personal values it opens within a minute; 0: no limit [default: limits.subjects_per_minute]
    #[arg(long, value_name = "N")]
    subjects_per_minute: Option<u32>,
    /// One JSON object, the token among the rest
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    actor: Actor,
}

impl Create {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let own_data = [Scope::UsersRead, Scope::UsersWrite, Scope::UsersForget, Scope::PiiRead];
        let expires_at = self.expires.at(Utc::now())?;
        let new = NewToken {
            name: self.name,
            scopes: self.scopes.unwrap_or_else(|| own_data.into_iter().collect()),
            subject: self.own.map(Into::into),
            subjects_per_minute: self.subjects_per_minute,
            expires_at,
        };
        let db = connect(loaded).await?;
        let (row, token) = tokens::create(&db, new, &self.actor.origin()).await?;
        db.close().await?;
        if loaded.config.auth.mode != AuthMode::Tokens {
            say(
                "warning: auth.mode is not \"tokens\", so servers of this configuration do not look at tokens",
            );
        }
        let ends = row.expires_at.map(time);
        if self.json {
            let object = json!({
                "id": row.id.to_string(), "name": row.name, "scopes": row.scopes,
                "self": row.subject_id.map(|id| id.to_string()), "expires_at": ends,
                "token": token.expose(),
            });
            return Ok(terminal::json(&object)?.into());
        }
        say(&format!(
            "token `{}` for {}, {}. It is shown this once:",
            row.name,
            row.scopes,
            ends.map_or_else(|| "without an end".to_owned(), |ends| format!("until {ends}")),
        ));
        Ok(format!("{}\n", token.expose()).into())
    }
}

/// When a token ends.
#[derive(Clone, Copy, Debug)]
enum Expiry {
    Never,
    After(std::time::Duration),
    At(DateTime<Utc>),
}

impl Expiry {
    fn at(self, now: DateTime<Utc>) -> anyhow::Result<Option<DateTime<Utc>>> {
        let end = match self {
            Self::Never => return Ok(None),
            Self::At(moment) => moment,
            Self::After(time) => {
                let end =
                    chrono::TimeDelta::from_std(time).ok().and_then(|time| now.checked_add_signed(time));
                end.ok_or_else(|| anyhow::anyhow!("--expires is too far away; `never` is possible"))?
            }
        };
        anyhow::ensure!(end > now, "--expires is in the past: {}", time(end));
        Ok(Some(end.trunc_subsecs(6)))
    }
}

impl FromStr for Expiry {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        if text == "never" {
            return Ok(Self::Never);
        }
        if let Ok(time) = humantime_serde::re::humantime::parse_duration(text) {
            return Ok(Self::After(time));
        }
        DateTime::parse_from_rfc3339(text).map(|moment| Self::At(moment.to_utc())).map_err(|_| NotATime)
    }
}

#[derive(Clone, Copy, Debug)]
struct NotATime;

impl std::error::Error for NotATime {}

impl fmt::Display for NotATime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("neither a time such as `90d`, nor a moment such as `2027-01-31T00:00:00Z`, nor `never`")
    }
}
