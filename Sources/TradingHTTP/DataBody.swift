import ExactJSON
import Foundation
import Hummingbird
import Ledger

/// Reads rows and keys of a declared dataset from paths and bodies, strictly: what is unknown, missing or
/// of another type is refused by its name.
struct DataBody {
    let schema: Schema

    /// A text of a key goes into names of files and keys of stores, where each byte may become three.
    static let keyTextBytesMax = 64
    static let batchMax = 1_000
    /// Of a row as the journal has it: numbers within JSON may have become longer.
    static let rowBytesMax = 65_536
    /// Copies put the JSON of a field into JSON of their own, and none is read deeper than 72 levels.
    static let fieldDepthMax = 32

    private static let batchBytesMax = 8 << 20

    // MARK: Keys

    /// - Parameter segments: of the path, as they were sent.
    func key(_ segments: [Substring]) throws(APIError) -> [Value] {
        let names = schema.keyFields.map(\.name)
        guard segments.count == names.count else {
            throw .badRequest(
                "the key of \(schema.dataset) is \(names.joined(separator: "/")): "
                    + "\(names.count) parts in the path, not \(segments.count)")
        }
        var values: [Value] = []
        for (field, segment) in zip(schema.keyFields, segments) {
            guard let text = segment.removingPercentEncoding else {
                throw .badRequest(
                    "\(field.name): '\(segment.prefix(60))' is not percent-encoded UTF-8")
            }
            guard let value = Value(plainText: text, as: field.type) else {
                throw .badRequest(
                    "\(field.name) must be \(Self.wanted(field)), not '\(text.prefix(60))'")
            }
            values.append(try checkedKey(value, field))
        }
        return values
    }

    private func checkedKey(_ value: Value, _ field: Field) throws(APIError) -> Value {
        guard case .text(let text) = value else { return value }
        guard (1...Self.keyTextBytesMax).contains(text.utf8.count) else {
            throw .badRequest(
                "\(field.name) is part of the key, and must have 1 to \(Self.keyTextBytesMax) bytes"
            )
        }
        return value
    }

    // MARK: Bodies

    /// The row that `PUT` wants: the path's key, the body's other fields.
    func row(_ key: [Value], _ request: Request) async throws -> Row {
        let members = try await object(request, upTo: Self.rowBytesMax)
        var values = key
        for (field, value) in zip(schema.keyFields, key) {
            guard let json = members[field.name] else { continue }
            guard try self.value(json, of: field) == value else {
                throw APIError.badRequest("\(field.name) is another one in the path")
            }
        }
        for field in schema.fields.dropFirst(schema.keyCount) {
            values.append(try value(members[field.name], of: field))
        }
        try checkNames(members, among: schema.fields)
        return try row(values)
    }

    struct Batch {
        var put: [Row] = []
        var delete: [RowKey] = []
    }

    func batch(_ request: Request) async throws -> Batch {
        let members = try await object(request, upTo: Self.batchBytesMax)
        for name in members.keys where name != "put" && name != "delete" {
            throw APIError.badRequest("'\(name.prefix(60))' is no part of a batch: put, delete")
        }
        var batch = Batch()
        let puts = try elements(members["put"], "put")
        let deletes = try elements(members["delete"], "delete")
        guard puts.count + deletes.count <= Self.batchMax else {
            throw APIError(
                status: .contentTooLarge,
                message: "a batch has at most \(Self.batchMax) rows; send several")
        }
        var seen: Set<RowKey> = []
        for (index, element) in puts.enumerated() {
            let row = try within("put[\(index)]") { () throws(APIError) in try wholeRow(element) }
            try note(row.key(in: schema), in: &seen)
            batch.put.append(row)
        }
        for (index, element) in deletes.enumerated() {
            let key = try within("delete[\(index)]") { () throws(APIError) in try wholeKey(element)
            }
            try note(key, in: &seen)
            batch.delete.append(key)
        }
        return batch
    }

    private func note(_ key: RowKey, in seen: inout Set<RowKey>) throws(APIError) {
        guard seen.insert(key).inserted else {
            throw .badRequest("the row '\(key)' is in the batch twice")
        }
    }

    private func within<Result>(
        _ place: String, _ read: () throws(APIError) -> Result
    ) throws(APIError) -> Result {
        do {
            return try read()
        } catch {
            throw APIError(status: error.status, message: "\(place): \(error.message)")
        }
    }

    private func elements(_ json: JSONValue?, _ name: String) throws(APIError) -> [JSONValue] {
        guard let json else { return [] }
        guard let elements = json.elements else {
            throw .badRequest("\(name) must be an array")
        }
        return elements
    }

    private func wholeRow(_ json: JSONValue) throws(APIError) -> Row {
        guard let members = json.members else { throw .badRequest("must be an object") }
        var values: [Value] = []
        for (index, field) in schema.fields.enumerated() {
            let value = try self.value(members[field.name], of: field)
            values.append(index < schema.keyCount ? try checkedKey(value, field) : value)
        }
        try checkNames(members, among: schema.fields)
        return try row(values)
    }

    private func wholeKey(_ json: JSONValue) throws(APIError) -> RowKey {
        guard let members = json.members else { throw .badRequest("must be an object") }
        var values: [Value] = []
        for field in schema.keyFields {
            values.append(try checkedKey(try value(members[field.name], of: field), field))
        }
        try checkNames(members, among: Array(schema.keyFields))
        return RowKey(dataset: schema.dataset, values: values)
    }

    private func row(_ values: [Value]) throws(APIError) -> Row {
        let row: Row
        do {
            row = try schema.row(values)
        } catch {
            throw .badRequest("\(error.field ?? schema.dataset): \(error.problem)")
        }
        for (field, value) in zip(schema.fields, values) {
            guard case .json(let json) = value, json.depth > Self.fieldDepthMax else { continue }
            throw .badRequest(
                "\(field.name) is nested \(json.depth) levels deep, and may be \(Self.fieldDepthMax)"
            )
        }
        let count = row.encoded(keyCount: schema.keyCount).count
        guard count <= Self.rowBytesMax else {
            throw APIError(
                status: .contentTooLarge,
                message: "the row has \(count) bytes, and may have \(Self.rowBytesMax)")
        }
        return row
    }

    private func object(_ request: Request, upTo limit: Int) async throws -> JSONMembers {
        let bytes = try await request.bytes(upTo: limit)
        do {
            guard let members = try JSONValue(parsing: bytes).members else {
                throw APIError.badRequest("the body must be a JSON object")
            }
            return members
        } catch let error as JSONSyntaxError {
            throw APIError.badRequest("the body cannot be read: \(error)")
        }
    }

    private func checkNames(
        _ members: JSONMembers, among fields: [Field]
    ) throws(APIError) {
        let known = fields.map(\.name)
        for name in members.keys.sorted() where !known.contains(name) {
            throw .badRequest(
                "'\(name.prefix(60))' is not a field here: \(known.joined(separator: ", "))")
        }
    }

    // MARK: Values

    private func value(_ json: JSONValue?, of field: Field) throws(APIError) -> Value {
        guard let json else {
            if field.isOptional { return .null }
            throw .badRequest("\(field.name) is missing")
        }
        guard
            let value = Self.isSpelling(json, of: field.type) ? RowJSON.value(json, of: field) : nil
        else {
            let problem =
                json == .null ? "is null, and not optional" : "must be \(Self.wanted(field))"
            throw .badRequest("\(field.name) \(problem)")
        }
        return value
    }

    /// Whether a type of JSON is how a field's values are written: not every text that looks like a number
    /// is one.
    private static func isSpelling(_ json: JSONValue, of type: FieldType) -> Bool {
        switch (json, type) {
        case (.null, _), (_, .json), (.string, .text), (.string, .timestamp), (.string, .decimal),
            (.number, .decimal), (.number, .integer), (.bool, .boolean):
            true
        default: false
        }
    }

    private static func wanted(_ field: Field) -> String {
        switch field.type {
        case .text: "a text without NUL"
        case .integer: "a whole number of 64 bits"
        case .decimal: "a decimal of at most 38 digits, 18 of them after the point"
        case .timestamp: "an RFC 3339 time within the years 0000 to 9999"
        case .boolean: "true or false"
        case .json: "JSON without NUL, its numbers decimals of at most 38 digits"
        }
    }
}
