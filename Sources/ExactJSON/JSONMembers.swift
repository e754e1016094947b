/// The members of a JSON object, in no order. Names are told apart by their bytes and not, as Swift's
/// strings are, by how they look: two spellings of one accented letter are two names.
public struct JSONMembers: Sendable, Equatable {
    fileprivate struct Name: Sendable, Hashable {
        let text: String

        static func == (left: Name, right: Name) -> Bool {
            left.text.utf8.elementsEqual(right.text.utf8)
        }

        func hash(into hasher: inout Hasher) {
            var text = text
            text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        }
    }

    private var values: [Name: JSONValue] = [:]

    public init() {}

    public subscript(name: String) -> JSONValue? { values[Name(text: name)] }

    /// False when there is a member of that name; it stays.
    public mutating func insert(_ value: JSONValue, as name: String) -> Bool {
        if values[Name(text: name)] != nil { return false }
        values[Name(text: name)] = value
        return true
    }

    public var keys: [String] { values.keys.map(\.text) }
}

extension JSONMembers: Sequence {
    public func makeIterator() -> AnyIterator<(key: String, value: JSONValue)> {
        var members = values.makeIterator()
        return AnyIterator { members.next().map { ($0.key.text, $0.value) } }
    }
}
