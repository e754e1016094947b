-- What is held as the market has it. Null in rows of before.
ALTER TABLE IF EXISTS positions
    ADD COLUMN side text COLLATE "C" CHECK (side IN ('long', 'short', 'flat')),
    ADD COLUMN market_value numeric,
    ADD COLUMN unrealized_pl numeric,
    -- For people who read; what is exact is market_value.
    ADD COLUMN last_price numeric GENERATED ALWAYS AS (round(market_value / nullif(qty, 0), 6)) STORED;
