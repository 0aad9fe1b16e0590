//! CloudEvents in binary mode: the attributes are headers of the message, `cloudEvents:id` or
//! `cloudEvents_id` (CloudEvents AMQP binding section 3.1.3.1), and the body is the data.

use std::borrow::Cow;

use super::json::Json;
use super::receipt::Receipt;
use super::{LogoutEvent, Origin, Refusal, RefusalCode, cloudevents};

/// Whether the headers make an event of the body.
pub(super) fn has_attributes(origin: &Origin) -> bool {
    origin.attributes.iter().any(|(name, _)| *name == "specversion")
}

/// Reads a body.
pub(super) fn read(body: &[u8], receipt: &Receipt<'_>) -> Result<LogoutEvent, Refusal> {
    let media = receipt.origin.content_type.as_deref().unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !matches!(media.as_str(), "" | "application/json") && !media.ends_with("+json") {
        let detail = "content_type is that of the data, which must be application/json";
        return Err(Refusal::new(RefusalCode::UnknownType, detail));
    }
    let attributes = receipt.origin.attributes.iter();
    let attributes =
        attributes.map(|(name, value)| (Cow::Borrowed(*name), Json::Text(Cow::Borrowed(value.as_str()))));
    let data = (Cow::Borrowed("data"), Json::read(body)?);
    cloudevents::event(Json::Object(attributes.chain([data]).collect()), receipt)
}
