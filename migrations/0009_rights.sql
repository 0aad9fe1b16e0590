-- What a broker user orders in logouts beyond its rate waits in an incident, as a part of the event that it came with.

ALTER TABLE revocation.events
    DROP CONSTRAINT lane_follows_type,
    DROP CONSTRAINT mass_has_incident,
    ADD CONSTRAINT lane_follows_type CHECK ((lane = 'mass') = (event_type = 'auth.mass_revocation.v1' OR incident IS NOT NULL)),
    ADD CONSTRAINT mass_has_incident CHECK (event_type <> 'auth.mass_revocation.v1' OR incident IS NOT NULL),
    ADD CONSTRAINT logout_waits_for_its_rate
        CHECK (event_type <> 'auth.logout.v1' OR incident IS NULL OR (starts_with(incident, 'rate-') AND has_cutoff));
