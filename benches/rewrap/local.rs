//! Local keys on PostgreSQL, beside a bare UPDATE of the same rows with bytes that are there already.

use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use oubliette::keys::{
    KekId, KeyBackend, KeyContext, WrappedKey,
    local::{KeyFile, KeyFileEditor, LocalBackend, kek_id},
};
use sea_orm::sqlx::{PgPool, query};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    Options,
    command::Admin,
    population::{self, Row, settle},
    postgres,
    series::Series,
};

/// The size of `keys rewrap`'s own batches, and its workers.
const BATCH: usize = 1000;
const WORKERS: usize = 4;

/// The least that any tool has to do: no reading, no wrapping, no check that nobody else changed the row.
const BARE: &str = "UPDATE data_keys SET kek_id = $1, wrapped = moved.wrapped, rewrapped_at = now() \
    FROM unnest($2::uuid[], $3::bytea[]) AS moved(subject_id, wrapped) \
    WHERE data_keys.subject_id = moved.subject_id AND data_keys.version = 1";

pub(crate) async fn compare(options: &Options) -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("keys.toml");
    drop(KeyFile::create(&path)?);
    let mut file = KeyFileEditor::open(&path)?;
    let (here, there) = (kek_id(file.primary()), kek_id(&file.add(Some("other".to_owned()))?));
    file.save()?;
    let backend = LocalBackend::new("local", &KeyFile::read(&path)?);
    let keys = format!(
        "[keys]\nactive = \"local\"\n[keys.backends.local]\nkind = \"local\"\nfile = \"{}\"\n",
        path.display()
    );

    let few = measure_memory(options.few_data_keys, &keys, &backend, &there).await?;
    let (admin, pool) = site("many", &keys).await?;
    eprintln!("making {} data keys", options.data_keys);
    let rows = population::store(&pool, &backend, options.data_keys).await?;
    let moved = wrapped_anew(&backend, rows, &here, &there).await?;

    let (mut ours, mut one, mut several, mut peak) =
        (Series::default(), Series::default(), Series::default(), Series::default());
    let mut ours_beside_several = Series::default();
    for round in 1..=options.rounds {
        eprintln!("round {round}");
        settle(&pool).await?;
        one.push_rate(moved.len(), bare(&pool, &there, &moved, 1).await?);
        settle(&pool).await?;
        let seen = admin.rewrap(here.as_str(), moved.len(), &[])?;
        ours.push_rate(moved.len(), seen.took);
        peak.push(f64::from(seen.peak) / 1024.0);
        settle(&pool).await?;
        several.push_rate(moved.len(), bare(&pool, &there, &moved, WORKERS).await?);
        settle(&pool).await?;
        let seen = admin.rewrap(here.as_str(), moved.len(), &[])?;
        ours_beside_several.push_rate(moved.len(), seen.took);
        peak.push(f64::from(seen.peak) / 1024.0);
    }

    println!("### Local keys on PostgreSQL: {} data keys, {} rounds\n", options.data_keys, options.rounds);
    println!("| data keys per second, median (min–max) | rewrap | bare UPDATE | rewrap / bare |");
    println!("| --- | ---: | ---: | ---: |");
    for (name, ours, bare) in [
        ("bare: one connection".to_owned(), &ours, &one),
        (format!("bare: {WORKERS} connections"), &ours_beside_several, &several),
    ] {
        println!("| {name} | {} | {} | {} |", ours.show(0), bare.show(0), ours.ratios(bare).show(2));
    }
    println!("\n| peak memory, MiB | |\n| --- | ---: |");
    println!("| {} data keys | {} |", options.few_data_keys, few.show(1));
    println!("| {} data keys | {} |\n", options.data_keys, peak.show(1));
    Ok(())
}

/// The peak memory of runs over some data keys, in MiB.
async fn measure_memory(
    count: usize,
    keys: &str,
    backend: &LocalBackend,
    there: &KekId,
) -> anyhow::Result<Series> {
    let (admin, pool) = site("few", keys).await?;
    population::store(&pool, backend, count).await?;
    let mut peak = Series::default();
    let here = backend.current(&KeyContext::of_nobody()).await?;
    for to in [there, &here, there, &here, there] {
        peak.push(f64::from(admin.rewrap(to.as_str(), count, &[])?.peak) / 1024.0);
    }
    Ok(peak)
}

async fn site(database: &str, keys: &str) -> anyhow::Result<(Admin, PgPool)> {
    let postgres = postgres::server();
    postgres.create_database(database);
    let url = postgres.url(database);
    Ok((Admin::new(&url, keys)?, PgPool::connect(&url).await?))
}

/// The same data keys under the other wrapping key.
async fn wrapped_anew(
    backend: &LocalBackend,
    rows: Vec<Row>,
    here: &KekId,
    there: &KekId,
) -> anyhow::Result<Vec<Row>> {
    let mut moved = Vec::with_capacity(rows.len());
    for Row { id, wrapped } in rows {
        let wrapped = WrappedKey { kek_id: here.clone(), bytes: wrapped };
        moved.push(Row { id, wrapped: backend.rewrap(&wrapped, &id.into(), there).await?.bytes });
    }
    Ok(moved)
}

async fn bare(pool: &PgPool, to: &KekId, rows: &[Row], at_once: usize) -> anyhow::Result<Duration> {
    let update = |batch: &[Row]| {
        let subjects: Vec<Uuid> = batch.iter().map(|row| row.id.subject.into()).collect();
        let wrapped: Vec<Vec<u8>> = batch.iter().map(|row| row.wrapped.clone()).collect();
        let update = query(BARE).bind(to.as_str().to_owned()).bind(subjects).bind(wrapped);
        async move { anyhow::Ok(update.execute(pool).await?.rows_affected()) }
    };
    let began = Instant::now();
    let updated = stream::iter(rows.chunks(BATCH)).map(update).buffer_unordered(at_once);
    let updated: u64 = updated.try_fold(0, |sum, count| async move { Ok(sum + count) }).await?;
    let took = began.elapsed();
    anyhow::ensure!(updated == rows.len() as u64, "{updated} of {} rows", rows.len());
    Ok(took)
}
