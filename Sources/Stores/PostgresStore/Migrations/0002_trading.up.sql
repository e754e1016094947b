-- The trading desk's rows. No foreign keys: a copy is filled dataset by dataset, in any order.
CREATE TABLE accounts (
    account_id text COLLATE "C" PRIMARY KEY,
    status text COLLATE "C" NOT NULL,
    reason text COLLATE "C",
    changed_by text COLLATE "C",
    fill_cursor text COLLATE "C",
    updated_at timestamptz NOT NULL,
    opsd_sequence bigint NOT NULL
);

CREATE TABLE orders (
    order_id text COLLATE "C" PRIMARY KEY,
    account_id text COLLATE "C" NOT NULL,
    client_order_id text COLLATE "C",
    origin text COLLATE "C" NOT NULL CHECK (origin IN ('client', 'recovered')),
    symbol text COLLATE "C" NOT NULL,
    side text COLLATE "C" NOT NULL CHECK (side IN ('buy', 'sell')),
    type text COLLATE "C" NOT NULL CHECK (type IN ('market', 'limit', 'stop', 'stop_limit')),
    qty numeric NOT NULL,
    limit_price numeric,
    stop_price numeric,
    time_in_force text COLLATE "C" NOT NULL
        CHECK (time_in_force IN ('day', 'gtc', 'opg', 'cls', 'ioc', 'fok')),
    extended_hours boolean NOT NULL,
    status text COLLATE "C" NOT NULL CHECK (status IN (
        'pending', 'accepted', 'working', 'partially_filled', 'filled', 'cancelled', 'rejected',
        'expired', 'unknown')),
    saga_step text COLLATE "C" NOT NULL
        CHECK (saga_step IN ('submitting', 'submitted', 'completed', 'compensated')),
    compensation text COLLATE "C",
    broker_order_id text COLLATE "C",
    filled_qty numeric NOT NULL,
    filled_amount numeric NOT NULL,
    reserve_price numeric NOT NULL,
    cancel_requested boolean NOT NULL,
    reason text COLLATE "C",
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    opsd_sequence bigint NOT NULL,
    -- For people who read; what is exact is filled_amount.
    avg_fill_price numeric GENERATED ALWAYS AS (round(filled_amount / nullif(filled_qty, 0), 6)) STORED
);
CREATE INDEX ON orders (account_id, created_at);
CREATE INDEX ON orders (account_id, client_order_id) WHERE client_order_id IS NOT NULL;
CREATE INDEX ON orders (compensation) WHERE compensation IS NOT NULL;

CREATE TABLE trades (
    account_id text COLLATE "C" NOT NULL,
    deal_id text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    side text COLLATE "C" NOT NULL CHECK (side IN ('buy', 'sell')),
    qty numeric NOT NULL,
    price numeric NOT NULL,
    amount numeric NOT NULL,
    cumulative_qty numeric NOT NULL,
    executed_at timestamptz NOT NULL,
    opsd_sequence bigint NOT NULL,
    PRIMARY KEY (account_id, deal_id)
);
CREATE INDEX ON trades (account_id, executed_at);

CREATE TABLE positions (
    account_id text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    qty numeric NOT NULL,
    held_qty numeric NOT NULL,
    cost numeric NOT NULL,
    realized_pl numeric NOT NULL,
    updated_at timestamptz NOT NULL,
    opsd_sequence bigint NOT NULL,
    -- For people who read; what is exact is cost.
    avg_cost numeric GENERATED ALWAYS AS (round(cost / nullif(qty, 0), 6)) STORED,
    PRIMARY KEY (account_id, symbol)
);

CREATE TABLE cash_flows (
    account_id text COLLATE "C" NOT NULL,
    flow_id text COLLATE "C" NOT NULL,
    flow_type text COLLATE "C" NOT NULL
        CHECK (flow_type IN ('opening', 'deposit', 'withdraw', 'trade', 'fee')),
    amount numeric NOT NULL,
    balance numeric NOT NULL,
    order_id text COLLATE "C",
    created_at timestamptz NOT NULL,
    opsd_sequence bigint NOT NULL,
    PRIMARY KEY (account_id, flow_id)
);
CREATE INDEX ON cash_flows (account_id, created_at);
