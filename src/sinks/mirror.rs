use std::sync::Arc;

use bytes::Bytes;
use futures::future::{join_all, try_join_all};
use oubliette_ledger::{
    CheckpointError, LocalSigner, Policy, SignedCheckpoint,
    mirror::{Batch, CHECKPOINT, Edge, Object, Tiles, TilesError, WIDTH, entries_path},
};
use sha2::{Digest, Sha256};

use super::{
    SinkError,
    store::{Created, Store},
};
use crate::{causes, chain::Head};

/// So many entries are read from tiles rather than from batches.
const FAR: u64 = WIDTH;

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
}

/// What batches have brought.
struct Grown {
    edge: Edge,
    newest: Option<SignedCheckpoint>,
    /// The objects that are complete by them.
    full: Vec<Object>,
}

impl Mirror {
    pub(super) fn new(name: String, store: Store, origin: String, policy: Arc<Policy>) -> Self {
        Self { name, store, origin, policy, edge: Edge::empty(), laid: None }
    }

    /// Where the log ends.
    pub(super) fn head(&self) -> Head {
        Head { sequence: sequence(self.edge.size()), digest: self.edge.digest().to_vec() }
    }

    /// Whether all tiles are there.
    pub(super) fn is_laid(&self) -> bool {
        self.laid.as_ref().map_or(0, SignedCheckpoint::size) == self.edge.size()
    }

    /// Reads what was published since.
    pub(super) async fn look(&mut self) -> Result<(), SinkError> {
        let laid = match self.store.get(CHECKPOINT).await? {
            Some(bytes) => Some(self.checkpoint(&bytes)?),
            None => None,
        };
        let size_of =
            |checkpoint: &Option<SignedCheckpoint>| checkpoint.as_ref().map_or(0, SignedCheckpoint::size);
        let (size, before) = (size_of(&laid), size_of(&self.laid));
        // It was put back, or has gone far: what was read before does not help.
        if size < before || size > self.edge.size() + FAR {
            self.edge = self.edge_at(laid.as_ref()).await?;
        }
        self.edge = self.follow(self.edge.clone()).await?.edge;
        if size > self.edge.size() {
            // Batches are gone, whose tiles are there.
            self.edge = self.edge_at(laid.as_ref()).await?;
        }
        self.laid = laid;
        Ok(())
    }

    /// Writes the tiles of batches of which a server has not.
    pub(super) async fn lay(&mut self) -> Result<(), SinkError> {
        let edge = self.edge_at(self.laid.as_ref()).await?;
        let Grown { edge, newest, full } = self.follow(edge).await?;
        match newest {
            Some(checkpoint) => self.write(edge, checkpoint, full).await,
            None => Ok(()),
        }
    }

    /// Appends entries, signed. All tiles must be there. Tiles that cannot be written then are written later.
    ///
    /// # Errors
    ///
    /// [`SinkError::Overtaken`] if another server has appended: look again.
    pub(super) async fn publish(
        &mut self,
        texts: Vec<String>,
        signer: &LocalSigner,
    ) -> Result<(), SinkError> {
        let mut edge = self.edge.clone();
        let mut full = Vec::new();
        for text in &texts {
            full.extend(edge.append(text));
        }
        let checkpoint = signer.sign(edge.size(), edge.root())?;
        let batch = Batch { checkpoint: checkpoint.clone(), entries: texts }.to_bytes();
        // Who creates it has decided how the log goes on. Nothing that was signed leaves before.
        match self.store.create(&Batch::path(self.edge.size()), batch).await? {
            Created::Same => self.write(edge, checkpoint, full).await,
            Created::Other => Err(SinkError::Overtaken),
        }
    }

    /// The digest of an entry of the log; of nothing, zeros.
    pub(super) async fn digest_at(&self, at: i64) -> Result<Vec<u8>, SinkError> {
        if at == 0 {
            return Ok(Head::genesis().digest);
        }
        if at == sequence(self.edge.size()) {
            return Ok(self.edge.digest().to_vec());
        }
        let index = u64::try_from(at - 1).unwrap_or_default();
        let texts = self.entries(index / WIDTH).await?;
        let place = usize::try_from(index % WIDTH).unwrap_or_default();
        let none = || SinkError::damaged(entries_path(index / WIDTH, self.edge.size()), "is too short");
        texts.get(place).map(|text| Sha256::digest(text).to_vec()).ok_or_else(none)
    }

    /// The texts of 256 entries, or of those that there are: those whose sequences minus one, divided by 256, are this number. All tiles must be there.
    pub(super) async fn entries(&self, number: u64) -> Result<Vec<String>, SinkError> {
        match &self.laid {
            Some(laid) => self.read(laid, |tiles| tiles.entries(number)).await,
            None => Ok(Vec::new()),
        }
    }

    /// Writes what belongs to a batch that was created: tiles first, and then the object that says that they are there.
    async fn write(
        &mut self,
        edge: Edge,
        checkpoint: SignedCheckpoint,
        full: Vec<Object>,
    ) -> Result<(), SinkError> {
        let filled: Vec<_> = full.iter().map(|object| format!("{}.p", object.path)).collect();
        let objects = full.into_iter().chain(edge.partial());
        self.edge = edge;
        try_join_all(objects.map(|object| self.write_tile(object))).await?;
        self.store.replace(CHECKPOINT, checkpoint.text().as_bytes().to_vec()).await?;
        self.laid = Some(checkpoint);
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

    async fn edge_at(&self, laid: Option<&SignedCheckpoint>) -> Result<Edge, SinkError> {
        match laid {
            Some(laid) => self.read(laid, Tiles::edge).await,
            None => Ok(Edge::empty()),
        }
    }

    /// Reads the batches after an edge.
    async fn follow(&self, edge: Edge) -> Result<Grown, SinkError> {
        let mut grown = Grown { edge, newest: None, full: Vec::new() };
        loop {
            let path = Batch::path(grown.edge.size());
            let Some(bytes) = self.store.get(&path).await? else { return Ok(grown) };
            let Some(batch) = Batch::read(&bytes) else {
                return Err(SinkError::damaged(path, "cannot be read"));
            };
            self.verify(&path, &batch.checkpoint)?;
            for text in &batch.entries {
                grown.full.extend(grown.edge.append(text));
            }
            let signed = (batch.checkpoint.size(), batch.checkpoint.root());
            if batch.entries.is_empty() || signed != (grown.edge.size(), grown.edge.root()) {
                return Err(SinkError::damaged(path, "has other entries than were signed"));
            }
            grown.newest = Some(batch.checkpoint);
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
            let read = join_all(missing.iter().map(|path| self.store.get(path))).await;
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
