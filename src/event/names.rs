//! The words of the contract for event types and lanes, each written once.

use super::LogoutEvent;

/// The routing key of a mass revocation's wide targets. It matches `auth.mass_revocation.#` too, and a queue
/// of its own: a cutoff must not wait behind a backlog of tokens.
pub const CUTOFF_ROUTING_KEY: &str = "auth.mass_revocation.cutoff";

/// The two event types of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// `auth.logout.v1`
    Logout,
    /// `auth.mass_revocation.v1`
    MassRevocation,
}

/// Which lane an event's work runs in. It follows the event's type, not the queue it came by; what of it
/// waits for a second person is in the lane of mass revocations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Ordinary logouts.
    Interactive,
    /// Mass revocations.
    Mass,
}

impl EventType {
    /// Every type of the contract.
    pub const ALL: [Self; 2] = [Self::Logout, Self::MassRevocation];

    /// The value of CloudEvents `type` and of the audit views.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "auth.logout.v1",
            Self::MassRevocation => "auth.mass_revocation.v1",
        }
    }

    /// The type named `value`.
    pub fn parse(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event_type| event_type.as_str() == value)
    }

    /// The routing key to publish an event of this type with.
    pub fn routing_key(self) -> &'static str {
        match self {
            Self::Logout => "auth.logout",
            Self::MassRevocation => "auth.mass_revocation",
        }
    }

    /// The lane that work of this type runs in.
    pub fn lane(self) -> Lane {
        match self {
            Self::Logout => Lane::Interactive,
            Self::MassRevocation => Lane::Mass,
        }
    }
}

impl Lane {
    /// Both lanes, the urgent one first.
    pub const ALL: [Self; 2] = [Self::Interactive, Self::Mass];

    /// The value in the audit views and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Mass => "mass",
        }
    }

    /// The lane named `value`.
    pub fn parse(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| lane.as_str() == value)
    }
}

impl LogoutEvent {
    /// The lane that this event's work runs in; it follows the type, not the queue. What waits for a second
    /// person runs beside mass revocations.
    pub fn lane(&self) -> Lane {
        if self.incident.is_some() { Lane::Mass } else { self.event_type.lane() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_lanes_have_the_contracts_names_both_ways() {
        assert_eq!(EventType::ALL.map(EventType::as_str), ["auth.logout.v1", "auth.mass_revocation.v1"]);
        assert_eq!(Lane::ALL.map(Lane::as_str), ["interactive", "mass"]);
        assert!(EventType::ALL.into_iter().all(|it| EventType::parse(it.as_str()) == Some(it)));
        assert!(Lane::ALL.into_iter().all(|it| Lane::parse(it.as_str()) == Some(it)));
        assert_eq!(EventType::parse("auth.logout.v2"), None);
        assert_eq!(Lane::parse(""), None);
        assert_eq!(EventType::ALL.map(EventType::lane), Lane::ALL);
        assert!(CUTOFF_ROUTING_KEY.starts_with(EventType::MassRevocation.routing_key()));
    }
}
