//! Whether a child is the one that was ordered.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::Order;
use crate::domain::nomad::Job;

/// In what the child differs from the order, without the values; none where it is the one. `parent` is the builder,
/// whose own meta its children inherit.
///
/// Whoever dispatches with our token first owns the child, and Nomad compares nothing on a repeat: so everything that a
/// dispatch can choose is compared here.
pub(super) fn difference(order: &Order, child: &Job, parent: &Job) -> Option<String> {
    if child.parent_id != order.builder.as_str() || !child.dispatched {
        return Some("it is not a child of the builder".to_owned());
    }
    if child.dispatch_idempotency_token != order.claim.as_str() {
        return Some("its token is another".to_owned());
    }
    if let Some((key, _)) = order.meta.iter().find(|(key, value)| child.meta.get(*key) != Some(*value)) {
        return Some(format!("its {key} is another"));
    }
    let takes = child.parameterized_job.iter().flat_map(|takes| takes.meta_required.iter().chain(&takes.meta_optional));
    let added = |key: &&String| !order.meta.contains_key(*key) && child.meta.get(*key) != parent.meta.get(*key);
    if let Some(key) = takes.into_iter().find(added) {
        return Some(format!("it was given {key} too"));
    }
    let ordered = order.payload.as_ref().map(|payload| payload.expose().as_bytes()).unwrap_or_default();
    let payload = STANDARD.decode(child.payload.as_deref().unwrap_or_default());
    (payload.as_deref() != Ok(ordered)).then(|| "its payload is another".to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::domain::nomad::Parameterized;
    use crate::domain::secret::Secret;

    fn order() -> Order {
        Order {
            claim: "0".repeat(64).parse().unwrap(),
            builder: "b".parse().unwrap(),
            meta: BTreeMap::from([("BRANCH".to_owned(), "main".to_owned())]),
            payload: Some(Secret::new("A=b\n")),
            timeout: Duration::from_secs(60),
            grant: None,
        }
    }

    fn child() -> Job {
        Job {
            parent_id: "b".to_owned(),
            dispatched: true,
            dispatch_idempotency_token: "0".repeat(64),
            meta: BTreeMap::from([("BRANCH".to_owned(), "main".to_owned()), ("TEAM".to_owned(), "x".to_owned())]),
            payload: Some("QT1iCg==".to_owned()),
            parameterized_job: Some(Parameterized {
                meta_optional: ["BRANCH", "IMAGE", "TEAM"].map(str::to_owned).into(),
                ..Parameterized::default()
            }),
            ..Job::default()
        }
    }

    fn parent() -> Job {
        Job { meta: BTreeMap::from([("TEAM".to_owned(), "x".to_owned())]), ..Job::default() }
    }

    #[test]
    fn the_child_that_was_ordered_is_ours() {
        assert_eq!(difference(&order(), &child(), &parent()), None);
        let (mut bare, mut without) = (order(), child());
        (bare.payload, without.payload) = (None, None);
        assert_eq!(difference(&bare, &without, &parent()), None);
    }

    #[test]
    fn a_child_that_differs_in_anything_is_not_ours() {
        let changes: [fn(&mut Job); 8] = [
            |child| child.parent_id = "c".to_owned(),
            |child| child.dispatched = false,
            |child| child.dispatch_idempotency_token = String::new(),
            |child| child.meta.clear(),
            |child| drop(child.meta.insert("BRANCH".to_owned(), "evil".to_owned())),
            |child| drop(child.meta.insert("IMAGE".to_owned(), "evil".to_owned())),
            |child| child.payload = None,
            |child| child.payload = Some("?".to_owned()),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut changed = child();
            change(&mut changed);
            let said = difference(&order(), &changed, &parent());
            assert!(said.as_ref().is_some_and(|said| !said.contains("evil")), "{number}: {said:?}");
        }
    }
}
