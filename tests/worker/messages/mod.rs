//! docs/asyncapi.json says what the code does, member for member.

mod events_in;
mod messages_out;
mod places;
mod schema;
