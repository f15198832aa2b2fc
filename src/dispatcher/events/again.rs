//! What a reader of a list has missed: what is above an index, passes its filters and may be seen.

use std::sync::Arc;

use super::feed::{Change, Stand};
use crate::dispatcher::App;
use crate::dispatcher::access::Credentials;
use crate::dispatcher::builds::{ListQuery, Sight, Wanted};
use crate::dispatcher::ended::Row;
use crate::dispatcher::view::BuildView;
use crate::dispatcher::waits::Waits;
use crate::domain::id::ClaimId;
use crate::domain::record::Record;
use crate::registry::{Index, RegistryError, Stored};

/// Who has missed more reads the whole list again, which is shorter.
pub(super) const MISSED_MOST: usize = 1000;
/// What is put into words at once.
const PIECE: usize = 100;

/// What is above an index.
#[derive(Debug)]
pub(super) enum Missed {
    /// The next of it, in the order of the indexes, and from where on there is more, if there is.
    Piece(Vec<Change>, Option<Index>),
    /// More than is told one by one.
    TooMuch,
}

/// A change that was missed.
#[derive(Debug)]
enum One<'a> {
    Open(&'a ClaimId, &'a Stored<Record>),
    Ended(Arc<Row>),
}

impl One<'_> {
    fn index(&self) -> Index {
        match self {
            Self::Open(_, stored) => stored.index,
            Self::Ended(row) => row.index(),
        }
    }
}

/// What this reader has missed above an index; only what it is told is put into words.
pub(super) async fn above(
    app: &App,
    stand: &Stand,
    index: Index,
    query: &ListQuery,
    credentials: &Credentials,
) -> Result<Missed, RegistryError> {
    let entries = app.registry.entries().await?;
    let sight = Sight::of(app, credentials, &entries);
    let wanted = Wanted::of(query);
    let mut all = missed(app, stand, index, &wanted, &sight);
    if all.len() > MISSED_MOST {
        return Ok(Missed::TooMuch);
    }
    all.sort_by_key(One::index);
    let rest = (all.len() > PIECE).then(|| all.get(PIECE - 1).map(One::index)).flatten();
    let waits = Waits::of(&stand.open, &entries);
    let changes = all.iter().take(PIECE).filter_map(|one| match one {
        One::Open(claim, stored) => {
            let record = &stored.value;
            let view = BuildView::of_record(app, claim, record, &waits.glance(claim, record));
            wanted.takes_state(view.state).then(|| Change::of(stored.index, view, None))
        }
        One::Ended(row) => {
            let (claim, done) = row.shown()?;
            Some(Change::of(row.index(), BuildView::of_done(app, &claim, &done), None))
        }
    });
    Ok(Missed::Piece(changes.collect(), rest))
}

/// One more than is told, at most. The state of open ones is looked at later.
fn missed<'a>(app: &App, stand: &'a Stand, index: Index, wanted: &Wanted<'_>, sight: &Sight<'_>) -> Vec<One<'a>> {
    let table = app.known.ended().table();
    let open = stand.open.iter().filter(|(claim, stored)| {
        let record = &stored.value;
        stored.index > index
            && wanted.takes_record(record)
            && sight.takes(record.private, Some(&record.repo))
            && !table.is_newer(claim, stored.index)
    });
    let of_open = open.map(|(claim, stored)| One::Open(claim, stored));
    let rows = table.above(index).iter();
    let rows = rows.filter(|row| wanted.takes_row(row) && sight.takes(row.is_private(), Some(row.repo())));
    let of_done = rows.map(|row| One::Ended(Arc::clone(row)));
    of_open.chain(of_done).take(MISSED_MOST + 1).collect()
}
