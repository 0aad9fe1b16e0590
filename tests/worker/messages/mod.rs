//! docs/asyncapi.json and docs/contract.md say what the code does.

mod contract;
mod events_in;
mod messages_out;
mod places;
mod schema;
