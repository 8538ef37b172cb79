//! Inside LocalStack's KMS, beside bare calls to `ReEncrypt`, as many at the same time.

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use aws_sdk_kms::{
    Client,
    config::{BehaviorVersion, Config, Credentials, Region},
    primitives::Blob,
};
use futures::{StreamExt, TryStreamExt, stream};
use oubliette::{KeyMetrics, keys::aws_kms::AwsKmsBackend};
use sea_orm::sqlx::PgPool;
use uuid::Uuid;

use crate::{
    Options,
    command::Admin,
    localstack::{LocalStack, localstack},
    population::{self, settle},
    postgres,
    series::Series,
};

pub(crate) async fn compare(options: &Options) -> anyhow::Result<()> {
    eprintln!("starting LocalStack");
    let localstack = localstack();
    let keys = [localstack.create_key().await, localstack.create_key().await];
    let postgres = postgres::server();
    postgres.create_database("kms");
    let concurrency = options.concurrency.to_string();
    let admin = Admin::new(&postgres.url("kms"), &configuration(localstack, &keys[0]))?;
    let pool = PgPool::connect(&postgres.url("kms")).await?;
    let config = localstack.backend_config(&keys[0]);
    let backend = AwsKmsBackend::new("kms", &config, KeyMetrics::default()).await?;
    population::store(&pool, &backend, options.kms_data_keys).await?;
    let mut bare = Bare::new(localstack, &keys[0], options).await?;

    let (mut ours, mut theirs) = (Series::default(), Series::default());
    for round in 1..=options.rounds {
        eprintln!("round {round}");
        let (from, to) = (&keys[(round + 1) % 2], &keys[round % 2]);
        theirs.push_rate(options.kms_data_keys, bare.re_encrypt(from, to).await?);
        settle(&pool).await?;
        let arguments = ["--max-rate", "0", "--concurrency", &concurrency];
        ours.push_rate(options.kms_data_keys, admin.rewrap(to, options.kms_data_keys, &arguments)?.took);
    }
    println!(
        "### LocalStack: {} data keys, {} calls at the same time, {} rounds\n",
        options.kms_data_keys, options.concurrency, options.rounds
    );
    println!("| data keys per second, median (min–max) | rewrap | bare ReEncrypt | rewrap / bare |");
    println!("| --- | ---: | ---: | ---: |");
    println!("| | {} | {} | {} |", ours.show(0), theirs.show(0), ours.ratios(&theirs).show(2));
    Ok(())
}

fn configuration(localstack: &LocalStack, key: &str) -> String {
    format!(
        "[keys]\nactive = \"kms\"\n[keys.backends.kms]\nkind = \"aws-kms\"\nkey_id = \"{key}\"\n\
         region = \"us-east-1\"\nendpoint_url = \"{}\"\ncredentials = \"test\"\nattempt_timeout = \"20s\"\n\
         [keys.backends.kms.context]\napp = \"oubliette-tests\"\n",
        localstack.endpoint()
    )
}

/// The SDK's client and nothing else, on ciphertexts of its own.
struct Bare {
    client: Client,
    ciphertexts: Vec<(HashMap<String, String>, Blob)>,
    concurrency: NonZeroUsize,
}

impl Bare {
    async fn new(localstack: &LocalStack, key: &str, options: &Options) -> anyhow::Result<Self> {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(localstack.endpoint())
            .credentials_provider(Credentials::new("test", "test", None, None, "bench"));
        let client = Client::from_conf(config.build());
        let encrypt = |_| {
            let context = HashMap::from([
                ("app".to_owned(), "oubliette-tests".to_owned()),
                ("subject".to_owned(), Uuid::now_v7().to_string()),
                ("version".to_owned(), "1".to_owned()),
            ]);
            let call = client.encrypt().key_id(key).set_encryption_context(Some(context.clone()));
            async move {
                let answer = call.plaintext(Blob::new([7; 32])).send().await?;
                anyhow::Ok((context, answer.ciphertext_blob.ok_or_else(|| anyhow::anyhow!("no ciphertext"))?))
            }
        };
        let ciphertexts =
            stream::iter(0..options.kms_data_keys).map(encrypt).buffered(16).try_collect().await?;
        let concurrency = NonZeroUsize::new(options.concurrency).unwrap_or(NonZeroUsize::MIN);
        Ok(Self { client, ciphertexts, concurrency })
    }

    async fn re_encrypt(&mut self, from: &str, to: &str) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let calls = self.ciphertexts.drain(..).map(|(context, ciphertext)| {
            let call = self
                .client
                .re_encrypt()
                .ciphertext_blob(ciphertext)
                .source_key_id(from)
                .destination_key_id(to)
                .set_source_encryption_context(Some(context.clone()))
                .set_destination_encryption_context(Some(context.clone()));
            async move {
                let answer = call.send().await?;
                anyhow::Ok((context, answer.ciphertext_blob.ok_or_else(|| anyhow::anyhow!("no ciphertext"))?))
            }
        });
        let calls: Vec<_> = calls.collect();
        self.ciphertexts = stream::iter(calls).buffer_unordered(self.concurrency.get()).try_collect().await?;
        Ok(began.elapsed())
    }
}
