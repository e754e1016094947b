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
}

/// An identifier in SQL, whatever characters it is made of.
func quoted(_ name: String) -> String {
    "\"" + name.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"")
        + "\""
}
