/// How a dataset lies in the database, where that is not told by its schema.
public struct PostgresLayout: Sendable, Hashable {
    /// `table` or `schema.table`; the dataset's name when nil, but `trades` for `deals`.
    public var table: String?
    /// The column of a field, where it is named otherwise.
    public var columns: [String: String]

    public init(table: String? = nil, columns: [String: String] = [:]) {
        self.table = table
        self.columns = columns
    }

    static let tables = ["deals": "trades"]

    /// What the migrations make, and the dataset that each table is for; "" for people's own.
    static let migrated = [
        "accounts": "accounts", "orders": "orders", "trades": "deals", "positions": "positions",
        "cash_flows": "cash_flows", "user_roles": "", "users": "", "strategies": "",
        "strategy_versions": "", "approvals": "", "change_logs": "", "audit_logs": "",
    ]

    /// Where a dataset lies, as `schema.table`.
    public func place(of dataset: String) -> String {
        let table = table ?? Self.tables[dataset] ?? dataset
        return table.contains(".") ? table : "public." + table
    }

    /// Why a dataset cannot lie there: the migrations make the table, for something else. Nil when it can.
    public func problem(of dataset: String) -> String? {
        let parts = place(of: dataset).split(separator: ".", maxSplits: 1)
        guard parts.count == 2, parts[0] == "public" else { return nil }
        let table = parts[1]
        // A partition a month, as audit_logs_2026_11.
        let isPart =
            table.hasPrefix("audit_logs_")
            && table.dropFirst("audit_logs_".count).allSatisfy { $0.isNumber || $0 == "_" }
        guard let user = isPart ? "" : Self.migrated[String(table)], user != dataset else {
            return nil
        }
        return "opsd makes the table \(table) for "
            + (user.isEmpty ? "another purpose" : "the dataset \(user)")
    }
}

/// An identifier in SQL, whatever characters it is made of.
func quoted(_ name: String) -> String {
    "\"" + name.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"")
        + "\""
}
