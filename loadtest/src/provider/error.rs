//! Refusals of the API, in Razorpay's JSON shape with the field at fault.

use axum::Json;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::json;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) description: String,
    pub(crate) field: Option<&'static str>,
}

impl ApiError {
    /// The request is at fault.
    pub(crate) fn bad(description: impl Into<String>) -> Self {
        let status = StatusCode::BAD_REQUEST;
        Self { status, code: "BAD_REQUEST_ERROR", description: description.into(), field: None }
    }

    /// One field of the request is at fault.
    pub(crate) fn field(field: &'static str, description: impl Into<String>) -> Self {
        Self { field: Some(field), ..Self::bad(description) }
    }

    /// As Razorpay, which has no 404 for ids.
    pub(crate) fn no_such_id() -> Self {
        Self::bad("The id provided does not exist")
    }

    /// We are at fault: nothing was done, try again.
    pub(crate) fn server(description: impl Into<String>) -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self { status, code: "SERVER_ERROR", description: description.into(), field: None }
    }

    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut error = json!({"code": self.code, "description": self.description});
        if let (Some(field), Some(object)) = (self.field, error.as_object_mut()) {
            object.insert("field".to_owned(), field.into());
        }
        (self.status, Json(json!({"error": error}))).into_response()
    }
}

pub(crate) async fn no_such_url(uri: Uri) -> ApiError {
    let path: String = uri.path().chars().take(100).collect();
    ApiError::bad(format!("The requested URL was not found on the server: {path}")).with_status(StatusCode::NOT_FOUND)
}

pub(crate) async fn no_such_method() -> ApiError {
    ApiError::bad("The method is not allowed for this URL").with_status(StatusCode::METHOD_NOT_ALLOWED)
}
