/// A password, key or token. Whatever prints, dumps or mirrors it shows `***`; the text itself comes
/// out of `reveal()` only, so that a search for that word finds every use.
public struct Secret: Sendable, Hashable {
    private let text: String

    public init(_ text: String) {
        self.text = text
    }

    /// The secret itself. Never hand it to a log, an error, a metric or an answer.
    public func reveal() -> String { text }

    public var isEmpty: Bool { text.isEmpty }
    /// Length in bytes, which is what the strength of a key is stated in.
    public var byteCount: Int { text.utf8.count }
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { "***" }
    public var debugDescription: String { "***" }
    /// No children: `dump` and reflection would otherwise read the private field.
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}
