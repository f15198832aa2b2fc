//! The framed log stream: JSON objects one after the other, with nothing between them.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf as _, Bytes, BytesMut};
use serde::Deserialize;

/// The largest frame: Nomad reads 64 KiB at a time, which base64 makes a third larger.
const LONGEST: usize = 1 << 20;

/// A piece of a log, or a sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Bytes of one file. The frame's own offset is no use: it says where the read began that these came from.
    Data {
        /// The number at the end of the file's name, one more with each rotation.
        file: u64,
        /// The bytes.
        bytes: Bytes,
    },
    /// `{}`, each second while there is nothing to read.
    Heartbeat,
    /// Something happened to the file (`file truncated`, `file deleted`).
    Event {
        /// The file's number.
        file: u64,
        /// Nomad's words.
        what: String,
    },
}

/// Why frames cannot be read any further.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The connection broke.
    #[error("the connection broke")]
    Cut(#[source] reqwest::Error),
    /// It is no JSON.
    #[error("this is not what Nomad sends")]
    Json(#[source] serde_json::Error),
    /// The data are no base64.
    #[error("the data are not base64")]
    Base64(#[source] base64::DecodeError),
    /// The file's name has no number at its end.
    #[error("no log file is called so")]
    Name,
    /// Far longer than any piece of it should be.
    #[error("a piece is longer than {0} bytes")]
    TooLong(usize),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Raw<'a> {
    #[serde(default, borrow)]
    data: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    file: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    file_event: Option<Cow<'a, str>>,
}

/// Frames out of pieces that are cut anywhere.
#[derive(Debug, Default)]
pub(super) struct Parser {
    buffer: BytesMut,
}

impl Parser {
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next frame; none until more is pushed.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        let mut objects = serde_json::Deserializer::from_slice(&self.buffer).into_iter::<Raw<'_>>();
        let frame = match objects.next() {
            None => return Ok(None),
            Some(Ok(raw)) => frame(raw)?,
            Some(Err(error)) if error.is_eof() && self.buffer.len() > LONGEST => {
                return Err(FrameError::TooLong(LONGEST));
            }
            Some(Err(error)) if error.is_eof() => return Ok(None),
            Some(Err(error)) => return Err(FrameError::Json(error)),
        };
        let end = objects.byte_offset();
        self.buffer.advance(end);
        Ok(Some(frame))
    }
}

fn frame(raw: Raw<'_>) -> Result<Frame, FrameError> {
    let data = raw.data.filter(|data| !data.is_empty());
    let event = raw.file_event.filter(|event| !event.is_empty());
    match (data, event) {
        (Some(data), _) => {
            let bytes = STANDARD.decode(data.as_bytes()).map_err(FrameError::Base64)?;
            Ok(Frame::Data { file: number(raw.file.as_deref())?, bytes: bytes.into() })
        }
        (None, Some(event)) => Ok(Frame::Event { file: number(raw.file.as_deref())?, what: event.into_owned() }),
        (None, None) => Ok(Frame::Heartbeat),
    }
}

/// `alloc/logs/executor.stdout.12` → 12.
fn number(name: Option<&str>) -> Result<u64, FrameError> {
    let number = name.and_then(|name| name.rsplit('.').next()).and_then(|end| end.parse().ok());
    number.ok_or(FrameError::Name)
}

/// A log stream that is open.
#[derive(Debug)]
pub struct Frames {
    response: reqwest::Response,
    parser: Parser,
}

impl Frames {
    pub(super) fn new(response: reqwest::Response) -> Self {
        Self { response, parser: Parser::default() }
    }

    /// The next frame; none at the stream's end. Nothing is lost when the call is given up. There is no limit of time
    /// in here: with `follow`, silence for more than a few seconds means that the other side is gone.
    ///
    /// # Errors
    /// When the stream broke. It must not be read again.
    pub async fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            if let Some(frame) = self.parser.next()? {
                return Ok(Some(frame));
            }
            match self.response.chunk().await {
                Ok(Some(piece)) => self.parser.push(&piece),
                Ok(None) => return Ok(None),
                Err(error) => return Err(FrameError::Cut(error.without_url())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn recorded(text: &str) -> Vec<u8> {
        let exchange: Value = serde_json::from_str(text).unwrap();
        STANDARD.decode(exchange["body_base64"].as_str().unwrap()).unwrap()
    }

    fn parse(pieces: &[&[u8]]) -> Result<Vec<Frame>, FrameError> {
        let mut parser = Parser::default();
        let mut frames = Vec::new();
        for piece in pieces {
            parser.push(piece);
            while let Some(frame) = parser.next()? {
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    fn text(frames: &[Frame]) -> Vec<u8> {
        let bytes = frames.iter().filter_map(|frame| match frame {
            Frame::Data { bytes, .. } => Some(bytes.to_vec()),
            Frame::Heartbeat | Frame::Event { .. } => None,
        });
        bytes.flatten().collect()
    }

    #[test]
    fn a_recorded_stream_gives_its_bytes_and_heartbeats() {
        let stdout = recorded(include_str!("../../../tests/fixture/nomad/logs/follow-framed.json"));
        let frames = parse(&[&stdout]).unwrap();
        assert_eq!(text(&frames), b"out line 1\nout line 2\nout line 3\nout line 4\nno newline at end");
        assert!(frames.iter().filter(|frame| **frame == Frame::Heartbeat).count() > 2);
        let stderr = recorded(include_str!("../../../tests/fixture/nomad/logs/follow-framed-stderr.json"));
        assert_eq!(
            text(&parse(&[&stderr]).unwrap()),
            b"err line 1\nerr line 2\nerr line 3\nerr line 4\n\xff\xfe\0bin\n"
        );
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_a_stream_is_cut(cuts in prop::collection::vec(0_usize..700, 0..12)) {
            let whole = recorded(include_str!("../../../tests/fixture/nomad/logs/follow-framed.json"));
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(whole.len())).collect();
            cuts.extend([0, whole.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &whole[pair[0]..pair[1]]).collect();
            prop_assert_eq!(parse(&pieces).unwrap(), parse(&[&whole]).unwrap());
        }

        #[test]
        fn any_bytes_are_frames_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&[&bytes]);
        }
    }

    #[test]
    fn a_file_is_known_by_its_number() {
        let frames = parse(&[br#"{"Data":"YQ==","File":"alloc/logs/e.stdout.12","Offset":1} {"File":"x.3","FileEvent":"file truncated"}"#]);
        let data = Frame::Data { file: 12, bytes: Bytes::from_static(b"a") };
        assert_eq!(frames.unwrap(), [data, Frame::Event { file: 3, what: "file truncated".to_owned() }]);
        assert!(matches!(parse(&[br#"{"Data":"YQ==","File":"x"}"#]), Err(FrameError::Name)));
    }

    #[test]
    fn what_is_no_frame_is_an_error_and_not_swallowed() {
        assert!(matches!(parse(&[b"{}<html>"]), Err(FrameError::Json(_))));
        assert!(matches!(parse(&[br#"{"Data":"?","File":"x.0"}"#]), Err(FrameError::Base64(_))));
        let endless = [br#"{"Data":""#.as_slice(), &vec![b'A'; LONGEST]].concat();
        assert!(matches!(parse(&[&endless]), Err(FrameError::TooLong(_))));
    }
}
