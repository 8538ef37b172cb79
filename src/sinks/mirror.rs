mod copy;

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, future::join_all, stream};
use oubliette_ledger::{
    CheckpointError, Policy, Receipt, SignedCheckpoint,
    mirror::{Batch, CHECKPOINT, Edge, Object, Tiles, TilesError, WIDTH, full_of, narrowed},
};
use sha2::{Digest, Sha256};

use super::{
    SinkError,
    store::{Created, Store},
};
pub use copy::CopyError;

use crate::{
    causes,
    chain::Head,
    ledger::{Erasure, Signer},
};

/// So many entries are read from tiles rather than from batches.
const FAR: u64 = WIDTH;

/// Tiles that are written together, in entries, when there are many.
const STEP: u64 = 16 * WIDTH;

/// Tiles that are read, or written, at the same time.
const AT_ONCE: usize = 8;

/// What a log is to an older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// It begins with it.
    Begins {
        /// How many entries it has.
        size: u64,
    },
    /// It does not: two histories were signed.
    Differs {
        /// How many entries it has.
        size: u64,
    },
}

/// The log in a sink, as far as it was read; and what it takes to append to it.
#[derive(Debug)]
pub(super) struct Mirror {
    name: String,
    store: Store,
    origin: String,
    policy: Arc<Policy>,
    /// All that is signed.
    edge: Edge,
    /// The root up to which the tiles are there; `None` if there is none.
    laid: Option<SignedCheckpoint>,
    /// The roots that were signed since, and what had been appended by then.
    beyond: Vec<Beyond>,
}

/// A batch beyond the tiles.
#[derive(Debug)]
struct Beyond {
    checkpoint: SignedCheckpoint,
    texts: Vec<String>,
}

impl Mirror {
    pub(super) fn new(name: String, store: Store, origin: String, policy: Arc<Policy>) -> Self {
        Self { name, store, origin, policy, edge: Edge::empty(), laid: None, beyond: Vec::new() }
    }

    /// Where the log ends.
    pub(super) fn head(&self) -> Head {
        Head { sequence: sequence(self.edge.size()), digest: self.edge.digest().to_vec() }
    }

    /// Whether all tiles are there.
    pub(super) fn is_laid(&self) -> bool {
        self.beyond.is_empty()
    }

    /// Reads what was published since; all anew if the sink is not what it was. What was read before an error is kept.
    pub(super) async fn look(&mut self) -> Result<(), SinkError> {
        let laid = match self.store.get(CHECKPOINT).await? {
            Some(bytes) => Some(self.checkpoint(&bytes)?),
            None => None,
        };
        let is_far = laid.as_ref().is_some_and(|laid| laid.size() > self.edge.size() + FAR);
        if !is_far && self.follow().await.is_ok() && self.is_laid_to(laid.as_ref()) {
            return Ok(());
        }
        self.begin_at(laid).await?;
        self.follow().await
    }

    /// Whether the tiles are known to be there up to this root: it is one of those that were followed.
    fn is_laid_to(&mut self, laid: Option<&SignedCheckpoint>) -> bool {
        if laid == self.laid.as_ref() {
            return true;
        }
        let followed = laid.and_then(|laid| {
            let is_it = |beyond: &Beyond| {
                beyond.checkpoint.size() == laid.size() && beyond.checkpoint.root() == laid.root()
            };
            self.beyond.iter().position(is_it)
        });
        let Some(place) = followed else { return false };
        self.beyond.drain(..=place);
        self.laid = laid.cloned();
        true
    }

    /// Begins with the tiles.
    async fn begin_at(&mut self, laid: Option<SignedCheckpoint>) -> Result<(), SinkError> {
        let edge = match &laid {
            Some(laid) => self.read(laid, Tiles::edge).await?,
            None => Edge::empty(),
        };
        if edge.size() < self.edge.size() {
            let (before, now) = (self.edge.size(), edge.size());
            tracing::warn!(sink = self.name, before, now, "the sink had more entries before");
        }
        (self.edge, self.laid, self.beyond) = (edge, laid, Vec::new());
        Ok(())
    }

    /// Reads the batches after the edge.
    async fn follow(&mut self) -> Result<(), SinkError> {
        loop {
            let path = Batch::path(self.edge.size());
            let Some(bytes) = self.store.get(&path).await? else { return Ok(()) };
            let Some(batch) = Batch::read(&bytes) else {
                return Err(SinkError::damaged(path, "cannot be read"));
            };
            let (edge, beyond) = self.step(&path, batch)?;
            self.edge = edge;
            self.beyond.push(beyond);
        }
    }

    /// What the log is after a batch, if that is what was signed.
    fn step(&self, path: &str, batch: Batch) -> Result<(Edge, Beyond), SinkError> {
        let Batch { checkpoint, entries: texts } = batch;
        self.verify(path, &checkpoint)?;
        let mut edge = self.edge.clone();
        for text in &texts {
            edge.append(text);
        }
        if texts.is_empty() || (checkpoint.size(), checkpoint.root()) != (edge.size(), edge.root()) {
            return Err(SinkError::damaged(path, "has other entries than were signed"));
        }
        Ok((edge, Beyond { checkpoint, texts }))
    }

    /// Writes the tiles of batches that were read: some of them, so that what is done stays done.
    pub(super) async fn lay(&mut self) -> Result<(), SinkError> {
        let mut edge = match &self.laid {
            Some(laid) => self.read(laid, Tiles::edge).await?,
            None => Edge::empty(),
        };
        let (begun, mut full) = (edge.size(), Vec::new());
        let mut batches = 0;
        for beyond in &self.beyond {
            full.extend(beyond.texts.iter().flat_map(|text| edge.append(text)));
            batches += 1;
            if edge.size() - begun >= STEP {
                break;
            }
        }
        let Some(last) = self.beyond.get(..batches).and_then(<[_]>::last) else { return Ok(()) };
        let checkpoint = last.checkpoint.clone();
        self.write(&edge, &checkpoint, full).await?;
        self.beyond.drain(..batches);
        Ok(())
    }

    /// Appends entries, signed. All tiles must be there. Tiles that cannot be written then are written later.
    ///
    /// # Errors
    ///
    /// [`SinkError::Overtaken`] if another server has appended: look again.
    pub(super) async fn publish(&mut self, texts: Vec<String>, signer: &Signer) -> Result<(), SinkError> {
        let mut edge = self.edge.clone();
        let mut full = Vec::new();
        for text in &texts {
            full.extend(edge.append(text));
        }
        let checkpoint = signer.sign(edge.size(), edge.root()).await?;
        let batch = Batch { checkpoint: checkpoint.clone(), entries: texts };
        // Who creates it has decided how the log goes on. Nothing that was signed leaves before.
        match self.store.create(&Batch::path(self.edge.size()), batch.to_bytes()).await? {
            Created::Same => {}
            Created::Other => return Err(SinkError::Overtaken),
        }
        self.edge = edge.clone();
        self.beyond.push(Beyond { checkpoint: checkpoint.clone(), texts: batch.entries });
        self.write(&edge, &checkpoint, full).await?;
        self.beyond.clear();
        Ok(())
    }

    /// The digest of an entry of the log; of nothing, zeros.
    pub(super) async fn digest_at(&self, at: i64) -> Result<Vec<u8>, SinkError> {
        if at == 0 {
            return Ok(Head::genesis().digest);
        }
        if at == sequence(self.edge.size()) {
            return Ok(self.edge.digest().to_vec());
        }
        let texts = self.entries(at, at).await?;
        Ok(texts.first().map(|text| Sha256::digest(text).to_vec()).unwrap_or_default())
    }

    /// The texts of the entries from one place to another.
    pub(super) async fn entries(&self, first: i64, last: i64) -> Result<Vec<String>, SinkError> {
        let (first, last) = (index(first), index(last));
        let mut texts = Vec::new();
        let laid = self.laid.as_ref().map_or(0, SignedCheckpoint::size);
        if let Some(checkpoint) = self.laid.as_ref().filter(|_| first < laid) {
            let numbers = first / WIDTH..=last.min(laid - 1) / WIDTH;
            let mut read = stream::iter(numbers)
                .map(async |number| self.read(checkpoint, |tiles| tiles.entries(number)).await)
                .buffered(AT_ONCE);
            while let Some(of_tile) = read.try_next().await? {
                texts.extend(of_tile);
            }
        }
        let begins = if texts.is_empty() { laid } else { first / WIDTH * WIDTH };
        texts.extend(self.beyond.iter().flat_map(|beyond| &beyond.texts).cloned());
        let wanted = (begins..).zip(texts).filter(|(place, _)| (first..=last).contains(place));
        Ok(wanted.map(|(_, text)| text).collect())
    }

    /// The receipt of an entry, if it was published: by what the sink has now.
    pub(super) async fn published_receipt(&self, erasure: &Erasure) -> Result<Option<Receipt>, SinkError> {
        let Some(bytes) = self.store.get(CHECKPOINT).await? else { return Ok(None) };
        let laid = Some(self.checkpoint(&bytes)?);
        let Self { name, store, origin, policy, .. } = self;
        let read = Self { laid, ..Self::new(name.clone(), store.clone(), origin.clone(), policy.clone()) };
        read.receipt(erasure).await
    }

    /// The receipt of an entry, if the log has it.
    pub(super) async fn receipt(&self, erasure: &Erasure) -> Result<Option<Receipt>, SinkError> {
        let (at, index) = (erasure.sequence, index(erasure.sequence));
        let Some(checkpoint) = self.laid.as_ref().filter(|laid| index < laid.size()) else { return Ok(None) };
        let entry = self.entries(at, at).await?.into_iter().next();
        // It may stand elsewhere by now.
        let Some(entry) = entry.filter(|entry| Sha256::digest(entry)[..] == erasure.digest[..]) else {
            return Ok(None);
        };
        let proof = self.read(checkpoint, |tiles| tiles.prove_inclusion(index)).await?;
        Ok(Some(Receipt { entry, index, proof, checkpoint: checkpoint.clone() }))
    }

    /// Whether the log begins with an older one; `None` if it has not as many entries.
    pub(super) async fn consistency(&self, old: &SignedCheckpoint) -> Result<Option<Consistency>, SinkError> {
        let Some(laid) = self.laid.as_ref().filter(|laid| laid.size() >= old.size()) else { return Ok(None) };
        let size = laid.size();
        let begins = self.read(laid, |tiles| tiles.begins_with(old.size(), old.root())).await?;
        Ok(Some(if begins { Consistency::Begins { size } } else { Consistency::Differs { size } }))
    }

    /// Writes what belongs to batches that were created: tiles first, and then the object that says that they are there.
    async fn write(
        &mut self,
        edge: &Edge,
        checkpoint: &SignedCheckpoint,
        full: Vec<Object>,
    ) -> Result<(), SinkError> {
        let filled: Vec<_> = full.iter().map(|object| format!("{}.p", object.path)).collect();
        let objects = stream::iter(full.into_iter().chain(edge.partial()));
        let mut written = objects.map(|object| self.write_tile(object)).buffer_unordered(AT_ONCE);
        while let Some(()) = written.try_next().await? {}
        drop(written);
        // Another server may have come further.
        let there = self.store.get(CHECKPOINT).await?;
        let there = there.and_then(|bytes| self.checkpoint(&bytes).ok());
        if there.is_none_or(|there| there.size() < checkpoint.size()) {
            self.store.replace(CHECKPOINT, checkpoint.text().as_bytes().to_vec()).await?;
        }
        self.laid = Some(checkpoint.clone());
        // What is in the full ones (c2sp.org/tlog-tiles allows it). A store that deletes nothing keeps them.
        for removed in join_all(filled.iter().map(|folder| self.store.remove_folder(folder))).await {
            if let Err(error) = removed {
                tracing::debug!(sink = self.name, "partial tiles stay: {}", causes::line(&error));
            }
        }
        Ok(())
    }

    /// A tile is what batches make it: another one that is there was torn, or changed.
    async fn write_tile(&self, object: Object) -> Result<(), object_store::Error> {
        let Object { path, bytes } = object;
        if self.store.create(&path, bytes.clone()).await? == Created::Other {
            tracing::warn!(sink = self.name, path, "an object of the sink was changed; it is written again");
            self.store.replace(&path, bytes).await?;
        }
        Ok(())
    }

    /// A tile; a partial one also by the full one.
    async fn tile(&self, path: &str) -> Result<Option<Bytes>, object_store::Error> {
        let found = self.store.get(path).await?;
        match full_of(path).filter(|_| found.is_none()) {
            Some(full) => {
                let full = self.store.get(full).await?;
                Ok(full.and_then(|full| narrowed(path, &full)).map(Bytes::from))
            }
            None => Ok(found),
        }
    }

    fn checkpoint(&self, bytes: &Bytes) -> Result<SignedCheckpoint, SinkError> {
        let text = std::str::from_utf8(bytes).map_err(|_| CheckpointError::Malformed);
        let checkpoint = text
            .and_then(SignedCheckpoint::parse)
            .map_err(|error| SinkError::damaged(CHECKPOINT, format!("cannot be used: {error}")))?;
        self.verify(CHECKPOINT, &checkpoint)?;
        Ok(checkpoint)
    }

    fn verify(&self, path: &str, checkpoint: &SignedCheckpoint) -> Result<(), SinkError> {
        if checkpoint.origin() != self.origin {
            let other = checkpoint.origin();
            return Err(SinkError::damaged(path, format!("is of another ledger, `{other}`")));
        }
        let verified = checkpoint.verify(&self.policy).map(drop);
        verified.map_err(|error| SinkError::damaged(path, format!("cannot be trusted: {error}")))
    }

    /// Computes something from tiles: reads those that are needed.
    async fn read<T>(
        &self,
        checkpoint: &SignedCheckpoint,
        call: impl Fn(&Tiles) -> Result<T, TilesError>,
    ) -> Result<T, SinkError> {
        let mut tiles = Tiles::of(checkpoint);
        loop {
            let missing = match call(&tiles) {
                Err(TilesError::Missing(missing)) => missing,
                computed => {
                    return computed.map_err(|error| {
                        SinkError::damaged("tile", format!("is not as published: {error}"))
                    });
                }
            };
            let read = join_all(missing.iter().map(|path| self.tile(path))).await;
            for (path, bytes) in missing.into_iter().zip(read) {
                match bytes? {
                    Some(bytes) => tiles.insert(path, bytes.to_vec()),
                    None => return Err(SinkError::damaged(path, "is missing")),
                }
            }
        }
    }
}

/// The sequence of the newest of so many entries.
fn sequence(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// The index of the entry with a sequence.
fn index(sequence: i64) -> u64 {
    u64::try_from(sequence - 1).unwrap_or_default()
}
