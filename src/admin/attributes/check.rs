use clap::Args;
use serde_json::json;

use crate::{
    admin::{
        context::{self, Actor, AdminContext},
        terminal::{Output, emit, grouped},
    },
    attributes::Declaration,
    audit::{self, Action, NewEvent},
    causes,
    config::LoadedConfig,
    users::{Misfit, Users},
};

/// Opens all values of declared attributes, and lists those that their declarations do not permit any more: by user and rule, without the value. They
/// stay readable. One that has been changed meanwhile is not listed.
///
/// Exit status: 0 if all fit, 1 if any does not.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  oubliette-admin attributes check
  oubliette-admin attributes check national_id --json")]
pub struct Check {
    /// Only this attribute
    name: Option<String>,
    /// JSON lines: one for each value that does not fit, then one for each attribute
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    actor: Actor,
}

impl Check {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let context = AdminContext::open(loaded).await?;
        context.require_trusted_ledger().await?;
        let declarations = match &self.name {
            None => context.declarations.iter().cloned().collect(),
            Some(name) => match context.declarations.get(name) {
                Some(declaration) => vec![declaration.clone()],
                None => anyhow::bail!("`{name}` is not declared in the configuration, under [attributes]"),
            },
        };
        // Before anything is opened.
        let event = NewEvent::new(&self.actor.origin(), Action::AttributeCheck);
        let event = if let Some(name) = &self.name { event.target(name) } else { event };
        context::record(&context.db, event.outcome(audit::Outcome::Ok)).await?;
        let users = context.users();
        let mut well = true;
        for declaration in declarations {
            well &= self.check(&users, &declaration).await? == 0;
        }
        context.close().await?;
        Ok(if well { String::new().into() } else { Output::unwell(String::new()) })
    }

    /// Prints what does not fit as it is found, and gives the number of it.
    async fn check(&self, users: &Users, declaration: &Declaration) -> anyhow::Result<u64> {
        let name = declaration.name();
        let (mut opened, mut misfits, mut last) = (0, 0, None);
        loop {
            let (some, number, end) = users.check_some(declaration, last).await?;
            for Misfit { subject, problem } in some {
                misfits += 1;
                let problem =
                    problem.unwrap_or_else(|error| format!("does not open: {}", causes::line(&error)));
                if self.json {
                    emit(&json!({ "user": subject.to_string(), "attribute": name, "problem": problem }));
                } else {
                    emit(&format!("{subject}  {name} {problem}"));
                }
            }
            opened += number;
            last = end;
            if number == 0 {
                break;
            }
        }
        if self.json {
            emit(&json!({ "attribute": name, "values": opened, "misfits": misfits }));
        } else {
            emit(&format!("{name}: {} values, of which {} do not fit", grouped(opened), grouped(misfits)));
        }
        Ok(misfits)
    }
}
