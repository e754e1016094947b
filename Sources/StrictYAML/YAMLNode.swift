/// A parsed document's tree, free of the parser's own types. Made by `YAMLDocument` only, which has
/// refused everything that this tree cannot say: aliases, tags, keys that are not text.
struct YAMLNode: Sendable {
    struct Entry: Sendable {
        let key: String
        let place: Place
        let value: YAMLNode
    }

    enum Content: Sendable {
        /// `isPlain` means written without quotes.
        case scalar(String, isPlain: Bool)
        case sequence([YAMLNode])
        case mapping([Entry])
    }

    let place: Place
    let content: Content

    /// What a message calls this kind of value.
    var kind: String {
        switch content {
        case .scalar(let text, let isPlain):
            isPlain && YAMLNode.emptyWords.contains(text) ? "empty" : "a single value"
        case .sequence: "a list"
        case .mapping: "a mapping"
        }
    }

    var isEmpty: Bool {
        guard case .scalar(let text, isPlain: true) = content else { return false }
        return Self.emptyWords.contains(text)
    }

    private static let emptyWords: Set<String> = ["", "~", "null", "Null", "NULL"]
}
