use std::collections::HashSet;

use clap::Args;
use serde_json::json;
use uuid::Uuid;

use super::fields;
use crate::{
    admin::{
        context::{Actor, AdminContext},
        export::{Lines, print_pages},
        pace::PeoplePace,
        runs::costs::{help_of_the_rate_of_people, rate_of},
        terminal::{Output, confirm, counted, say},
    },
    audit, causes,
    config::LoadedConfig,
    envelope::SubjectId,
    users::{MAX_PAGE_SIZE, User, UserPageRequest, Users},
};

/// Prints users as JSON Lines: id, username, and each personal value, masked.
///
/// With --reveal, the values are in the clear, and `users import` takes them back. Without, each line has `"masked": true`. A value that does not
/// open is null, and `errors` says why; if the key backend fails, the export stops. Each user who is printed leaves an event in the audit trail.
///
/// Exit status: 0, or 1 if a value does not open.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  oubliette-admin users export > masked.jsonl
  oubliette-admin users export --subject 019abcde-0000-7000-8000-000000000001 --reveal   # what there is of this person
  oubliette-admin users export --reveal --yes | gpg --encrypt --recipient dpo > users.jsonl.gpg")]
pub struct ExportCommand {
    /// Only this user (an id); may be given several times
    #[arg(long = "subject", value_name = "ID")]
    subjects: Vec<Uuid>,
    /// Print personal values in the clear
    #[arg(long)]
    reveal: bool,
    #[arg(long, value_name = "PEOPLE", help = help_of_the_rate_of_people())]
    max_rate: Option<u32>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    actor: Actor,
}

impl ExportCommand {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let context = AdminContext::open(loaded).await?;
        let users = context.users();
        let whom = match self.subjects.len() {
            0 => "all users".to_owned(),
            some => counted(some as u64, "user"),
        };
        let question = format!("Print the personal values of {whom} in the clear?");
        if self.reveal && !confirm(&question, self.yes)? {
            say("nothing was done");
            return Ok(Output::unwell(String::new()));
        }
        let mut well = true;
        let mut rate = PeoplePace::new(rate_of(self.max_rate, &context));
        let size = rate.batch_size(usize::try_from(MAX_PAGE_SIZE)?);
        print_pages(async |after: Option<SubjectId>| {
            tokio::time::sleep_until(rate.not_before()).await;
            let (page, next) = self.page(&users, after, u64::try_from(size)?).await?;
            rate.begin(page.len());
            let lines = self.lines(&context, &users, &page, &mut well).await?;
            Ok(Lines { lines, next })
        })
        .await?;
        context.close().await?;
        Ok(Output { text: String::new(), status: u8::from(!well) })
    }

    /// The users after one, and the last of them, if there are more.
    async fn page(
        &self,
        users: &Users,
        after: Option<SubjectId>,
        size: u64,
    ) -> anyhow::Result<(Vec<User>, Option<SubjectId>)> {
        if self.subjects.is_empty() {
            let request = UserPageRequest { size, after, before: None, from_the_end: false };
            let page = users.list(request).await?;
            let next = page.users.last().filter(|_| page.has_next).map(User::id);
            return Ok((page.users, next));
        }
        let (mut found, mut ids) = (Vec::with_capacity(self.subjects.len()), HashSet::new());
        for id in self.subjects.iter().filter(|id| ids.insert(**id)) {
            let user = users.find((*id).into()).await?;
            found.push(user.ok_or_else(|| anyhow::anyhow!("there is no user {id}, and never was"))?);
        }
        Ok((found, None))
    }

    /// The lines of some users, whose events are recorded.
    async fn lines(
        &self,
        context: &AdminContext,
        users: &Users,
        page: &[User],
        well: &mut bool,
    ) -> anyhow::Result<Vec<String>> {
        context.require_trusted_ledger().await?;
        let subjects: Vec<_> = page.iter().map(User::id).collect();
        let all = users.personal_fields_of(&subjects).await?;
        let failures = all.values().flatten().filter_map(|field| field.value.as_ref().err());
        if let Some(outage) = failures.into_iter().find(|error| error.is_outage()) {
            anyhow::bail!("the export stops, since values cannot be decrypted now: {}", causes::line(outage));
        }
        let origin = self.actor.origin();
        let (mut lines, mut events) = (Vec::with_capacity(page.len()), Vec::with_capacity(page.len()));
        for user in page {
            let Some(fields) = all.get(&user.id()) else { continue };
            events.push(fields::event(&origin, user.id(), fields, self.reveal));
            *well &= fields::all_open(fields);
            let shown = fields::show(user.id(), fields, self.reveal);
            let mut object = json!({ "id": user.id().to_string(), "username": user.username() });
            if !self.reveal {
                object["masked"] = true.into();
            }
            let errors = fields::errors(&shown);
            if !errors.is_empty() {
                object["errors"] = json!(errors);
            }
            fields::add_to(&mut object, &shown);
            lines.push(object.to_string());
        }
        if !events.is_empty() {
            audit::record(&context.db, &events).await?;
        }
        Ok(lines)
    }
}
