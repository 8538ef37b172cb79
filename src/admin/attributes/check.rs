use std::sync::Arc;

use clap::Args;
use serde_json::json;

use crate::{
    admin::{
        context::{self, Actor, AdminContext},
        terminal::{self, Output, grouped},
    },
    attributes::Declaration,
    audit::{self, Action, NewEvent},
    causes,
    config::LoadedConfig,
    users::Users,
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
        let (mut text, mut well) = (String::new(), true);
        for declaration in declarations {
            let (misfits, lines) = self.check(&users, &declaration).await?;
            text.push_str(&lines);
            well &= misfits == 0;
        }
        context.close().await?;
        Ok(if well { text.into() } else { Output::unwell(text) })
    }

    async fn check(&self, users: &Users, declaration: &Arc<Declaration>) -> anyhow::Result<(u64, String)> {
        let (name, mut lines) = (declaration.name(), String::new());
        let (mut opened, mut misfits, mut last) = (0, 0, None);
        loop {
            let (some, number, end) = users.check_some(declaration, last).await?;
            for misfit in some {
                misfits += 1;
                let subject = misfit.subject;
                let problem =
                    misfit.problem.unwrap_or_else(|error| format!("does not open: {}", causes::line(&error)));
                lines.push_str(&if self.json {
                    terminal::json(
                        &json!({ "user": subject.to_string(), "attribute": name, "problem": problem }),
                    )?
                } else {
                    format!("{subject}  {name} {problem}\n")
                });
            }
            opened += number;
            last = end;
            if number == 0 {
                break;
            }
        }
        lines.push_str(&if self.json {
            terminal::json(&json!({ "attribute": name, "values": opened, "misfits": misfits }))?
        } else {
            format!("{name}: {} values, of which {} do not fit\n", grouped(opened), grouped(misfits))
        });
        Ok((misfits, lines))
    }
}
