public import Ledger

/// How the rows of one dataset lie in Redis: which key, which field of it, and in what spelling.
///
///     key "acc:positions:{account_id}", field "{symbol}", value .json     a hash an account, a field a row
///     key "market:quote:stock:{symbol}", value .hash                      a hash a row, a field a field
///     key "opsd:accounts:{account_id}", value .json                       a string a row
///
/// What a layout does not show lies with the row's stamp, beside the data, so that no field is lost.
public struct RedisLayout: Sendable {
    public enum Value: Sendable, Hashable {
        /// A JSON object of the shown fields.
        case json
        /// A hash a row, with a field for each shown field; null is `None`, as Python writes it.
        case hash
        /// The text of this one field; null is `None`.
        case text(String)
    }

    public let schema: Schema
    /// A template over key fields, and over other fields that are never null.
    public let key: String
    /// Where a key holds many rows: the template of a row's field.
    public let field: String?
    public let value: Value
    /// The shown fields and the names they have for other programs.
    public let fields: [String: String]
    /// When a key vanishes after it was last written; nil: never.
    public let timeToLive: Duration?
    let coding: RowCoding

    /// - Parameters:
    ///   - fields: the row's fields that are shown, with the names they have there. Nil: every field
    ///     that is not in the key, by its own name.
    ///   - timeToLive: for caches only, since everything else is kept.
    public init(
        _ schema: Schema, key: String, field: String? = nil, value: Value = .json,
        fields: [String: String]? = nil, timeToLive: Duration? = nil
    ) throws(RedisLayoutError) {
        self.schema = schema
        self.key = key
        self.field = field
        self.value = value
        self.timeToLive = timeToLive
        let problem = { (text: String) in RedisLayoutError(dataset: schema.dataset, problem: text) }
        let keyTemplate: KeyTemplate
        let fieldTemplate: KeyTemplate?
        do throws(KeyTemplateError) {
            keyTemplate = try KeyTemplate(key, reserved: ":")
            fieldTemplate = try field.map { text throws(KeyTemplateError) in
                try KeyTemplate(text, reserved: "")
            }
        } catch {
            throw problem(error.description)
        }
        let named = keyTemplate.fields + (fieldTemplate?.fields ?? [])
        for name in named {
            guard let index = schema.index(of: name) else {
                throw problem("there is no field '\(name)' to put into the key")
            }
            guard !schema.fields[index].isOptional else {
                throw problem("'\(name)' may be null, and cannot be in the key")
            }
        }
        guard Set(named).count == named.count else {
            throw problem("a field stands twice in key and field")
        }
        for field in schema.keyFields where !named.contains(field.name) {
            throw problem("the key field '\(field.name)' is neither in key nor in field")
        }
        guard !schema.dataset.contains(":") else {
            throw problem("a dataset in Redis has no colon in its name")
        }
        for name in fieldTemplate?.fields ?? []
        where (schema.index(of: name) ?? 0) >= schema.keyCount {
            throw problem("'\(name)' in field is no key field: put it into key, or leave it out")
        }
        for own in ["opsd:v:", "opsd:k:"] where key.hasPrefix(own) {
            throw problem("keys that begin with \(own) are opsd's own")
        }
        guard !["opsd:store", "opsd:digests", EventRecord.key].contains(key) else {
            throw problem("the key \(key) is opsd's own")
        }
        guard !keyTemplate.fields.isEmpty || fieldTemplate != nil else {
            throw problem("the key '\(key)' has a place for one row only")
        }
        guard fieldTemplate?.fields.isEmpty != true else {
            throw problem("the field '\(field ?? "")' has a place for one row only")
        }
        if case .hash = value, fieldTemplate != nil {
            throw problem("with value hash a row has a key of its own: leave field out")
        }
        if let timeToLive {
            guard schema.kind == .cache else {
                throw problem("a \(schema.kind.rawValue) is kept: only a cache has a time to live")
            }
            guard timeToLive >= .milliseconds(1) else { throw problem("its time to live is none") }
            guard keyTemplate.fields.allSatisfy({ (schema.index(of: $0) ?? 0) < schema.keyCount })
            else { throw problem("with a time to live the key has key fields only") }
        }
        let others = schema.fields.map(\.name).filter { !named.contains($0) }
        self.fields = try Self.shown(fields, value, others: others, problem)
        coding = RowCoding(
            schema: schema, key: keyTemplate, field: fieldTemplate, value: value,
            names: self.fields, timeToLive: timeToLive)
    }

    private static func shown(
        _ fields: [String: String]?, _ value: Value, others: [String],
        _ problem: (String) -> RedisLayoutError
    ) throws(RedisLayoutError) -> [String: String] {
        var shown = fields ?? Dictionary(uniqueKeysWithValues: others.map { ($0, $0) })
        if case .text(let name) = value {
            guard others.contains(name) else {
                throw problem("there is no field '\(name)' outside the key for the text")
            }
            guard fields == nil else {
                throw problem("value text shows one field: leave fields out")
            }
            shown = [name: name]
        }
        for name in shown.keys.sorted() where !others.contains(name) {
            throw problem("'\(name)' in fields is in the key, or no field at all")
        }
        guard Set(shown.values).count == shown.count else {
            throw problem("two fields are shown under one name")
        }
        guard value != .hash || !shown.isEmpty else {
            throw problem("a hash needs a field that is shown")
        }
        return shown
    }

    /// Whether one key could belong to both.
    public func overlaps(_ other: RedisLayout) -> Bool {
        let (mine, theirs) = (key.split(separator: ":"), other.key.split(separator: ":"))
        return mine.count == theirs.count
            && zip(mine, theirs).allSatisfy { one, two in
                one == two || one.contains("{") || two.contains("{")
            }
    }
}

/// A layout that cannot hold the rows of its dataset, and why.
public struct RedisLayoutError: Error, Equatable, CustomStringConvertible {
    public let dataset: String
    public let problem: String

    public var description: String { "layout of \(dataset): \(problem)" }
}
