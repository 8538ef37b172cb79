//! What a run through data keys shows of itself.

use std::{
    collections::HashSet,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Value, json};

use crate::{
    admin::terminal::{Bar, Progress, Watch, emit, grouped, time},
    entity::key_operation,
    keys::sweep::{Controls, Counts, Failure, Tally},
};

/// Watches such a run, and ends it.
pub(in crate::admin) type SweepWatch = Watch<SweepProgress>;

/// How many data keys it has dealt with.
#[derive(Debug)]
pub(in crate::admin) struct SweepProgress {
    planned: u64,
    tally: Arc<Tally>,
}

/// Over `planned` data keys. Failures also go to a file, one JSON object a line.
///
/// # Errors
///
/// If the file cannot be made.
pub(in crate::admin) fn watch(
    planned: u64,
    json: bool,
    failures: Option<&Path>,
) -> anyhow::Result<(SweepWatch, Controls)> {
    let tally = Arc::new(Tally::default());
    let progress = SweepProgress { planned, tally: tally.clone() };
    let watch = Watch::new(progress, Bar::Items(planned), json, failures)?;
    let failures = watch.failures();
    let on_failure = move |failure: &Failure| {
        let object = json!({
            "subject": failure.id.subject.to_string(), "version": failure.id.version.get(),
            "kek_id": failure.kek_id.as_str(), "class": failure.class, "cause": failure.cause,
        });
        failures.add(&object, &format!("data key {}: {}", failure.id, failure.cause));
    };
    let controls = Controls {
        stop: watch.stop().clone(),
        tally,
        on_failure: Arc::new(on_failure),
        on_wait: Arc::new(tell_of_others(watch.teller(), json)),
    };
    Ok((watch, controls))
}

impl SweepProgress {
    pub(in crate::admin) fn counts(&self) -> Counts {
        self.tally.counts()
    }
}

impl Progress for SweepProgress {
    fn position(&self) -> u64 {
        let Counts { done, changed, failed, .. } = self.counts();
        done + changed + failed
    }

    fn message(&self) -> String {
        let Counts { failed, retries, .. } = self.counts();
        match (failed, retries) {
            (0, 0) => String::new(),
            (0, retries) => format!("  {} tried again", grouped(retries)),
            (failed, _) => format!("  {} FAILED", grouped(failed)),
        }
    }

    fn line(&self) -> String {
        let position = self.position();
        let of = grouped(self.planned.max(position));
        format!("{} of {of}{}", grouped(position), self.message())
    }

    fn event(&self) -> (Value, u64) {
        let Counts { done, changed, failed, calls, retries } = self.counts();
        let event = json!({
            "planned": self.planned, "done": done, "changed": changed, "failed": failed, "calls": calls,
            "retries": retries,
        });
        (event, done + changed + failed)
    }
}

/// Says of each other run once that it is waited for.
fn tell_of_others(tell: impl Fn(&str) + Send + Sync, json: bool) -> impl Fn(&[key_operation::Model]) {
    let told = Mutex::new(HashSet::new());
    move |others| {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        for other in others.iter().filter(|other| told.insert(other.id)) {
            let (kind, actor, started_at) = (&other.kind, &other.actor, time(other.started_at));
            if json {
                let event = json!({
                    "event": "waiting", "for": other.id.to_string(), "kind": kind, "actor": actor,
                    "started_at": started_at,
                });
                emit(&event);
            } else {
                tell(&format!(
                    "waiting for the {kind} that {actor} began at {started_at}: it has claimed what is left. If it died, until it was silent for 10 s"
                ));
            }
        }
    }
}
