//! Answers of the HTTP listener: JSON, and the one mapping of errors to statuses.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use seatwire_protocol::{ErrorBody, ErrorCode};
use serde::de::DeserializeOwned;

/// An error as it is answered.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    body: Box<ErrorBody>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, body: ErrorBody) -> Self {
        Self { status, body: Box::new(body) }
    }
}

impl From<ErrorBody> for Failure {
    fn from(body: ErrorBody) -> Self {
        let status = StatusCode::from_u16(body.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(status, body)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

/// A JSON body, whatever its content type; what is wrong with it is told with the field's name.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let bytes = Bytes::from_request(request, state).await.map_err(unread)?;
        let mut deserializer = serde_json::Deserializer::from_slice(&bytes);
        let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
            let field = error.path().to_string();
            let text = format!("body: {}", error.inner());
            ErrorBody { field: (field != ".").then_some(field), ..ErrorBody::new(ErrorCode::BadRequest, text) }
        })?;
        deserializer.end().map_err(|e| ErrorBody::new(ErrorCode::BadRequest, format!("body: {e}")))?;
        Ok(Self(value))
    }
}

fn unread(rejection: BytesRejection) -> Failure {
    let code = match &rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => ErrorCode::TooLarge,
        _ => ErrorCode::BadRequest,
    };
    ErrorBody::new(code, rejection.body_text()).into()
}
