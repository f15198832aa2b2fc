//! All streams of a link, on one side of it: which there are, what comes for them and what goes out next.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};

use super::channel::Channel;
use super::frame::{Head, Kind};
use super::purpose::{Purpose, Side};
use super::{LinkError, STREAMS, Wrong};

/// Refusals that are not told yet; who opens more without reading them means no good.
const REFUSALS: usize = 256;

#[derive(Debug)]
pub(super) struct Channels {
    side: Side,
    all: BTreeMap<u32, Channel>,
    /// The next stream that is opened here.
    next: Option<u32>,
    /// The last one that the other side opened.
    last: u32,
    /// Whose turn it was.
    turn: u32,
    refused: VecDeque<u32>,
    /// What there may be once, and was.
    opened: Vec<Purpose>,
    pub(super) lost: Option<LinkError>,
}

/// Streams of the host have even numbers, of the guest odd ones; each is used once.
fn first(side: Side) -> u32 {
    match side {
        Side::Host => 2,
        Side::Guest => 1,
    }
}

impl Channels {
    pub(super) fn new(side: Side) -> Self {
        Self {
            side,
            all: BTreeMap::new(),
            next: Some(first(side)),
            last: 0,
            turn: 0,
            refused: VecDeque::new(),
            opened: Vec::new(),
            lost: None,
        }
    }

    /// Those that `side` has opened, and are there.
    fn count(&self, side: Side) -> usize {
        self.all.keys().filter(|id| **id % 2 == first(side) % 2).count()
    }

    pub(super) fn get(&mut self, id: u32) -> Option<&mut Channel> {
        self.all.get_mut(&id)
    }

    /// A new stream of this side.
    pub(super) fn open(&mut self, purpose: Purpose) -> Result<u32, LinkError> {
        if let Some(why) = self.lost {
            return Err(why);
        }
        if purpose.opener() != self.side || !purpose.is_sayable() {
            return Err(LinkError::Purpose);
        }
        if self.count(self.side) >= STREAMS {
            return Err(LinkError::Busy);
        }
        let id = self.next.ok_or(LinkError::Busy)?;
        self.next = id.checked_add(2);
        self.all.insert(id, Channel::new(Some(purpose)));
        Ok(id)
    }

    /// Takes one frame of the other side's; gives a stream that it opened.
    pub(super) fn take(&mut self, head: Head, body: &[u8]) -> Result<Option<(u32, Purpose)>, Wrong> {
        let id = head.id;
        if head.kind == Kind::Open {
            return self.take_open(id, body);
        }
        let Some(channel) = self.all.get_mut(&id) else {
            let was =
                if id % 2 == first(self.side) % 2 { self.next.is_none_or(|next| id < next) } else { id <= self.last };
            // On its way while this side gave the stream up.
            return if was { Ok(None) } else { Err(Wrong("a stream that there never was")) };
        };
        match head.kind {
            Kind::Data => channel.take_data(body)?,
            Kind::Credit => channel.take_credit(head.size)?,
            Kind::End => channel.take_end(),
            Kind::Reset => channel.take_reset(),
            Kind::Open => {}
        }
        self.forget(id);
        Ok(None)
    }

    fn take_open(&mut self, id: u32, body: &[u8]) -> Result<Option<(u32, Purpose)>, Wrong> {
        if id % 2 != first(self.side.other()) % 2 || id <= self.last {
            return Err(Wrong("a stream opened anew"));
        }
        self.last = id;
        let allowed = |purpose: &Purpose| purpose.opener() != self.side && !self.opened.contains(purpose);
        let purpose = Purpose::parse(body).filter(allowed).filter(|_| self.count(self.side.other()) < STREAMS);
        let Some(purpose) = purpose else {
            self.refuse(id)?;
            return Ok(None);
        };
        if purpose.once() {
            // As many as there are folders; each is a name of at most 64 bytes.
            if self.opened.len() >= STREAMS {
                return Err(Wrong("more folders than any build has"));
            }
            self.opened.push(purpose.clone());
        }
        self.all.insert(id, Channel::new(None));
        Ok(Some((id, purpose)))
    }

    fn refuse(&mut self, id: u32) -> Result<(), Wrong> {
        if self.refused.len() >= REFUSALS {
            return Err(Wrong("streams opened without end"));
        }
        self.refused.push_back(id);
        Ok(())
    }

    /// Whoever had this stream here has left.
    pub(super) fn leave(&mut self, id: u32) {
        if let Some(channel) = self.all.get_mut(&id) {
            channel.leave();
        }
        self.forget(id);
    }

    fn forget(&mut self, id: u32) {
        if self.all.get(&id).is_some_and(Channel::is_over) {
            self.all.remove(&id);
        }
    }

    /// Writes the next frame behind what `wire` holds; false if there is none now. Streams take turns.
    pub(super) fn next(&mut self, wire: &mut Vec<u8>) -> bool {
        if let Some(id) = self.refused.pop_front() {
            wire.extend_from_slice(&Head { kind: Kind::Reset, id, size: 0 }.bytes());
            return true;
        }
        let turn = self.turn;
        let served = self.serve((Excluded(turn), Unbounded), wire);
        let served = served.or_else(|| self.serve((Unbounded, std::ops::Bound::Included(turn)), wire));
        let Some(id) = served else { return false };
        self.turn = id;
        self.forget(id);
        true
    }

    fn serve(&mut self, range: (std::ops::Bound<u32>, std::ops::Bound<u32>), wire: &mut Vec<u8>) -> Option<u32> {
        self.all.range_mut(range).find_map(|(id, channel)| channel.next(*id, wire).then_some(*id))
    }

    /// The link is gone, and with it every stream.
    pub(super) fn lose(&mut self, why: LinkError) {
        self.lost.get_or_insert(why);
        self.all.values_mut().for_each(Channel::take_reset);
    }
}
