DROP TABLE change_logs, approvals, strategy_versions, strategies, users, user_roles;
