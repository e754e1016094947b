public import Ledger

/// How one dataset's rows lie in files: which file a row is in, and what stands there.
///
/// - JSON: an object, a member a row: the row's rest of the key → an object of the shown fields, or one
///   field's value alone. Where the path names the whole key, the file is the object of one row.
/// - CSV: a line of names, then a line a row: the key fields that the path does not name, then the shown
///   fields; lines in the order of their keys.
public struct FileLayout: Sendable, Hashable {
    public enum Format: String, Sendable, Hashable, CaseIterable {
        case json, csv
    }

    public enum Content: Sendable, Hashable {
        /// The shown fields by name.
        case object
        /// This field's value alone; JSON only.
        case value(String)
    }

    /// A field that is written, and its name there.
    struct Shown: Sendable, Hashable {
        let index: Int
        let field: Field
        let name: String
    }

    let schema: Schema
    let path: KeyTemplate
    /// As names were written in the first spelling; nil where that wrote the same ones.
    let earlierPath: KeyTemplate?
    public var pathText: String { path.description }
    let format: Format
    let content: Content
    /// Names of fields of the path, and where they stand in the row.
    let pathFields: [String: Int]
    /// Key fields that the path does not name: they name a row within its file.
    let entryFields: [Int]
    let entry: KeyTemplate?
    let shown: [Shown]
    /// What is neither in the path, the entry nor shown: it lies with the stamps.
    let hidden: [Int]
    /// Members of a JSON file that are no rows: other programs' own, kept as they lie.
    private(set) var ignored: Set<String>
    /// A row that has one of these names is called otherwise there: each row has a place.
    private let namesOfEntries: [String: String]
    private let entriesOfNames: [String: String]
    /// What tells the layout from another one of the dataset: the path, a line's end, the rest. A field
    /// that is declared later does not change it.
    let identity: String

    /// - Parameters:
    ///   - path: relative to the store, as `{account_id}/held_days.json`. It may name fields that are no
    ///     part of the key, if they never change.
    ///   - fields: which fields are shown, by the name that they have there. Empty: all, by their own.
    ///   - ignored: members of a JSON file of many rows that are none.
    public init(
        schema: Schema, path: String, format: Format = .json, content: Content = .object,
        fields: [String: String] = [:], ignored: Set<String> = []
    ) throws(FileLayoutError) {
        self.schema = schema
        self.format = format
        self.content = content
        do {
            self.path = try KeyTemplate(path, reserved: "/", reservedFirst: ".")
        } catch {
            throw FileLayoutError(problem: error.description)
        }
        try Self.check(path)
        try Self.checkLengths(self.path, schema)
        earlierPath = Self.earlier(self.path)
        var pathFields: [String: Int] = [:]
        for name in self.path.fields {
            guard let index = schema.index(of: name) else {
                throw FileLayoutError(problem: "\(schema.dataset) has no field '\(name)'")
            }
            pathFields[name] = index
        }
        self.pathFields = pathFields
        let inPath = Set(pathFields.values)
        entryFields = (0..<schema.keyCount).filter { !inPath.contains($0) }
        let entryText = entryFields.map { "{\(schema.fields[$0].name)}" }.joined(separator: ":")
        entry = entryText.isEmpty ? nil : try? KeyTemplate(entryText, reserved: ":")
        let named = Set(inPath).union(entryFields)
        self.ignored = ignored
        entriesOfNames = Self.entries(of: ignored, entry, schema)
        namesOfEntries = Dictionary(
            entriesOfNames.map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        shown = try Self.shown(schema, content, fields, besides: named)
        // A column of a CSV file is known by its name alone.
        let keyNames = format == .csv ? entryFields.map { schema.fields[$0].name } : []
        if let name = shown.map(\.name).first(where: keyNames.contains) {
            throw FileLayoutError(
                problem: "the column '\(name)' of \(schema.dataset) would have two uses")
        }
        let visible = named.union(shown.map(\.index))
        hidden = schema.fields.indices.filter { !visible.contains($0) }
        let names = fields.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        identity = "\(path)\n\(format.rawValue) \(content) \(names.joined(separator: ","))"
        if format == .csv, content != .object || entry == nil {
            throw FileLayoutError(
                problem:
                    "a CSV file has columns and many rows: leave the value out, and a key field out "
                    + "of the path")
        }
        if !ignored.isEmpty, format == .csv || entry == nil {
            throw FileLayoutError(
                problem: "only a JSON file of many rows has members to ignore: leave them out")
        }
        if let name = ignored.first(where: { $0.isEmpty || $0.hasPrefix("%") }) {
            throw FileLayoutError(
                problem: "'\(name)' is how a row may be called, and cannot be ignored")
        }
    }

    /// How rows are called whose own names are taken: letter by letter as `%` and two digits, which no
    /// template writes of such a name.
    private static func entries(
        of names: Set<String>, _ entry: KeyTemplate?, _ schema: Schema
    ) -> [String: String] {
        var entries: [String: String] = [:]
        for name in names where entry?.parsed(name).flatMap({ values(of: $0, schema) }) != nil {
            entries[name] = name.utf8.map { byte in
                let digits = String(byte, radix: 16, uppercase: true)
                return "%" + (byte < 0x10 ? "0" : "") + digits
            }.joined()
        }
        return entries
    }

    /// A dataset that nobody described: a file an account, or one file.
    public init(schema: Schema) throws(FileLayoutError) {
        let folder = schema.accountField.map { "{\(schema.fields[$0].name)}/" } ?? ""
        try self.init(schema: schema, path: folder + schema.dataset + ".json")
    }

    /// Where the files of an earlier layout are, by its identity; nil when no file can have been.
    func earlier(_ identity: String) -> FileLayout? {
        var layout = try? FileLayout(schema: schema, path: String(identity.prefix { $0 != "\n" }))
        layout?.ignored = ignored
        return layout
    }

    private static func check(_ path: String) throws(FileLayoutError) {
        let components = path.split(separator: "/", omittingEmptySubsequences: false)
        guard components.allSatisfy({ !$0.isEmpty && !$0.hasPrefix(".") }) else {
            throw FileLayoutError(
                problem:
                    "'\(path)' is not below the store: no part of it may be empty or begin with '.'"
            )
        }
    }

    private static func earlier(_ path: KeyTemplate) -> KeyTemplate? {
        guard let first = path.prefix.first, !path.fields.isEmpty else { return nil }
        return try? KeyTemplate(path.description, reserved: "/\(first)", reservedFirst: ".")
    }

    /// Of a part of a path: the system takes 255, and opsd's own files beside it have longer names.
    private static let partBytesMax = 240

    /// Every row finds a file, also the one with the longest names: a text of a key has at most 64 bytes,
    /// each of which may become three.
    private static func checkLengths(
        _ path: KeyTemplate, _ schema: Schema
    ) throws(FileLayoutError) {
        let longest = path.rendered { name in
            switch schema.index(of: name).map({ schema.fields[$0].type }) {
            case .integer: "\(Int64.min)"
            case .decimal:
                "-" + String(repeating: "8", count: 20) + "." + String(repeating: "8", count: 18)
            case .timestamp: Timestamp(microseconds: .min).description
            case .boolean: "false"
            case .text, .json, nil: String(repeating: "\u{1}", count: 64)
            }
        }
        for (part, name) in zip(
            path.description.split(separator: "/"), longest.split(separator: "/"))
        where name.utf8.count > partBytesMax {
            throw FileLayoutError(
                problem:
                    "'\(part)' may become a name of \(name.utf8.count) bytes, and \(partBytesMax) "
                    + "are the most: give each field a part of the path")
        }
    }

    private static func shown(
        _ schema: Schema, _ content: Content, _ names: [String: String], besides named: Set<Int>
    ) throws(FileLayoutError) -> [Shown] {
        if case .value(let name) = content {
            guard let index = schema.index(of: name), !named.contains(index) else {
                throw FileLayoutError(
                    problem: "\(schema.dataset) has no field '\(name)' beside its key")
            }
            return [Shown(index: index, field: schema.fields[index], name: name)]
        }
        for name in names.keys.sorted() where schema.index(of: name) == nil {
            throw FileLayoutError(problem: "\(schema.dataset) has no field '\(name)'")
        }
        let shown = schema.fields.enumerated().compactMap { index, field -> Shown? in
            if named.contains(index) { return nil }
            if names.isEmpty { return Shown(index: index, field: field, name: field.name) }
            return names[field.name].map { Shown(index: index, field: field, name: $0) }
        }
        guard Set(shown.map(\.name)).count == shown.count else {
            throw FileLayoutError(problem: "two fields of \(schema.dataset) have one name")
        }
        return shown
    }

    // MARK: Names

    /// How many key fields the path tells, when those are the first ones: then the files stand in the
    /// order of the keys, one after the other. Nil otherwise.
    var orderingCount: Int? {
        let indexes = pathFields.values.sorted()
        guard indexes == Array(indexes.indices), indexes.count <= schema.keyCount else {
            return nil
        }
        return indexes.count
    }

    /// The file of a row, relative to the store.
    func file(of values: [Value]) throws(StoreError) -> String {
        let file = path.rendered { name in
            pathFields[name].flatMap { values[$0].plainText } ?? ""
        }
        for part in file.split(separator: "/") where part.utf8.count > Self.partBytesMax {
            throw .refused(
                store: schema.dataset,
                problem: "'\(part.prefix(60))…' is too long for a file's name")
        }
        return file
    }

    /// Whether a file has its name from before the present spelling.
    func isOfBefore(_ file: String) -> Bool {
        earlierPath?.parsed(file) != nil && values(ofFile: file) == nil
    }

    /// Whether one file could belong to both.
    public func overlaps(_ other: FileLayout) -> Bool {
        let (mine, theirs) = (pathText.split(separator: "/"), other.pathText.split(separator: "/"))
        return mine.count == theirs.count && zip(mine, theirs).allSatisfy(Self.couldBeEqual)
    }

    /// Whether what stands before the first field and after the last one leaves room for one text.
    private static func couldBeEqual(_ one: Substring, _ two: Substring) -> Bool {
        guard one.contains("{") || two.contains("{") else { return one == two }
        func head(_ part: Substring) -> Substring { part.prefix { $0 != "{" } }
        func tail(_ part: Substring) -> Substring {
            part.lastIndex(of: "}").map { part[part.index(after: $0)...] } ?? part
        }
        return (head(one).hasPrefix(head(two)) || head(two).hasPrefix(head(one)))
            && (tail(one).hasSuffix(tail(two)) || tail(two).hasSuffix(tail(one)))
    }

    /// The values that the path of a file tells; nil for a file of another dataset.
    func values(ofFile file: String) -> [Int: Value]? {
        guard let texts = path.parsed(file) else { return nil }
        return Self.values(of: texts, schema)
    }

    /// The name of a row within its file; empty where the file has one row.
    func entryName(of values: [Value]) -> String {
        guard let entry else { return "" }
        let name = entry.rendered { name in
            schema.index(of: name).flatMap { values[$0].plainText } ?? ""
        }
        return entriesOfNames[name] ?? name
    }

    func values(ofEntry name: String) -> [Int: Value]? {
        guard let entry else { return name.isEmpty ? [:] : nil }
        return entry.parsed(namesOfEntries[name] ?? name).flatMap { Self.values(of: $0, schema) }
    }

    private static func values(of texts: [String: String], _ schema: Schema) -> [Int: Value]? {
        var values: [Int: Value] = [:]
        for (name, text) in texts {
            guard let index = schema.index(of: name) else { return nil }
            let field = schema.fields[index]
            // A null in a path is written as the empty text is.
            if text.isEmpty, field.isOptional, field.type != .text {
                values[index] = .null
                continue
            }
            // One value has one name: another spelling of it is another program's.
            guard let value = Value(written: text, as: field.type), value.plainText == text else {
                return nil
            }
            values[index] = value
        }
        return values
    }
}

/// A layout that cannot be. Trying again does not help.
public struct FileLayoutError: Error, Equatable, CustomStringConvertible {
    public let problem: String
    public var description: String { problem }
}
