use std::io::ErrorKind;
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::timeout;

use super::channel::WINDOW;
use super::frame::{HEAD, Head, Kind, PIECE};
use super::*;

/// Long enough on any machine: only a hang reaches it.
const AT_MOST: Duration = Duration::from_secs(60);

fn pair() -> ((Link, Incoming), (Link, Incoming)) {
    let (host, guest) = duplex(64 << 10);
    (Link::start(host, Side::Host), Link::start(guest, Side::Guest))
}

/// A host, and a guest that says what it likes.
fn hostile() -> (Link, Incoming, DuplexStream) {
    let (host, guest) = duplex(1 << 20);
    let (link, incoming) = Link::start(host, Side::Host);
    (link, incoming, guest)
}

fn frame(kind: Kind, id: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = Head { kind, id, size: u32::try_from(body.len()).unwrap() }.bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes
}

async fn next(incoming: &mut Incoming) -> (Purpose, Stream) {
    timeout(AT_MOST, incoming.next()).await.unwrap().unwrap()
}

async fn all_of(stream: &mut Stream) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    timeout(AT_MOST, stream.read_to_end(&mut all)).await.unwrap().map(|_| all)
}

async fn why(link: &Link) -> LinkError {
    timeout(AT_MOST, link.closed()).await.unwrap()
}

#[tokio::test]
async fn what_is_written_arrives_whole_and_in_order_and_then_ends() {
    let ((_host, mut incoming), (guest, _)) = pair();
    let sent: Vec<u8> = (0..1_000_000_u32).map(|number| u8::try_from(number % 251).unwrap()).collect();
    let mut stream = guest.open(Purpose::Stdout).unwrap();
    let written = sent.clone();
    let writer = tokio::spawn(async move {
        stream.write_all(&written).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    let (purpose, mut stream) = next(&mut incoming).await;
    assert_eq!(purpose, Purpose::Stdout);
    assert!(all_of(&mut stream).await.unwrap() == sent, "bytes were altered");
    writer.await.unwrap();
}

#[tokio::test]
async fn either_half_may_end_first() {
    let ((_host, mut incoming), (guest, _)) = pair();
    let mut near = guest.open(Purpose::Api).unwrap();
    near.write_all(b"question").await.unwrap();
    near.shutdown().await.unwrap();
    let (_, mut far) = next(&mut incoming).await;
    assert_eq!(all_of(&mut far).await.unwrap(), b"question");
    far.write_all(b"answer").await.unwrap();
    far.shutdown().await.unwrap();
    drop(far);
    assert_eq!(all_of(&mut near).await.unwrap(), b"answer");
}

#[tokio::test]
async fn a_stream_that_was_given_up_does_not_read_as_ended() {
    let ((_host, mut incoming), (guest, _)) = pair();
    let mut near = guest.open(Purpose::Out("workspace".to_owned())).unwrap();
    near.write_all(b"half of an arch").await.unwrap();
    let (_, mut far) = next(&mut incoming).await;
    let mut half = [0; 15];
    timeout(AT_MOST, far.read_exact(&mut half)).await.unwrap().unwrap();
    drop(near);
    assert_eq!(all_of(&mut far).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(far.write_all(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn a_lost_connection_breaks_every_stream_and_says_why() {
    let ((host, mut incoming), (guest, held)) = pair();
    let mut control = guest.open(Purpose::Control).unwrap();
    let (_, mut far) = next(&mut incoming).await;
    control.write_all(b"x").await.unwrap();
    let mut one = [0];
    timeout(AT_MOST, far.read_exact(&mut one)).await.unwrap().unwrap();
    drop((control, guest, held));
    assert_eq!(why(&host).await, LinkError::Ended);
    assert_eq!(all_of(&mut far).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(host.open(Purpose::Service).unwrap_err(), LinkError::Ended);
    assert!(timeout(AT_MOST, incoming.next()).await.unwrap().is_none());
}

#[tokio::test]
async fn who_does_not_read_is_not_sent_more_than_is_kept_and_others_go_on() {
    let ((_host, mut incoming), (guest, _)) = pair();
    let mut full = guest.open(Purpose::Stdout).unwrap();
    let (_, unread) = next(&mut incoming).await;
    let mut written = 0;
    // What both sides keep, and then the writer waits.
    while let Ok(done) = timeout(Duration::from_secs(1), full.write(&[7; 4096])).await {
        written += done.unwrap();
        assert!(written <= 2 * WINDOW, "{written} bytes are kept somewhere");
    }
    assert_eq!(written, 2 * WINDOW);
    let mut other = guest.open(Purpose::Stderr).unwrap();
    other.write_all(b"still here").await.unwrap();
    other.shutdown().await.unwrap();
    let (_, mut far) = next(&mut incoming).await;
    assert_eq!(all_of(&mut far).await.unwrap(), b"still here");
    drop(unread);
}

#[tokio::test]
async fn as_many_streams_as_are_allowed_run_at_once_and_one_more_is_refused_here() {
    let ((_host, mut incoming), (guest, _)) = pair();
    let mut near: Vec<Stream> = (0..STREAMS).map(|_| guest.open(Purpose::Api).unwrap()).collect();
    assert_eq!(guest.open(Purpose::Api).unwrap_err(), LinkError::Busy);
    let mut far = Vec::new();
    for (number, stream) in near.iter_mut().enumerate() {
        stream.write_all(&vec![u8::try_from(number).unwrap(); 10_000]).await.unwrap();
        stream.shutdown().await.unwrap();
        far.push(next(&mut incoming).await.1);
    }
    for (number, stream) in far.iter_mut().enumerate() {
        assert_eq!(all_of(stream).await.unwrap(), vec![u8::try_from(number).unwrap(); 10_000]);
    }
    drop((near, far));
    // Their places are free again, once the other side knows.
    let open = async {
        loop {
            match guest.open(Purpose::Api) {
                Err(LinkError::Busy) => tokio::task::yield_now().await,
                opened => return opened.unwrap(),
            }
        }
    };
    let mut again = timeout(AT_MOST, open).await.unwrap();
    again.write_all(b"x").await.unwrap();
    next(&mut incoming).await;
}

#[tokio::test]
async fn what_was_written_before_the_end_is_sent_though_its_writer_is_gone() {
    let ((_host, mut incoming), (guest, _)) = pair();
    let mut near = guest.open(Purpose::Stdout).unwrap();
    near.write_all(&vec![1; WINDOW]).await.unwrap();
    near.shutdown().await.unwrap();
    drop(near);
    let (_, mut far) = next(&mut incoming).await;
    assert_eq!(all_of(&mut far).await.unwrap().len(), WINDOW);
}

#[tokio::test]
async fn each_side_opens_its_own_streams_only() {
    let ((host, _), (guest, mut incoming)) = pair();
    assert_eq!(guest.open(Purpose::Service).unwrap_err(), LinkError::Purpose);
    assert_eq!(guest.open(Purpose::In("../x".to_owned())).unwrap_err(), LinkError::Purpose);
    for purpose in [Purpose::Control, Purpose::Api, Purpose::Stdout, Purpose::Out("a".to_owned())] {
        assert_eq!(host.open(purpose).unwrap_err(), LinkError::Purpose);
    }
    let _service = host.open(Purpose::Service).unwrap();
    assert_eq!(next(&mut incoming).await.0, Purpose::Service);
}

#[tokio::test]
async fn a_guest_is_refused_what_it_may_not_open_or_has_opened_before() {
    let (_link, mut incoming, mut guest) = hostile();
    for (id, purpose) in [(1, "service"), (3, "control"), (5, "control"), (7, "shell"), (9, "in ../etc"), (11, "api")] {
        guest.write_all(&frame(Kind::Open, id, purpose.as_bytes())).await.unwrap();
    }
    assert_eq!(next(&mut incoming).await.0, Purpose::Control);
    assert_eq!(next(&mut incoming).await.0, Purpose::Api);
    let mut refused = Vec::new();
    while refused.len() < 4 {
        let mut head = [0; HEAD];
        timeout(AT_MOST, guest.read_exact(&mut head)).await.unwrap().unwrap();
        let head = Head::parse(head).unwrap();
        if head.kind == Kind::Reset && ![3, 11].contains(&head.id) {
            refused.push(head.id);
        }
    }
    refused.sort_unstable();
    assert_eq!(refused, [1, 5, 7, 9]);
}

#[tokio::test]
async fn streams_without_end_are_refused_and_then_end_the_link() {
    let (link, incoming, mut guest) = hostile();
    // It reads no refusal, so they pile up.
    let flood = async {
        for id in (1..=u32::MAX).step_by(2) {
            if guest.write_all(&frame(Kind::Open, id, b"api")).await.is_err() {
                return id;
            }
        }
        0
    };
    let opened = timeout(AT_MOST, flood).await.unwrap();
    assert_eq!(why(&link).await, LinkError::Wrong("streams opened without end"));
    assert!(opened < 1_000_000, "{opened}");
    drop(incoming);
}

#[tokio::test]
async fn a_flood_of_single_bytes_ends_the_link_at_the_window() {
    let (link, mut incoming, mut guest) = hostile();
    guest.write_all(&frame(Kind::Open, 1, b"stdout")).await.unwrap();
    let (_, unread) = next(&mut incoming).await;
    for _ in 0..=WINDOW {
        if guest.write_all(&frame(Kind::Data, 1, b"x")).await.is_err() {
            break;
        }
    }
    assert_eq!(why(&link).await, LinkError::Wrong("more bytes than were asked for"));
    drop(unread);
}

#[tokio::test]
async fn frames_that_cannot_be_end_the_link_and_nothing_else() {
    let more = u32::try_from(WINDOW).unwrap();
    let credit = Head { kind: Kind::Credit, id: 1, size: more }.bytes().to_vec();
    let late = [frame(Kind::End, 1, b""), frame(Kind::Data, 1, b"x")].concat();
    let wrong = [
        (frame(Kind::Data, 9, b"x"), "a stream that there never was"),
        (frame(Kind::Data, 2, b"x"), "a stream that there never was"),
        (frame(Kind::Open, 1, b"api"), "a stream opened anew"),
        (frame(Kind::Open, 2, b"api"), "a stream opened anew"),
        (credit, "more credit than there were bytes"),
        (late, "bytes after the end of a stream"),
        (vec![b'#'; PIECE], "what is no frame"),
    ];
    for (bytes, said) in wrong {
        let (link, mut incoming, mut guest) = hostile();
        guest.write_all(&frame(Kind::Open, 1, b"control")).await.unwrap();
        let held = next(&mut incoming).await;
        guest.write_all(&bytes).await.unwrap();
        assert_eq!(why(&link).await, LinkError::Wrong(said));
        drop(held);
    }
}

#[tokio::test]
async fn what_comes_for_a_stream_that_was_given_up_is_dropped() {
    let (link, mut incoming, mut guest) = hostile();
    guest.write_all(&frame(Kind::Open, 1, b"api")).await.unwrap();
    drop(next(&mut incoming).await);
    let late = [frame(Kind::Data, 1, b"late"), frame(Kind::End, 1, b""), frame(Kind::Reset, 1, b"")];
    guest.write_all(&late.concat()).await.unwrap();
    guest.write_all(&frame(Kind::Open, 3, b"api")).await.unwrap();
    assert_eq!(next(&mut incoming).await.0, Purpose::Api);
    drop(link);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_hang_or_break_a_side(
        frames in proptest::collection::vec((0_u8..8, 0_u32..8, 0_u32..40, any::<u8>()), 0..60)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (link, mut incoming, mut guest) = hostile();
            let mut bytes = Vec::new();
            for (kind, id, size, fill) in frames {
                bytes.push(kind);
                bytes.extend(id.to_be_bytes());
                bytes.extend(size.to_be_bytes());
                if kind == 1 {
                    bytes.extend(b"api".iter().cycle().take(size as usize));
                } else if kind == 2 {
                    bytes.extend(std::iter::repeat_n(fill, size as usize));
                }
            }
            guest.write_all(&bytes).await.unwrap();
            drop(guest);
            let taken = async {
                while let Some((_, mut stream)) = incoming.next().await {
                    let mut all = Vec::new();
                    let _ = stream.read_to_end(&mut all).await;
                    assert!(all.len() <= WINDOW);
                }
            };
            timeout(AT_MOST, taken).await.unwrap();
            why(&link).await;
        });
    }
}
