use std::{
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use clap::Args;
use serde_json::json;

use crate::{
    admin::{
        context::{self, Actor, AdminContext},
        runs::watch::{self, SweepWatch},
        terminal::{Failures, INTERRUPTED, Output, counted, grouped, tenths},
    },
    audit::{self, Action, NewEvent},
    config::LoadedConfig,
    keys::{
        sweep::{Controls, SweepOptions},
        verify::{Fault, Verified, Verify as Engine},
    },
};

/// Most data keys that are read together, with the rows of their subjects.
const MAX_BATCH: NonZeroU32 = const { NonZeroU32::new(125).unwrap() };

/// Opens every data key and every attribute of every user, and reports what does not open, why, and where.
///
/// Exit status: 0 if all of it opens, 1 if anything does not, 130 if it was interrupted.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  oubliette-admin keys verify
  oubliette-admin keys verify --sample 1000
  oubliette-admin keys verify --failures unreadable.jsonl --json")]
pub struct Verify {
    /// Only this many users, chosen at random
    #[arg(long, value_name = "COUNT")]
    sample: Option<u64>,
    /// Write everything that does not open to this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    failures: Option<PathBuf>,
    /// Most calls to a key backend at the same time [default: keys.max_concurrent_calls]
    #[arg(long, value_name = "COUNT")]
    concurrency: Option<NonZeroUsize>,
    /// JSON lines: the progress each second, the result
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    actor: Actor,
}

impl Verify {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let context = AdminContext::open_for(loaded, self.concurrency).await?;
        let (engine, concurrency) = (context.users().verify(), context.config.max_concurrent_calls);
        let planned = engine.count().await?.min(self.sample.unwrap_or(u64::MAX));
        let (watch, controls) = watch::watch(planned, self.json, self.failures.as_deref())?;
        let ended = watch.during(self.verify(&engine, &watch, &controls, concurrency)).await.flatten();
        let well = ended.as_ref().is_ok_and(|verified| verified.faults.is_empty());
        let outcome = if well { audit::Outcome::Ok } else { audit::Outcome::Failed };
        let event = NewEvent::new(&self.actor.origin(), Action::KeyVerify).outcome(outcome);
        let left = context::record(&context.db, event).await;
        let verified = ended?;
        left?;
        let interrupted = watch.stop().is_cancelled() && verified.subjects < planned;
        let status = match () {
            () if !verified.faults.is_empty() => 1,
            () if interrupted => INTERRUPTED,
            () => 0,
        };
        context.close().await?;
        Ok(Output { text: self.text(&verified, &watch, interrupted), status })
    }

    async fn verify(
        &self,
        engine: &Engine,
        watch: &SweepWatch,
        controls: &Controls,
        concurrency: NonZeroUsize,
    ) -> anyhow::Result<Verified> {
        if let Some(size) = self.sample {
            let verified = engine.sample(size).await?;
            verified.faults.iter().for_each(|fault| add_to(&watch.failures(), fault));
            return Ok(verified);
        }
        let batch = concurrency.try_into().unwrap_or(MAX_BATCH).min(MAX_BATCH);
        let options = SweepOptions {
            // A few batches are in hand at a time, and each data key's wait for its turn counts: `keys.call_timeout`. So no more wait
            // than come to their turn within a few calls.
            batch_size: batch,
            // The keyring makes the calls, within its own limit.
            concurrency: NonZeroUsize::MIN,
            max_rate: None,
            limit: None,
            patience: Duration::ZERO,
        };
        let failures = watch.failures();
        // The faults are what is listed, and not the data keys that they are under.
        let controls = Controls { on_failure: Arc::new(|_| ()), ..controls.clone() };
        let on_fault = Arc::new(move |fault: &Fault| add_to(&failures, fault));
        Ok(engine.run(&options, &controls, on_fault).await?)
    }

    fn text(&self, verified: &Verified, watch: &SweepWatch, interrupted: bool) -> String {
        let Verified { subjects: users, data_keys, attributes, faults, .. } = verified;
        let faults = faults.len() as u64;
        let seconds = watch.elapsed().as_secs_f64();
        if self.json {
            let result = json!({
                "event": "result", "users": users, "data_keys": data_keys, "attributes": attributes,
                "faults": faults, "interrupted": interrupted, "seconds": tenths(seconds),
            });
            return format!("{result}\n");
        }
        let mut text = format!(
            "opened {} and {} of {} in {seconds:.1} s\n",
            counted(*data_keys, "data key"),
            counted(*attributes, "attribute"),
            counted(*users, "user"),
        );
        if interrupted {
            text.push_str("interrupted: the other users were not looked at\n");
        }
        if faults == 0 {
            text.push_str("nothing was found that does not open\n");
        } else {
            text.push_str(&format!("{} DO NOT OPEN:\n{}", grouped(faults), watch.failures().lines()));
        }
        text
    }
}

fn add_to(failures: &Failures, fault: &Fault) {
    let object = json!({ "subject": fault.subject.to_string(), "place": fault.place, "cause": fault.cause });
    failures.add(&object, &format!("{} of user {}: {}", fault.place, fault.subject, fault.cause));
}
