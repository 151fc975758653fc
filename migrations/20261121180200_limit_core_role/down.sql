-- The limits are of the server's role, which this database did not make: they stay.
SELECT 1;
