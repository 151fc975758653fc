-- Customers who logged out: gateways that were down, or did not hear of it, learn it from here. A core of before this
-- step neither writes nor reads it.
CREATE TABLE logouts (
    customer_id text CONSTRAINT logouts_customer_id_pk PRIMARY KEY,
    before_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL
);
CREATE INDEX logouts_changed_at_idx ON logouts (changed_at);
COMMENT ON TABLE logouts IS 'Customers whose older tokens are void, one row each. A row past its end may be deleted.';
COMMENT ON COLUMN logouts.customer_id IS 'Who.';
COMMENT ON COLUMN logouts.before_at IS 'Tokens issued before are void.';
COMMENT ON COLUMN logouts.ends_at IS 'No token issued before that is good for longer.';
COMMENT ON COLUMN logouts.changed_at IS 'When he last logged out.';

GRANT SELECT, INSERT, UPDATE ON logouts TO seatwire_core;
