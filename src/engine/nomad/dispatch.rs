//! Dispatch, and proof that the child is the one that was ordered.

use super::super::{DispatchError, Order};
use super::builders::Builders;
use super::child;
use crate::api::nomad::{Dispatch, DispatchFailure, Nomad, NomadError};
use crate::domain::id::BuildId;

/// Dispatches with one token before giving up. In a race Nomad names children that do not exist; a repeat finds the
/// one that does.
const TRIES: usize = 5;

/// Five answers named five children that do not exist.
#[derive(Debug, thiserror::Error)]
#[error("Nomad named {TRIES} children that it does not know")]
struct Ghosts;

pub(super) async fn dispatch(nomad: &Nomad, builders: &Builders, order: &Order) -> Result<BuildId, DispatchError> {
    let asked = Dispatch {
        job: order.builder.as_str(),
        token: order.claim.as_str(),
        meta: &order.meta,
        payload: order.payload.as_ref(),
    };
    for _ in 0..TRIES {
        let id = nomad.dispatch(&asked).await.map_err(|failure| refused(builders, order, failure))?;
        let Some(child) = nomad.job(&id).await.map_err(passing)? else {
            continue;
        };
        let build = id.parse::<BuildId>().ok().filter(|build| build.builder() == order.builder.as_str());
        let build =
            build.ok_or_else(|| DispatchError::NotOurs("its id is not one that Albatros asks for".to_owned()))?;
        let parent = builders.job(nomad, &order.builder).await.map_err(passing)?.unwrap_or_default();
        return match child::difference(order, &child, &parent) {
            None => Ok(build),
            Some(why) => Err(DispatchError::NotOurs(why)),
        };
    }
    Err(DispatchError::Passing(Box::new(Ghosts)))
}

fn refused(builders: &Builders, order: &Order, failure: DispatchFailure) -> DispatchError {
    match failure {
        DispatchFailure::Permanent(sentence) => {
            // It was not what it was thought to be, or the plan would have fitted.
            builders.forget(&order.builder);
            DispatchError::Permanent(sentence)
        }
        DispatchFailure::Passing(error) => passing(error),
    }
}

fn passing(error: NomadError) -> DispatchError {
    DispatchError::Passing(Box::new(error))
}
