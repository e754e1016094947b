/// How a dataset lies in a SQLite database, where that is not told by its schema.
public struct SQLiteLayout: Sendable, Hashable {
    /// The dataset's name when nil.
    public var table: String?
    /// The column of a field, where it is named otherwise.
    public var columns: [String: String]

    public init(table: String? = nil, columns: [String: String] = [:]) {
        self.table = table
        self.columns = columns
    }
}
