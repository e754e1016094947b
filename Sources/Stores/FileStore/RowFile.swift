internal import ExactJSON
internal import Ledger

/// The rows of one file by their names in it: what other programs see, and opsd's stamps beside it.
struct RowFile: Sendable, Equatable {
    struct Entry: Sendable, Equatable {
        /// By their places in the row: what the file shows of it.
        var shown: [Value]
        /// Nil for a row that nobody journaled.
        var stamp: Stamp?
    }

    struct Stamp: Sendable, Equatable {
        var sequence: SequenceNumber
        /// What the layout does not show.
        var hidden: [Value]
    }

    var entries: [String: Entry] = [:]
    /// Rows that have a stamp and are not there. What writes the file keeps their stamps, so that it is
    /// still seen.
    var vanished: [String: Stamp] = [:]
    /// What is no row. Who needs a file as a whole has none of it where there is any.
    var damage: [Damage] = []

    struct Damage: Sendable, Equatable {
        /// Of the row that it would be; nil where that is not told.
        var name: String?
        var problem: String
        /// A stamp that is none, and no row with it.
        var isStampAlone = false
    }

    /// Members that are no rows, as they lie.
    var ignored: [[UInt8]] = []

    /// Nothing of it is to be in the folder.
    var isEmpty: Bool { entries.isEmpty && ignored.isEmpty }

    func knows(_ name: String) -> Bool { entries[name] != nil || vanished[name] != nil }

    /// Whether other programs see the same rows in both.
    func shows(the other: RowFile) -> Bool {
        entries.count == other.entries.count
            && entries.allSatisfy { other.entries[$0.key]?.shown == $0.value.shown }
    }

    var names: [String] { entries.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) } }
}

/// Why a file is not what the layout says.
struct RowFileError: Error {
    let problem: String
}

extension FileLayout {
    // MARK: Writing

    func bytes(of file: RowFile) throws(RowFileError) -> [UInt8] {
        format == .csv ? try csv(file) : json(file)
    }

    func json(_ file: RowFile) -> [UInt8] {
        var bytes: [UInt8] = []
        if entry == nil, let only = file.entries[""] {
            append(only, to: &bytes)
        } else {
            bytes.append(UInt8(ascii: "{"))
            for (place, member) in file.ignored.enumerated() {
                bytes += Array((place == 0 ? "\n" : ",\n").utf8)
                bytes += member
            }
            for (place, name) in file.names.enumerated() {
                guard let entry = file.entries[name] else { continue }
                bytes += Array((place + file.ignored.count == 0 ? "\n" : ",\n").utf8)
                bytes += member(name, entry)
            }
            bytes += Array("\n}".utf8)
        }
        bytes.append(UInt8(ascii: "\n"))
        return bytes
    }

    /// A row in a JSON file of many.
    func member(_ name: String, _ entry: RowFile.Entry) -> [UInt8] {
        var bytes: [UInt8] = []
        RowJSON.appendQuoted(name, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        append(entry, to: &bytes)
        return bytes
    }

    private func append(_ entry: RowFile.Entry, to bytes: inout [UInt8]) {
        if case .value = content, let value = entry.shown.first {
            RowJSON.append(value, to: &bytes)
        } else {
            RowJSON.append(members(of: entry), to: &bytes)
        }
    }

    private func members(of entry: RowFile.Entry) -> [(field: Field, value: Value)] {
        zip(shown, entry.shown).map { shown, value in
            (
                field: Field(shown.name, shown.field.type, optional: shown.field.isOptional),
                value: value
            )
        }
    }

    private func csv(_ file: RowFile) throws(RowFileError) -> [UInt8] {
        let keys = entryFields.map { schema.fields[$0].name }
        var text = CSV.line((keys + shown.map(\.name)).map { $0 })
        for name in file.names {
            guard let entry = file.entries[name] else { continue }
            guard let key = values(ofEntry: name) else {
                throw RowFileError(problem: "'\(name.prefix(80))' is no key of \(schema.dataset)")
            }
            text += CSV.line(
                entryFields.map { key[$0]?.plainText } + entry.shown.map(\.plainText))
        }
        return Array(text.utf8)
    }

    /// The stamps of a file: a member a row, `[SEQUENCE]` or `[SEQUENCE, hidden fields]`, and behind them the
    /// names of the fields that are JSON's null and not absent.
    func stampBytes(of file: RowFile) -> [UInt8] {
        var bytes: [UInt8] = [UInt8(ascii: "{")]
        var isFirst = true
        let stamps = file.entries.compactMapValues(\.stamp).merging(file.vanished) { own, _ in own }
        for (name, stamp) in stamps.sorted(by: {
            $0.key.utf8.lexicographicallyPrecedes($1.key.utf8)
        }) {
            bytes += Array((isFirst ? "\n" : ",\n").utf8)
            isFirst = false
            bytes += stampMember(name, stamp, of: file.entries[name])
        }
        bytes += Array("\n}\n".utf8)
        return bytes
    }

    /// - Parameter entry: nil for a row that is not there.
    func stampMember(
        _ name: String, _ stamp: RowFile.Stamp, of entry: RowFile.Entry?
    ) -> [UInt8] {
        var bytes: [UInt8] = []
        RowJSON.appendQuoted(name, to: &bytes)
        bytes += Array(":[\(stamp.sequence)".utf8)
        let nulls = jsonNulls(entry, stamp)
        if !hidden.isEmpty || !nulls.isEmpty {
            bytes.append(UInt8(ascii: ","))
            RowJSON.append(
                zip(hidden, stamp.hidden).map { (field: schema.fields[$0], value: $1) },
                to: &bytes)
        }
        if !nulls.isEmpty {
            bytes += Array(",[".utf8)
            for (place, name) in nulls.enumerated() {
                if place > 0 { bytes.append(UInt8(ascii: ",")) }
                RowJSON.appendQuoted(name, to: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        }
        bytes.append(UInt8(ascii: "]"))
        return bytes
    }

    private static let jsonNull = Value(plainText: "null", as: .json)

    private func jsonNulls(_ entry: RowFile.Entry?, _ stamp: RowFile.Stamp) -> [String] {
        let fields = shown.map(\.field) + hidden.map { schema.fields[$0] }
        return zip(fields, (entry?.shown ?? []) + stamp.hidden).compactMap { field, value in
            field.isOptional && value == Self.jsonNull ? field.name : nil
        }
    }

    // MARK: Reading

    /// - Parameters:
    ///   - bytes: nil where the file is gone.
    ///   - stamps: nil where there are none.
    func read(_ bytes: [UInt8]?, stamps: [UInt8]?) throws(RowFileError) -> RowFile {
        var file = RowFile()
        if let bytes { try read(bytes, into: &file) }
        if let stamps { readStamps(stamps, into: &file) }
        return file
    }

    private func read(_ bytes: [UInt8], into file: inout RowFile) throws(RowFileError) {
        if format == .csv {
            try readCSV(bytes, into: &file)
        } else {
            try readJSON(bytes, into: &file)
        }
    }

    private func readJSON(_ bytes: [UInt8], into file: inout RowFile) throws(RowFileError) {
        let json = try parsed(bytes)
        if entry == nil {
            return take(json, as: "", into: &file)
        }
        guard let members = json.members else { throw RowFileError(problem: "it is no object") }
        if !ignored.isEmpty { file.ignored = IgnoredMembers.find(ignored, in: bytes) }
        for (name, member) in members where !ignored.contains(name) {
            guard values(ofEntry: name) != nil else {
                let problem = "'\(name.prefix(80))' is no key of \(schema.dataset)"
                file.damage.append(.init(name: nil, problem: problem))
                continue
            }
            take(member, as: name, into: &file)
        }
    }

    private func take(_ json: JSONValue, as name: String, into file: inout RowFile) {
        do throws(RowFileError) {
            file.entries[name] = RowFile.Entry(shown: try shownValues(json, name), stamp: nil)
        } catch {
            file.damage.append(.init(name: name, problem: error.problem))
        }
    }

    private func parsed(_ bytes: [UInt8]) throws(RowFileError) -> JSONValue {
        do {
            return try JSONValue(parsing: bytes)
        } catch {
            throw RowFileError(problem: "\(error)")
        }
    }

    private func shownValues(
        _ json: JSONValue, _ name: String
    ) throws(RowFileError) -> [Value] {
        var values: [Value] = []
        for item in shown {
            let member: JSONValue?
            if case .value = content {
                member = json
            } else {
                guard let members = json.members else {
                    throw RowFileError(problem: "'\(name.prefix(80))' is no object")
                }
                member = members[item.name]
            }
            guard let value = RowJSON.written(member, of: item.field) else {
                throw RowFileError(
                    problem: "'\(name.prefix(80))': \(item.name) is no \(item.field.type.rawValue)")
            }
            values.append(value)
        }
        return values
    }

    private func readCSV(_ bytes: [UInt8], into file: inout RowFile) throws(RowFileError) {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw RowFileError(problem: "it is not UTF-8")
        }
        guard let lines = CSV.lines(text), let header = lines.first
        else { throw RowFileError(problem: "it is no CSV: a quote is not closed") }
        let keys = entryFields.map { schema.fields[$0] }
        // A file from before an optional field was declared has no column for it.
        var columns: [Int?] = []
        for (name, field) in keys.map({ ($0.name, $0) }) + shown.map({ ($0.name, $0.field) }) {
            let column = header.firstIndex(of: name)
            guard column != nil || field.isOptional else {
                throw RowFileError(problem: "the column '\(name)' is missing")
            }
            columns.append(column)
        }
        var names: Set<String> = []
        for (number, line) in lines.enumerated().dropFirst() {
            guard line.count == header.count else {
                let problem = "line \(number + 1) has \(line.count) columns, not \(header.count)"
                file.damage.append(.init(name: nil, problem: problem))
                continue
            }
            var values: [Value] = []
            var problem: String?
            for (column, field) in zip(columns, keys + shown.map(\.field)) {
                guard let value = Self.value(column.flatMap { line[$0] }, of: field) else {
                    let name = column.flatMap { header[$0] } ?? ""
                    problem = "line \(number + 1): \(name) is no \(field.type.rawValue)"
                    break
                }
                values.append(value)
            }
            guard values.count >= keys.count else {
                file.damage.append(.init(name: nil, problem: problem ?? ""))
                continue
            }
            var row = [Value](repeating: .null, count: schema.fields.count)
            for (index, value) in zip(entryFields, values) { row[index] = value }
            let name = entryName(of: row)
            if !names.insert(name).inserted {
                problem = "line \(number + 1): '\(name.prefix(80))' is there twice"
            }
            guard let problem else {
                file.entries[name] = RowFile.Entry(
                    shown: Array(values.dropFirst(keys.count)), stamp: nil)
                continue
            }
            file.entries[name] = nil
            file.damage.append(.init(name: name, problem: problem))
        }
    }

    private static func value(_ text: String?, of field: Field) -> Value? {
        guard let text else { return field.isOptional ? .null : nil }
        return Value(written: text, as: field.type)
    }

    private func readStamps(_ bytes: [UInt8], into file: inout RowFile) {
        let members: JSONMembers
        do throws(RowFileError) {
            guard let found = try parsed(bytes).members else {
                throw RowFileError(problem: "they are no object")
            }
            members = found
        } catch {
            let problem = "its stamps cannot be read: \(error.problem)"
            file.damage += file.entries.keys.map { .init(name: $0, problem: problem) }
            if file.damage.isEmpty {
                file.damage.append(.init(name: nil, problem: problem, isStampAlone: true))
            }
            file.entries = [:]
            return
        }
        for (name, member) in members {
            do throws(RowFileError) {
                try takeStamp(member, of: name, into: &file)
            } catch {
                let entry = file.entries.removeValue(forKey: name)
                file.damage.append(
                    .init(name: name, problem: error.problem, isStampAlone: entry == nil))
            }
        }
    }

    private func takeStamp(
        _ member: JSONValue, of name: String, into file: inout RowFile
    ) throws(RowFileError) {
        guard let parts = member.elements, let sequence = parts.first?.integer, sequence >= 0 else {
            throw RowFileError(problem: "the stamp of '\(name.prefix(80))' has no sequence")
        }
        let nulls = parts.count > 2 ? parts[2].elements?.compactMap(\.text) ?? [] : []
        func exact(_ value: Value, _ field: Field) -> Value {
            value == .null && nulls.contains(field.name) ? Self.jsonNull ?? value : value
        }
        var values: [Value] = []
        for index in hidden {
            let field = schema.fields[index]
            let json = parts.count > 1 ? parts[1].members?[field.name] : nil
            guard let value = RowJSON.written(json, of: field) else {
                throw RowFileError(
                    problem: "the stamp of '\(name.prefix(80))' has no \(field.name)")
            }
            values.append(exact(value, field))
        }
        if !nulls.isEmpty, let entry = file.entries[name] {
            file.entries[name]?.shown = zip(shown, entry.shown).map { exact($1, $0.field) }
        }
        let stamp = RowFile.Stamp(
            sequence: SequenceNumber(rawValue: Int64(sequence)), hidden: values)
        if file.entries[name] != nil {
            file.entries[name]?.stamp = stamp
        } else {
            file.vanished[name] = stamp
        }
    }

    // MARK: Rows

    func entry(of stamped: StampedRow) -> RowFile.Entry {
        let values = stamped.row.values
        return RowFile.Entry(
            shown: shown.map { values[$0.index] },
            stamp: RowFile.Stamp(sequence: stamped.sequence, hidden: hidden.map { values[$0] }))
    }

    /// Nil for a row that lacks what only its stamp could tell.
    func row(_ name: String, _ entry: RowFile.Entry, inFile path: [Int: Value]) -> StampedRow? {
        var row = [Value](repeating: .null, count: schema.fields.count)
        for (index, value) in path { row[index] = value }
        for (index, value) in values(ofEntry: name) ?? [:] { row[index] = value }
        for (item, value) in zip(shown, entry.shown) { row[item.index] = value }
        for (index, value) in zip(hidden, entry.stamp?.hidden ?? []) { row[index] = value }
        if entry.stamp == nil, hidden.contains(where: { !schema.fields[$0].isOptional }) {
            return nil
        }
        return StampedRow(
            row: Row(dataset: schema.dataset, values: row),
            sequence: entry.stamp?.sequence ?? .none)
    }
}
