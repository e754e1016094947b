/// What the files of the embedded default say. `key` makes a random credential with a prefix: the
/// embedded paper broker takes any, but no two installations share one.
enum EmbeddedDefaultText {
    static func configuration(loginName: String) -> String {
        """
        # Written by 'opsd run', because there was no configuration. Change it as you like: it is
        # never written again. Paths are relative to this file's folder.
        node: desk-1
        time_zone: UTC                 # of every schedule
        data_dir: .
        operators: [{name: \(loginName), role: admin}]

        listen:
          ops: 127.0.0.1:9464          # metrics, health, the operators' API
          trading: 127.0.0.1:8080      # REST and WebSocket

        secrets:                       # ${env:NAME}, ${file:PATH} and enc:v1:… are understood in any value
          key_file: ./secret.key
          jwt: ${file:./jwt.key}

        accounts:
          - accounts/master_accounts.yaml
          - accounts/trading_accounts.yaml
          - accounts/data_accounts.yaml
          - accounts/backup_accounts.yaml

        limits: {requests_per_second: 10000, account_requests_per_second: 100, connections: 2000, account_connections: 5, acquire_timeout: 30s}
        engine: {queue: 10000, workers: 20}
        journal: {roll_at: 256MB, keep: 30d}

        broker:
          kind: alpaca
          live: "https://api.alpaca.markets"
          paper: "http://127.0.0.1:8090"   # the embedded paper broker listens here
          requests_per_minute: 200

        services:
          core: {builtin: core}
          broker: {builtin: paper-broker, before: [core]}

        paper_broker:                  # what the embedded paper broker trades with
          symbols: {AAPL: 189.30, TSLA: 248.10, GOOGL: 170.45, MSFT: 415.25, AMZN: 181.20, NVDA: 122.60, META: 502.50, NFLX: 620.40}
          seed: 1                      # the same seed gives the same prices
          cash: 100000                 # of each account at its start
          requests_per_minute: 200000

        """
    }

    static func masters(_ key: (String) -> String) -> String {
        """
        # Funds, risk limits and settlement.
        master_accounts:
          - account_id: "MASTER_001"
            account_type: "master"
            status: "active"
            risk_profile:
              max_daily_loss: 50000.00
              max_position_size: 100000.00
              allowed_instruments: ["stocks", "options"]   # classes, or symbols such as AAPL
            linked_trading_accounts:
              - "TRADE_001"
              - "TRADE_002"
              - "TRADE_003"
        \(credentials(key))
        """
    }

    static func trading(_ key: (String) -> String) -> String {
        let accounts = ["TRADE_001", "TRADE_002", "TRADE_003"].map { id in
            """
              - account_id: "\(id)"
                account_type: "trading"
                master_account: "MASTER_001"
                status: "active"
                trading_config:
                  max_orders_per_minute: 60
                  max_concurrent_orders: 10
                  allowed_order_types: ["market", "limit", "stop", "stop_limit"]
                  extended_hours_trading: true
                connection_pool:
                  max_connections: 5
                  idle_timeout: 300
                  health_check_interval: 60
                priority: "\(id == "TRADE_001" ? "high" : "normal")"
            \(credentials(key))
            """
        }
        return "# Orders and positions.\ntrading_accounts:\n" + accounts.joined()
    }

    static func data(_ key: (String) -> String) -> String {
        """
        # Quotes, bars and trades of the market.
        data_accounts:
          - account_id: "DATA_001"
            account_type: "market_data"
            status: "active"
            data_sources:
              - "alpaca_real_time"
              - "alpaca_historical"
            rate_limits:
              quotes_per_second: 100
              bars_per_minute: 1000
            cache_config:
              ttl_seconds: 30
              max_symbols: 1000
        \(credentials(key))
        """
    }

    static func backups(_ key: (String) -> String) -> String {
        """
        # Take over when an account that they cover fails.
        backup_accounts:
          - account_id: "BACKUP_001"
            account_type: "backup"
            status: "active"
            covers: ["TRADE_001"]
        \(credentials(key))
        """
    }

    private static func credentials(_ key: (String) -> String) -> String {
        """
            alpaca_credentials:
              api_key: "\(key("PK"))"
              secret_key: "\(key("SK"))"
              paper_trading: true

        """
    }
}
