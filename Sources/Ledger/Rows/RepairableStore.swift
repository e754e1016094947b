/// A copy whose rows can be put right one by one, and put back as they were found.
///
/// What lies in the place of a row need not be a row. So what is replaced is kept as an image, in the
/// store's own form, and an image is also what tells whether anybody has been there meanwhile.
public protocol RepairableStore: ScannableStore {
    /// What lies in the places of some rows of one dataset and of their stamps, exactly, in their order.
    /// Changes nothing.
    func images(_ keys: [RowKey]) async throws(StoreError) -> [RowImage]

    /// Replaces what lies in the places of some rows of one dataset, where that still is what was expected;
    /// whoever writes there at the same time comes before or after, never between. Neither the applied
    /// sequence nor the digests of the store change.
    /// - Returns: in their order, what lies there then; nil where something else lay there than expected,
    ///   which stays. Where it throws each of them may have been replaced or not: their images tell.
    func replace(_ replacements: [RowReplacement]) async throws(StoreError) -> [RowImage?]
}

/// What lies in the place of a row: a value of the store's own, of which others know only whether two are
/// the same. Bytes that outlive the process.
public struct RowImage: Sendable, Hashable {
    public let bytes: [UInt8]

    public init(bytes: [UInt8]) {
        self.bytes = bytes
    }
}

/// What is to lie in the place of a row, and what must lie there for that.
public struct RowReplacement: Sendable {
    public enum Content: Sendable {
        /// The row under its stamp, as `apply` puts it.
        case row(StampedRow)
        /// Neither row nor stamp.
        case nothing
        /// What lay there once, byte for byte.
        case image(RowImage)
    }

    public let key: RowKey
    public let expected: RowImage
    public let content: Content

    public init(key: RowKey, expected: RowImage, content: Content) {
        self.key = key
        self.expected = expected
        self.content = content
    }
}
