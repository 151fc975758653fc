-- Time limits of the core's role, for whoever connects as it; the core sets the same for its own sessions. Only who may
-- change the role can set them: a superuser, or a role with CREATEROLE and the admin option on it.
DO $$
BEGIN
    ALTER ROLE seatwire_core SET lock_timeout = '2s';
    ALTER ROLE seatwire_core SET statement_timeout = '5s';
    ALTER ROLE seatwire_core SET idle_in_transaction_session_timeout = '10s';
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'role % may not set the time limits of role seatwire_core', current_user
        USING HINT = 'As an administrator: ALTER ROLE seatwire_core SET lock_timeout = ''2s''; and so statement_timeout = ''5s'', idle_in_transaction_session_timeout = ''10s''.';
END $$;
