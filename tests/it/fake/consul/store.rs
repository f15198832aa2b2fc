//! What a Consul holds, and the changes it knows.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A key's entry.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) value: Vec<u8>,
    pub(super) flags: u64,
    pub(super) create: u64,
    pub(super) modify: u64,
    pub(super) lock_index: u64,
    pub(super) session: Option<String>,
}

/// A session.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) name: String,
    pub(super) ttl: Option<Duration>,
    pub(super) ttl_text: String,
    pub(super) delete: bool,
    pub(super) lock_delay: Duration,
    pub(super) create: u64,
    pub(super) renewed: Instant,
}

/// All of it. Every change is made at [`Store::index`], which [`Store::next`] moves on.
#[derive(Debug, Default, Clone)]
pub(super) struct Store {
    pub(super) index: u64,
    pub(super) kv: BTreeMap<String, Entry>,
    pub(super) sessions: BTreeMap<String, Session>,
    pub(super) writes: u64,
    graves: BTreeMap<String, u64>,
    lock_delays: BTreeMap<String, Instant>,
}

impl Store {
    pub(super) fn next(&mut self) -> u64 {
        self.index += 1;
        self.index
    }

    /// The table's index, never 0.
    pub(super) fn table(&self) -> u64 {
        self.index.max(1)
    }

    pub(super) fn under(&self, prefix: &str) -> impl Iterator<Item = (&String, &Entry)> {
        let prefix = prefix.to_owned();
        self.kv.range(prefix.clone()..).take_while(move |(key, _)| key.starts_with(&prefix))
    }

    /// The index of one key; a missing one has that of the table.
    pub(super) fn key_index(&self, key: &str) -> u64 {
        self.kv.get(key).map_or_else(|| self.table(), |entry| entry.modify)
    }

    /// The index of all keys with a prefix, those that are gone included.
    pub(super) fn prefix_index(&self, prefix: &str) -> u64 {
        let live = self.under(prefix).map(|(_, entry)| entry.modify).max();
        let graves = self.graves.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        let gone = graves.map(|(_, index)| *index).max();
        live.max(gone).unwrap_or_else(|| self.table())
    }

    pub(super) fn set(&mut self, key: &str, value: Vec<u8>, flags: u64) {
        let old = self.kv.get(key);
        let entry = Entry {
            value,
            flags,
            create: old.map_or(self.index, |entry| entry.create),
            modify: self.index,
            lock_index: old.map_or(0, |entry| entry.lock_index),
            session: old.and_then(|entry| entry.session.clone()),
        };
        self.graves.remove(key);
        self.kv.insert(key.to_owned(), entry);
    }

    pub(super) fn delete(&mut self, key: &str) {
        if self.kv.remove(key).is_some() {
            self.graves.insert(key.to_owned(), self.index);
        }
    }

    /// As after a restore of an older state: nobody remembers what was deleted, and indexes begin where that state ends.
    pub(super) fn go_back(&mut self) {
        self.graves.clear();
        self.index = self.kv.values().map(|entry| entry.modify).max().unwrap_or(1);
    }

    /// Whether a write with this `cas` may happen.
    pub(super) fn cas_fits(&self, key: &str, cas: u64) -> bool {
        match self.kv.get(key) {
            None => cas == 0,
            Some(entry) => cas == entry.modify && cas != 0,
        }
    }

    /// Takes a lock; false when another session has it or it is in its delay. The session must exist.
    pub(super) fn acquire(&mut self, key: &str, session: &str, value: Vec<u8>, flags: u64) -> bool {
        if self.lock_delays.get(key).is_some_and(|until| *until > Instant::now()) {
            return false;
        }
        let holder = self.kv.get(key).and_then(|entry| entry.session.clone());
        if holder.as_deref().is_some_and(|holder| holder != session) {
            return false;
        }
        self.set(key, value, flags);
        if let Some(entry) = self.kv.get_mut(key)
            && holder.is_none()
        {
            entry.lock_index += 1;
            entry.session = Some(session.to_owned());
        }
        true
    }

    /// Gives a lock back; false when it is not this session's.
    pub(super) fn release(&mut self, key: &str, session: &str, value: Vec<u8>, flags: u64) -> bool {
        if self.kv.get(key).and_then(|entry| entry.session.as_deref()) != Some(session) {
            return false;
        }
        self.set(key, value, flags);
        if let Some(entry) = self.kv.get_mut(key) {
            entry.session = None;
        }
        true
    }

    pub(super) fn end_session(&mut self, id: &str) {
        let Some(session) = self.sessions.remove(id) else {
            return;
        };
        let held = self.kv.iter().filter(|(_, entry)| entry.session.as_deref() == Some(id));
        let held: Vec<String> = held.map(|(key, _)| key.clone()).collect();
        for key in held {
            if !session.lock_delay.is_zero() {
                self.lock_delays.insert(key.clone(), Instant::now() + session.lock_delay);
            }
            if session.delete {
                self.delete(&key);
            } else if let Some(entry) = self.kv.get_mut(&key) {
                entry.session = None;
                entry.modify = self.index;
            }
        }
    }

    /// Ends what has outlived twice its TTL, as Consul does.
    pub(super) fn expire_sessions(&mut self) {
        let over = |session: &Session| session.ttl.is_some_and(|ttl| session.renewed.elapsed() > ttl * 2);
        let ids: Vec<_> = self.sessions.iter().filter(|(_, session)| over(session)).map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.next();
            self.end_session(&id);
        }
    }
}
