DROP TABLE cash_flows, positions, trades, orders, accounts;
DELETE FROM opsd.digests
WHERE dataset IN ('accounts', 'orders', 'deals', 'positions', 'cash_flows');
DELETE FROM opsd.datasets
WHERE dataset IN ('accounts', 'orders', 'deals', 'positions', 'cash_flows');
