//! Bodies of requests: read whole, within a size, a time, and the memory that all of them may take
//! at once. Nobody is known yet when a body arrives: what a signature says of it is checked after.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, StatusCode, header};
use glaas_api::envelope::codes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::app::App;
use crate::error::{ApiError, ApiResult};

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// The beginning of every body is taken in: the connections bound what these take together.
const FREE: usize = 16 * 1024;

/// Memory is counted in pieces of so many bytes.
const PIECE: usize = 1024;

/// Pieces for the rest of all bodies: 128 MiB.
const PIECES: usize = 128 * 1024;

/// The room for bodies that are in memory.
#[derive(Debug)]
pub struct Room(Semaphore);

impl Default for Room {
    fn default() -> Self {
        Self(Semaphore::new(PIECES))
    }
}

/// What a body takes of the room, for as long as it is in memory.
pub type Place<'room> = Option<SemaphorePermit<'room>>;

/// Reads a request's body.
///
/// # Errors
/// It is too large, too slow, not whole, or there is no room for it now.
pub async fn read<'room>(
    app: &'room App,
    method: &Method,
    headers: &HeaderMap,
    body: Body,
) -> ApiResult<(Bytes, Place<'room>)> {
    if method == Method::GET || method == Method::HEAD {
        return Ok((Bytes::new(), None));
    }
    let most = app.settings.max_body_bytes;
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > most) {
        return Err(too_large(most));
    }
    tokio::time::timeout(PATIENCE, gather(&app.bodies, most, body))
        .await
        .unwrap_or_else(|_| {
            Err(ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                codes::INVALID,
                "the body took too long to arrive",
            ))
        })
}

/// Takes a body in as it arrives; memory counts when it is used, not when it is announced.
async fn gather(room: &Room, most: usize, body: Body) -> ApiResult<(Bytes, Place<'_>)> {
    let mut body = Limited::new(body, most);
    let mut bytes = Vec::new();
    let mut place: Place = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            if error.is::<LengthLimitError>() {
                too_large(most)
            } else {
                ApiError::invalid("the body did not arrive whole")
            }
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        bytes.extend_from_slice(&data);
        let wanted = bytes.len().saturating_sub(FREE).div_ceil(PIECE);
        let had = place.as_ref().map_or(0, SemaphorePermit::num_permits);
        // Who waited for room would keep what the others wait for.
        let more = u32::try_from(wanted.saturating_sub(had))
            .ok()
            .and_then(|more| room.0.try_acquire_many(more).ok())
            .ok_or_else(no_room)?;
        match &mut place {
            Some(place) => place.merge(more),
            None => place = Some(more),
        }
    }
    Ok((bytes.into(), place))
}

fn too_large(most: usize) -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        codes::TOO_LARGE,
        format!("the body is larger than {most} bytes"),
    )
}

fn no_room() -> ApiError {
    let mut error = ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        codes::UNAVAILABLE,
        "too many large bodies at once: try again",
    );
    error.retry_after = Some(2);
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(taken: ApiResult<(Bytes, Place)>) -> u16 {
        taken.map_or_else(|error| error.status.as_u16(), |_| 200)
    }

    #[tokio::test]
    async fn all_bodies_together_have_a_bound() {
        let room = Room(Semaphore::new(8));
        let body = |bytes: usize| Body::from(vec![b'x'; bytes]);
        let first = gather(&room, 1 << 20, body(FREE + 6 * PIECE)).await;
        assert!(
            first
                .as_ref()
                .is_ok_and(|(bytes, _)| bytes.len() == FREE + 6 * PIECE)
        );
        assert_eq!(
            status(gather(&room, 1 << 20, body(FREE + 3 * PIECE)).await),
            503
        );
        // Small ones are taken all the same.
        assert_eq!(status(gather(&room, 1 << 20, body(FREE)).await), 200);
        drop(first);
        assert_eq!(
            status(gather(&room, 1 << 20, body(FREE + 8 * PIECE)).await),
            200
        );
        assert_eq!(status(gather(&room, 100, body(101)).await), 413);
    }
}
