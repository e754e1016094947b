ALTER TABLE IF EXISTS positions
    DROP COLUMN last_price, DROP COLUMN unrealized_pl, DROP COLUMN market_value, DROP COLUMN side;
-- The rows are not those that were written any more: they are filled again.
DELETE FROM opsd.digests WHERE dataset = 'positions';
UPDATE opsd.datasets SET is_whole = false WHERE dataset = 'positions';
