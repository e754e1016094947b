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

    func collectPlaces(into result: inout [String: Place], under path: String) {
        switch content {
        case .scalar: break
        case .sequence(let items):
            for (index, item) in items.enumerated() {
                let path = "\(path)[\(item.ownName ?? String(index + 1))]"
                result[path] = item.place
                item.collectPlaces(into: &result, under: path)
            }
        case .mapping(let entries):
            for entry in entries {
                let path = path.isEmpty ? entry.key : "\(path).\(entry.key)"
                result[path] = entry.value.place
                entry.value.collectPlaces(into: &result, under: path)
            }
        }
    }

    /// What an item of a list calls itself.
    private var ownName: String? {
        guard case .mapping(let entries) = content,
            let entry = entries.first(where: { $0.key == "name" }),
            case .scalar(let name, _) = entry.value.content
        else { return nil }
        return name
    }

    var isEmpty: Bool {
        guard case .scalar(let text, isPlain: true) = content else { return false }
        return Self.emptyWords.contains(text)
    }

    private static let emptyWords: Set<String> = ["", "~", "null", "Null", "NULL"]
}
