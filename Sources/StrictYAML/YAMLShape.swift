public import Ledger

/// What a reader accepts. It is recorded by letting the reader itself run over a value that answers
/// every question, so that it says what the reader does and cannot drift from it.
///
/// A reader that is to be recorded asks for all its keys before it gives up on one of them.
public final class YAMLShape {
    public enum Kind {
        case text
        case integer(ClosedRange<Int>)
        case decimal(least: ExactDecimal?)
        case boolean
        case duration
        case byteSize
        /// A share such as `10%`, or a size.
        case margin
        case timestamp
        case choice([String])
        case address
        case url(schemes: [String])
        case list(YAMLShape)
        /// Keys are names that the author chooses.
        case names(YAMLShape)
        /// Keys are those of `keys`.
        case mapping
    }

    public struct Key {
        public let name: String
        public let shape: YAMLShape
        public internal(set) var isRequired: Bool
    }

    public internal(set) var kinds: [Kind] = []
    /// In the order in which the reader asks.
    public internal(set) var keys: [Key] = []
    /// Keys of which exactly one is written.
    public internal(set) var alternatives: [[String]] = []

    init() {}

    /// The shape of what `read` reads.
    public static func of(_ read: (YAMLValue) -> Void) -> YAMLShape {
        let shape = YAMLShape()
        read(
            YAMLValue(
                node: .placeholder, name: "the document", findings: Findings(),
                expansion: Expansion(environment: { _ in nil }, folder: ""), shape: shape))
        return shape
    }

    /// Every key path: `listen.ops`, `services.*.restart.policy`, `checks[].period`.
    public var paths: [String] {
        var result: [String] = []
        collect(into: &result, under: "")
        return result
    }

    private func collect(into result: inout [String], under path: String) {
        for key in keys {
            let path = path.isEmpty ? key.name : path + "." + key.name
            result.append(path)
            key.shape.collect(into: &result, under: path)
        }
        for kind in kinds {
            switch kind {
            case .list(let item): item.collect(into: &result, under: path + "[]")
            case .names(let item): item.collect(into: &result, under: path + ".*")
            default: break
            }
        }
    }

    func key(_ name: String, isRequired: Bool) -> YAMLShape {
        if let index = keys.firstIndex(where: { $0.name == name }) {
            keys[index].isRequired = keys[index].isRequired || isRequired
            return keys[index].shape
        }
        let shape = YAMLShape()
        keys.append(Key(name: name, shape: shape, isRequired: isRequired))
        return shape
    }
}

extension YAMLNode {
    /// Stands for every value while a shape is being recorded.
    static let placeholder = YAMLNode(
        place: Place(file: "", line: 1, column: 1), content: .scalar("", isPlain: true))
}
