public import Ledger

/// What was already in an account's cash and positions when it was taken over: every fill up to the
/// broker's last one of that moment. Such a fill must never be booked, whatever brings it up again.
public struct Opening: Entity {
    public let accountID: String
    public let lastFillID: String?
    /// By the broker's clock; nil when nothing had been filled.
    public let lastFillAt: Timestamp?
    public let openedAt: Timestamp

    public static var schema: Schema { Datasets.openings }

    public var row: Row {
        Row(
            dataset: "openings",
            values: [
                .text(accountID), .optional(lastFillID), .optional(lastFillAt),
                .timestamp(openedAt),
            ])
    }

    public init(row: Row) throws(RowError) {
        var fields = FieldReader(row, Self.schema)
        accountID = try fields.text()
        lastFillID = try fields.optionalText()
        lastFillAt = try fields.optionalTimestamp()
        openedAt = try fields.timestamp()
    }

    init(
        accountID: String, lastFillID: String?, lastFillAt: Timestamp?, openedAt: Timestamp
    ) {
        self.accountID = accountID
        self.lastFillID = lastFillID
        self.lastFillAt = lastFillAt
        self.openedAt = openedAt
    }
}
