//! Connections through the machine's wall: to the controller's API from inside, to the build's service from outside.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::error::{GuestError, doing};
use crate::sidecar::vm::link::{Incoming, Link, Purpose, Stream};

/// Connections to the API at once: fewer than the link has streams.
const CONNECTIONS: usize = 48;
/// A service in the machine takes a connection at once, or not.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);
/// Out of descriptors or streams: a little later there are some.
const PAUSE: Duration = Duration::from_millis(20);

/// Open for as long as it lives.
#[derive(Debug)]
pub(super) struct Doors {
    _api: Option<AbortOnDropHandle<()>>,
    _service: AbortOnDropHandle<()>,
}

impl Doors {
    /// Opens them: the API's socket at `api`, where there is one, and the service's at `service`, once it is there.
    pub(super) fn open(
        link: &Link,
        incoming: Incoming,
        api: Option<&Path>,
        service: PathBuf,
    ) -> Result<Self, GuestError> {
        let failed = || doing("making the API's socket");
        let api = match api {
            Some(path) => {
                let listener = UnixListener::bind(path).map_err(failed())?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).map_err(failed())?;
                Some(AbortOnDropHandle::new(tokio::spawn(outward(listener, link.clone()))))
            }
            None => None,
        };
        let inward = AbortOnDropHandle::new(tokio::spawn(inward(incoming, service)));
        Ok(Self { _api: api, _service: inward })
    }
}

/// Each connection is a stream to the host.
async fn outward(listener: UnixListener, link: Link) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut open = JoinSet::new();
    loop {
        while open.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((mut near, _peer)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        let Ok(mut far) = link.open(Purpose::Api) else {
            sleep(PAUSE).await;
            continue;
        };
        open.spawn(async move {
            let _place = place;
            // Who leaves early is none of our business.
            let _ = copy_bidirectional(&mut near, &mut far).await;
        });
    }
}

/// Each stream of the host's is a connection to the service.
async fn inward(mut incoming: Incoming, service: PathBuf) {
    let mut open = JoinSet::new();
    while let Some((purpose, far)) = incoming.next().await {
        while open.try_join_next().is_some() {}
        if purpose == Purpose::Service {
            open.spawn(serve(far, service.clone()));
        }
    }
}

async fn serve(mut far: Stream, service: PathBuf) {
    if let Ok(Ok(mut near)) = timeout(TAKEN_WITHIN, UnixStream::connect(&service)).await {
        let _ = copy_bidirectional(&mut near, &mut far).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;
    use crate::sidecar::vm::link::Side;

    fn linked() -> ((Link, Incoming), (Link, Incoming)) {
        let (host, guest) = duplex(64 << 10);
        (Link::start(host, Side::Host), Link::start(guest, Side::Guest))
    }

    #[tokio::test]
    async fn a_connection_to_the_api_is_a_stream_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let ((_host, mut streams), (guest, incoming)) = linked();
        let api = dir.path().join("albatros.sock");
        let _doors = Doors::open(&guest, incoming, Some(&api), dir.path().join("service.sock")).unwrap();
        for question in [&b"one"[..], b"two"] {
            let mut near = UnixStream::connect(&api).await.unwrap();
            near.write_all(question).await.unwrap();
            near.shutdown().await.unwrap();
            let (purpose, mut far) = streams.next().await.unwrap();
            assert_eq!(purpose, Purpose::Api);
            let mut asked = Vec::new();
            far.read_to_end(&mut asked).await.unwrap();
            assert_eq!(asked, question);
            far.write_all(b"answer").await.unwrap();
            far.shutdown().await.unwrap();
            let mut answer = Vec::new();
            near.read_to_end(&mut answer).await.unwrap();
            assert_eq!(answer, b"answer");
        }
    }

    #[tokio::test]
    async fn connections_beyond_the_bound_wait_and_are_served_when_others_end() {
        let dir = tempfile::tempdir().unwrap();
        let ((_host, mut streams), (guest, incoming)) = linked();
        let api = dir.path().join("albatros.sock");
        let _doors = Doors::open(&guest, incoming, Some(&api), dir.path().join("service.sock")).unwrap();
        let mut near = Vec::new();
        for _ in 0..=CONNECTIONS {
            near.push(UnixStream::connect(&api).await.unwrap());
        }
        let mut far = Vec::new();
        for _ in 0..CONNECTIONS {
            far.push(streams.next().await.unwrap());
        }
        // One ends on both sides, and the one that waited has its place.
        drop(far.pop());
        drop(near.remove(CONNECTIONS - 1));
        assert_eq!(streams.next().await.unwrap().0, Purpose::Api);
    }

    #[tokio::test]
    async fn the_host_comes_to_the_service_and_is_cut_off_where_there_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let ((host, _streams), (guest, incoming)) = linked();
        let service = dir.path().join("service.sock");
        let _doors = Doors::open(&guest, incoming, None, service.clone()).unwrap();
        let mut none = host.open(Purpose::Service).unwrap();
        assert!(none.read_to_end(&mut Vec::new()).await.is_err());
        let listener = UnixListener::bind(&service).unwrap();
        let mut far = host.open(Purpose::Service).unwrap();
        let (mut near, _) = listener.accept().await.unwrap();
        near.write_all(b"+").await.unwrap();
        let mut one = [0];
        far.read_exact(&mut one).await.unwrap();
        assert_eq!(&one, b"+");
    }
}
