import GRDB
import Ledger

/// What the broker reads and writes within one transaction.
struct PaperLedger {
    let database: Database

    // MARK: Writing

    func write(_ effects: MatchingEngine.Effects, _ engine: MatchingEngine) throws {
        for order in effects.orders { try write(order) }
        for fill in effects.fills {
            try write(fill)
            guard let account = engine.accounts[fill.account] else { continue }
            try write(account, symbol: fill.symbol)
        }
    }

    private func write(_ order: PaperOrder) throws {
        let statement = try database.cachedStatement(
            sql: """
                INSERT INTO orders VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
                ON CONFLICT (sequence) DO UPDATE SET status = excluded.status,
                    filled_quantity = excluded.filled_quantity,
                    filled_cost = excluded.filled_cost, is_triggered = excluded.is_triggered,
                    updated_at = excluded.updated_at, filled_at = excluded.filled_at,
                    canceled_at = excluded.canceled_at, replaced_at = excluded.replaced_at,
                    replaced_by = excluded.replaced_by
                """)
        let terms = order.terms
        try statement.execute(arguments: [
            order.sequence, order.id, order.clientOrderID, order.account, terms.symbol,
            terms.side.rawValue, terms.type.rawValue, terms.quantity.description,
            terms.limitPrice?.description, terms.stopPrice?.description,
            terms.timeInForce.rawValue, terms.extendedHours, order.status.rawValue,
            order.filledQuantity.description, order.filledCost.description,
            order.reservePrice.description, order.isTriggered, order.submittedAt.microseconds,
            order.updatedAt.microseconds, order.filledAt?.microseconds,
            order.canceledAt?.microseconds, order.replacedAt?.microseconds, order.replacedBy,
            order.replaces,
        ])
    }

    private func write(_ fill: PaperFill) throws {
        let statement = try database.cachedStatement(
            sql: "INSERT INTO fills VALUES (?,?,?,?,?,?,?,?,?,?,?,?)")
        try statement.execute(arguments: [
            fill.sequence, fill.id, fill.account, fill.orderID, fill.symbol, fill.side.rawValue,
            fill.quantity.description, fill.price.description, fill.cumulativeQuantity.description,
            fill.leavesQuantity.description, fill.orderStatus.rawValue, fill.time.microseconds,
        ])
    }

    private func write(_ account: PaperAccount, symbol: String) throws {
        try database.cachedStatement(sql: "UPDATE accounts SET cash = ? WHERE id = ?")
            .execute(arguments: [account.cash.description, account.id])
        guard let position = account.positions[symbol] else {
            try database.cachedStatement(
                sql: "DELETE FROM positions WHERE account = ? AND symbol = ?"
            ).execute(arguments: [account.id, symbol])
            return
        }
        try database.cachedStatement(sql: "INSERT OR REPLACE INTO positions VALUES (?,?,?,?)")
            .execute(arguments: [
                account.id, symbol, position.quantity.description,
                position.costBasis.description,
            ])
    }

    // MARK: Reading

    func hasClientOrderID(_ id: String, account: String) throws -> Bool {
        let statement = try database.cachedStatement(
            sql: "SELECT 1 FROM orders WHERE account = ? AND client_order_id = ?")
        return try Int.fetchOne(statement, arguments: [account, id]) != nil
    }

    func order(id: String, account: String) throws -> PaperOrder? {
        let statement = try database.cachedStatement(
            sql: "SELECT * FROM orders WHERE id = ? AND account = ?")
        return try GRDB.Row.fetchOne(statement, arguments: [id, account]).map(Self.order)
    }

    func order(clientOrderID: String, account: String) throws -> PaperOrder? {
        let statement = try database.cachedStatement(
            sql: "SELECT * FROM orders WHERE account = ? AND client_order_id = ?")
        return try GRDB.Row.fetchOne(statement, arguments: [account, clientOrderID]).map(Self.order)
    }

    func orders(_ query: OrderQuery, account: String) throws -> [PaperOrder] {
        var sql = "SELECT * FROM orders WHERE account = ?"
        var arguments: StatementArguments = [account]
        switch query.status {
        case .open: sql += " AND status IN ('new', 'partially_filled')"
        case .closed: sql += " AND status NOT IN ('new', 'partially_filled')"
        case .all: break
        }
        if let after = query.after {
            sql += " AND submitted_at > ?"
            arguments += [after.microseconds]
        }
        if let until = query.until {
            sql += " AND submitted_at < ?"
            arguments += [until.microseconds]
        }
        if let side = query.side {
            sql += " AND side = ?"
            arguments += [side.rawValue]
        }
        if !query.symbols.isEmpty {
            let marks = query.symbols.map { _ in "?" }.joined(separator: ",")
            sql += " AND symbol IN (\(marks))"
            arguments += StatementArguments(query.symbols)
        }
        let direction = query.isAscending ? "ASC" : "DESC"
        sql += " ORDER BY submitted_at \(direction), sequence \(direction) LIMIT ?"
        arguments += [query.limit]
        return try GRDB.Row.fetchAll(database, sql: sql, arguments: arguments).map(Self.order)
    }

    func fills(_ query: FillQuery, account: String) throws -> [PaperFill] {
        var sql = "SELECT * FROM fills WHERE account = ?"
        var arguments: StatementArguments = [account]
        if let token = query.pageToken {
            let sequence = try Int64.fetchOne(
                database, sql: "SELECT sequence FROM fills WHERE id = ? AND account = ?",
                arguments: [token, account])
            guard let sequence else { throw PaperRefusal.parameter("page_token is not known") }
            sql += query.isAscending ? " AND sequence > ?" : " AND sequence < ?"
            arguments += [sequence]
        }
        if let after = query.after {
            sql += " AND time > ?"
            arguments += [after.microseconds]
        }
        if let until = query.until {
            sql += " AND time < ?"
            arguments += [until.microseconds]
        }
        sql += " ORDER BY sequence \(query.isAscending ? "ASC" : "DESC") LIMIT ?"
        arguments += [query.pageSize]
        return try GRDB.Row.fetchAll(database, sql: sql, arguments: arguments).map(Self.fill)
    }

    func accounts() throws -> [PaperAccount] {
        var accounts: [String: PaperAccount] = [:]
        for row in try GRDB.Row.fetchAll(database, sql: "SELECT * FROM accounts") {
            let reader = RowReader(row: row)
            let id = try reader.text("id")
            accounts[id] = PaperAccount(id: id, cash: try reader.decimal("cash"))
        }
        for row in try GRDB.Row.fetchAll(database, sql: "SELECT * FROM positions") {
            let reader = RowReader(row: row)
            accounts[try reader.text("account")]?.positions[try reader.text("symbol")] =
                PaperPosition(
                    quantity: try reader.decimal("quantity"),
                    costBasis: try reader.decimal("cost_basis"))
        }
        return Array(accounts.values)
    }

    func allOpenOrders() throws -> [PaperOrder] {
        try GRDB.Row.fetchAll(
            database, sql: "SELECT * FROM orders WHERE status IN ('new', 'partially_filled')"
        ).map(Self.order)
    }

    private static func order(_ row: GRDB.Row) throws -> PaperOrder {
        let reader = RowReader(row: row)
        let terms = PaperTerms(
            symbol: try reader.text("symbol"), side: try reader.word("side"),
            type: try reader.word("type"), quantity: try reader.decimal("quantity"),
            limitPrice: try reader.optionalDecimal("limit_price"),
            stopPrice: try reader.optionalDecimal("stop_price"),
            timeInForce: try reader.word("time_in_force"), extendedHours: row["extended_hours"])
        return PaperOrder(
            id: try reader.text("id"), clientOrderID: try reader.text("client_order_id"),
            account: try reader.text("account"), sequence: row["sequence"], terms: terms,
            status: try reader.word("status"),
            filledQuantity: try reader.decimal("filled_quantity"),
            filledCost: try reader.decimal("filled_cost"),
            reservePrice: try reader.decimal("reserve_price"), isTriggered: row["is_triggered"],
            submittedAt: Timestamp(microseconds: row["submitted_at"]),
            updatedAt: Timestamp(microseconds: row["updated_at"]),
            filledAt: reader.time("filled_at"), canceledAt: reader.time("canceled_at"),
            replacedAt: reader.time("replaced_at"), replacedBy: row["replaced_by"],
            replaces: row["replaces"])
    }

    private static func fill(_ row: GRDB.Row) throws -> PaperFill {
        let reader = RowReader(row: row)
        return PaperFill(
            sequence: row["sequence"], id: try reader.text("id"),
            account: try reader.text("account"), orderID: try reader.text("order_id"),
            symbol: try reader.text("symbol"), side: try reader.word("side"),
            quantity: try reader.decimal("quantity"), price: try reader.decimal("price"),
            cumulativeQuantity: try reader.decimal("cumulative_quantity"),
            leavesQuantity: try reader.decimal("leaves_quantity"),
            orderStatus: try reader.word("order_status"),
            time: Timestamp(microseconds: row["time"]))
    }
}

/// Reads columns, and throws where a file does not hold what this program writes.
private struct RowReader {
    let row: GRDB.Row

    func text(_ column: String) throws -> String {
        guard let text = row[column] as String? else { throw failure(column) }
        return text
    }

    func decimal(_ column: String) throws -> ExactDecimal {
        guard let value = ExactDecimal(try text(column)) else { throw failure(column) }
        return value
    }

    func optionalDecimal(_ column: String) throws -> ExactDecimal? {
        row[column] as String? == nil ? nil : try decimal(column)
    }

    func word<Word: RawRepresentable>(_ column: String) throws -> Word
    where Word.RawValue == String {
        guard let word = Word(rawValue: try text(column)) else { throw failure(column) }
        return word
    }

    func time(_ column: String) -> Timestamp? {
        (row[column] as Int64?).map { Timestamp(microseconds: $0) }
    }

    private func failure(_ column: String) -> PaperBrokerError {
        PaperBrokerError(description: "the data file's column \(column) does not read")
    }
}

struct OrderQuery: Sendable {
    enum Status: String, Sendable { case open, closed, all }
    var status = Status.open
    var limit = 50
    var after: Timestamp?
    var until: Timestamp?
    var isAscending = false
    var symbols: [String] = []
    var side: PaperSide?
}

struct FillQuery: Sendable {
    var after: Timestamp?
    var until: Timestamp?
    var isAscending = false
    var pageSize = 100
    var pageToken: String?
}
