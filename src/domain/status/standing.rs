//! How a status stands among what its forge lists.

use url::Url;

use super::{Posted, State, Status};

/// A status as a forge lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its context.
    pub context: String,
    /// The word, whatever it is.
    pub state: String,
    /// The sentence.
    pub description: String,
    /// The link, as it was posted; may be empty.
    pub target_url: String,
}

/// How a status stands at its forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is there, and nothing of the same build came after it.
    Arrived,
    /// It is not there.
    Missing,
    /// An older status of the same build arrived after it.
    Overtaken,
}

/// How `wish` stands among what the forge lists, newest first. `pages` are the addresses that this build's statuses
/// link to; other builds of the same commit share the context, and what they say is theirs. Without `pages` all
/// statuses of the context count as this build's.
#[must_use]
pub fn standing(newest_first: &[Listed], context: &str, wish: &Status, pages: &[Url]) -> Standing {
    let ours = |listed: &&Listed| {
        listed.context == context && (pages.is_empty() || pages.iter().any(|page| is_page(&listed.target_url, page)))
    };
    let is_wish = |listed: &Listed| listed.state == wish.state.as_str() && listed.description == wish.description;
    match newest_first.iter().find(ours) {
        None => Standing::Missing,
        Some(newest) if is_wish(newest) => Standing::Arrived,
        Some(_) if newest_first.iter().filter(ours).any(is_wish) => Standing::Overtaken,
        Some(_) => Standing::Missing,
    }
}

/// Whether another build has had the last word on the commit under this context. A change that is not built says nothing
/// then: what was found of the same commit elsewhere stays in sight. `posted` is what its own record has told.
#[must_use]
pub fn is_anothers(newest_first: &[Listed], context: &str, posted: &Posted, pages: &[Url]) -> bool {
    let Some(newest) = newest_first.iter().find(|listed| listed.context == context) else { return false };
    let told = |status: &Option<Status>| status.as_ref().is_some_and(|told| told.description == newest.description);
    let ours = if pages.is_empty() {
        // Nothing tells whose a pending one is; another build's is followed by its last word.
        newest.state == State::Pending.as_str() || told(&posted.intended) || told(&posted.confirmed)
    } else {
        pages.iter().any(|page| is_page(&newest.target_url, page))
    };
    !ours
}

/// The key of a private build's link may have been rotated.
fn is_page(target_url: &str, page: &Url) -> bool {
    target_url.split('?').next() == page.as_str().split('?').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_posted_again_only_where_its_own_build_needs_it() {
        let page: Url = "https://ci.example/builds/b/dispatch-1-a".parse().expect("a URL");
        let listed = |description: &str, target_url: &str| Listed {
            context: "Albatros default".to_owned(),
            state: if description == "Successful" { "success" } else { "pending" }.to_owned(),
            description: description.to_owned(),
            target_url: target_url.to_owned(),
        };
        let keyed = format!("{page}?key=old");
        let wish = Status { state: State::Success, description: "Successful".to_owned(), last: true };
        let other = "https://ci.example/builds/b/dispatch-2-b";
        let stands = |list: &[Listed], pages: &[Url]| standing(list, "Albatros default", &wish, pages);
        let pages = [page.clone()];
        assert_eq!(stands(&[], &pages), Standing::Missing);
        assert_eq!(stands(&[listed("Successful", &keyed)], &pages), Standing::Arrived);
        assert_eq!(stands(&[listed("Running", page.as_str())], &pages), Standing::Missing);
        let late = [listed("Running", page.as_str()), listed("Successful", page.as_str())];
        assert_eq!(stands(&late, &pages), Standing::Overtaken);
        let others = [listed("Running", other), listed("Successful", page.as_str())];
        assert_eq!(stands(&others, &pages), Standing::Arrived);
        assert_eq!(stands(&others, &[]), Standing::Overtaken);
        assert_eq!(standing(&late, "Albatros default (tag)", &wish, &pages), Standing::Missing);
    }

    #[test]
    fn what_another_build_said_of_the_commit_is_told_from_our_own() {
        let page: Url = "https://ci.example/builds/claim/1".parse().expect("a URL");
        let listed = |target_url: &str| Listed {
            context: "Albatros default".to_owned(),
            state: "pending".to_owned(),
            description: "Waiting for approval".to_owned(),
            target_url: target_url.to_owned(),
        };
        let wish = Status { state: State::Pending, description: "Waiting for approval".to_owned(), last: false };
        let (none, told) = (Posted::default(), Posted { confirmed: Some(wish), ..Posted::default() });
        let anothers = |list: &[Listed], posted, pages: &[Url]| is_anothers(list, "Albatros default", posted, pages);
        let pages = [page.clone()];
        assert!(!anothers(&[], &none, &pages));
        assert!(!anothers(&[listed(page.as_str()), listed("https://ci.example/x")], &none, &pages));
        assert!(anothers(&[listed("https://ci.example/x"), listed(page.as_str())], &told, &pages));
        let ended = Listed { state: "success".to_owned(), description: "Successful".to_owned(), ..listed("") };
        assert!(!anothers(&[listed("")], &none, &[]) && !anothers(&[listed("")], &told, &[]));
        assert!(anothers(&[ended], &told, &[]));
        assert!(!is_anothers(&[listed("")], "Albatros default (tag)", &none, &[]));
    }
}
