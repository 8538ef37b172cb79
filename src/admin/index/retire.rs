use clap::Args;

use crate::{
    admin::{
        context::{Actor, AdminContext},
        terminal::{Output, confirm, counted},
    },
    audit::Origin,
    config::LoadedConfig,
    database,
    users::Users,
};

/// Ends the indexes of attributes that people are not found by any more (`search = "none"`), and what an interrupted `build` or `rotate` left to
/// be ended: deletes their tags, then the index keys that no index needs.
///
/// An attribute that this configuration does not know is one of those: use the configuration of the servers.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  oubliette-admin index retire --yes")]
pub struct RetireCommand {
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    actor: Actor,
}

impl RetireCommand {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let context = AdminContext::open(loaded).await?;
        let (users, origin) = (context.users(), self.actor.origin());
        let unwanted = users.search().unwanted().await?;
        let names: Vec<_> = unwanted.iter().map(|index| index.attribute.as_str()).collect();
        let question =
            format!("Let nobody be found by {} any more, on no server of this database?", names.join(", "));
        let output = if unwanted.is_empty() || confirm(&question, self.yes)? {
            users.search().give_up(&origin, &unwanted).await?;
            let said = retire(&users, &origin).await?;
            if said.is_empty() { "nothing is to be retired\n".to_owned() } else { said }.into()
        } else {
            Output { text: "nothing was done\n".to_owned(), status: 1 }
        };
        context.close().await?;
        Ok(output)
    }
}

/// Deletes the tags of what is retiring, and the keys that no index needs. Says what was deleted, if anything was.
pub(super) async fn retire(users: &Users, origin: &Origin) -> anyhow::Result<String> {
    let deleted = users.search().delete_retiring().await?;
    let epochs = users.search().end(origin).await?;
    if deleted > 0 {
        database::scrub(users.search().db()).await;
    }
    let mut text = String::new();
    if deleted > 0 {
        text.push_str(&format!("deleted {}\n", counted(deleted, "tag")));
    }
    for epoch in &epochs {
        text.push_str(&format!("destroyed the index key of epoch {epoch}\n"));
    }
    Ok(text)
}
