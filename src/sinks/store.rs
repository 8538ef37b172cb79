use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, path::Path};

/// The objects of a sink.
#[derive(Clone, Debug)]
pub(super) struct Store(Arc<dyn ObjectStore>);

/// What became of an object that was to be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Created {
    /// It is there, as it should be.
    Same,
    /// Another one was there before.
    Other,
}

impl Store {
    pub(super) fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self(objects)
    }

    /// An object, if it is there.
    pub(super) async fn get(&self, path: &str) -> Result<Option<Bytes>, Error> {
        match self.0.get(&Path::from(path)).await {
            Ok(found) => Ok(Some(found.bytes().await?)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates an object. Nothing that is there is replaced.
    pub(super) async fn create(&self, path: &str, bytes: Vec<u8>) -> Result<Created, Error> {
        let bytes = Bytes::from(bytes);
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.0.put_opts(&Path::from(path), PutPayload::from(bytes.clone()), options).await {
            Ok(_) => Ok(Created::Same),
            // It may have been this call, whose first answer was lost.
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {
                let there = self.get(path).await?;
                Ok(if there.is_some_and(|there| there == bytes) { Created::Same } else { Created::Other })
            }
            Err(error) => Err(error),
        }
    }

    /// Stores an object, whatever is there.
    pub(super) async fn replace(&self, path: &str, bytes: Vec<u8>) -> Result<(), Error> {
        self.0.put(&Path::from(path), PutPayload::from(bytes)).await.map(drop)
    }

    /// Removes all objects of a folder.
    pub(super) async fn remove_folder(&self, folder: &str) -> Result<(), Error> {
        let found = self.0.list(Some(&Path::from(folder))).map_ok(|object| object.location).boxed();
        self.0.delete_stream(found).try_for_each(|_| async { Ok(()) }).await
    }
}
