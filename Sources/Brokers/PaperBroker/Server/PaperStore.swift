import GRDB
import Ledger

/// The broker's own file: every order and fill there ever was, and each account's cash and
/// positions.
///
/// WAL with synchronous=FULL: what a transaction wrote is there after `kill -9` or a power cut.
struct PaperStore {
    let database: DatabaseQueue

    init(path: String) throws {
        var configuration = Configuration()
        configuration.journalMode = .wal
        configuration.label = "paper-broker"
        database = try DatabaseQueue(path: path, configuration: configuration)
        try database.writeWithoutTransaction { database in
            // After GRDB has set up WAL, because it chooses NORMAL then, which may lose the last
            // transactions in a power cut.
            try database.execute(sql: "PRAGMA synchronous = FULL")
            guard try Int.fetchOne(database, sql: "PRAGMA synchronous") == 2 else {
                throw PaperBrokerError(description: "SQLite does not take synchronous=FULL")
            }
            try database.execute(sql: Self.schema)
            try Self.takeKeysOut(of: database)
        }
    }

    /// Version 0 called each account by its key. The file is written anew, because SQLite leaves the
    /// old bytes in it.
    private static func takeKeysOut(of database: Database) throws {
        guard try Int.fetchOne(database, sql: "PRAGMA user_version") == 0 else { return }
        let keys = try String.fetchAll(database, sql: "SELECT id FROM accounts")
        try database.inTransaction {
            for key in keys {
                let id = PaperAccountID.of(keyID: key)
                try database.execute(
                    sql: "UPDATE accounts SET id = ? WHERE id = ?", arguments: [id, key])
                for table in ["positions", "orders", "fills"] {
                    try database.execute(
                        sql: "UPDATE \(table) SET account = ? WHERE account = ?",
                        arguments: [id, key])
                }
            }
            try database.execute(sql: "PRAGMA user_version = 1")
            return .commit
        }
        if keys.isEmpty { return }
        try database.execute(sql: "VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")
    }

    private static let schema = """
        CREATE TABLE IF NOT EXISTS accounts (id TEXT PRIMARY KEY, cash TEXT NOT NULL) STRICT;
        CREATE TABLE IF NOT EXISTS positions (
            account TEXT NOT NULL, symbol TEXT NOT NULL, quantity TEXT NOT NULL,
            cost_basis TEXT NOT NULL, PRIMARY KEY (account, symbol)) STRICT;
        CREATE TABLE IF NOT EXISTS orders (
            sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, client_order_id TEXT NOT NULL,
            account TEXT NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL, type TEXT NOT NULL,
            quantity TEXT NOT NULL, limit_price TEXT, stop_price TEXT,
            time_in_force TEXT NOT NULL, extended_hours INTEGER NOT NULL, status TEXT NOT NULL,
            filled_quantity TEXT NOT NULL, filled_cost TEXT NOT NULL, reserve_price TEXT NOT NULL,
            is_triggered INTEGER NOT NULL, submitted_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL, filled_at INTEGER, canceled_at INTEGER,
            replaced_at INTEGER, replaced_by TEXT, replaces TEXT) STRICT;
        CREATE UNIQUE INDEX IF NOT EXISTS orders_client ON orders (account, client_order_id);
        CREATE INDEX IF NOT EXISTS orders_submitted ON orders (account, submitted_at, sequence);
        CREATE INDEX IF NOT EXISTS orders_open ON orders (account, submitted_at, sequence)
            WHERE status IN ('new', 'partially_filled');
        CREATE TABLE IF NOT EXISTS fills (
            sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, account TEXT NOT NULL,
            order_id TEXT NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL,
            quantity TEXT NOT NULL, price TEXT NOT NULL, cumulative_quantity TEXT NOT NULL,
            leaves_quantity TEXT NOT NULL, order_status TEXT NOT NULL, time INTEGER NOT NULL
            ) STRICT;
        CREATE INDEX IF NOT EXISTS fills_account ON fills (account, sequence);
        """

    /// The engine as the file has it. Accounts that are new to the file get their first cash.
    func loadEngine(
        _ configuration: PaperBrokerConfiguration, quotes: [String: PaperQuote] = [:]
    ) throws -> MatchingEngine {
        try database.write { database in
            let ledger = PaperLedger(database: database)
            for account in configuration.accounts {
                try database.execute(
                    sql: "INSERT OR IGNORE INTO accounts (id, cash) VALUES (?, ?)",
                    arguments: [account.id, account.initialCash.description])
            }
            let orders = try Int64.fetchOne(database, sql: "SELECT MAX(sequence) FROM orders") ?? 0
            let fills = try Int64.fetchOne(database, sql: "SELECT MAX(sequence) FROM fills") ?? 0
            return try MatchingEngine(
                accounts: try ledger.accounts(), openOrders: try ledger.allOpenOrders(),
                quotes: quotes,
                // Another stream of chance after each start, yet the same in each repetition.
                seed: configuration.seed &+ UInt64(orders) &* 31,
                partialFillOneIn: configuration.partialFillOneIn,
                nextOrderSequence: orders + 1, nextFillSequence: fills + 1)
        }
    }
}
