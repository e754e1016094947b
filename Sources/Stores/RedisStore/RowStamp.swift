internal import ExactJSON
internal import Ledger

/// What lies beside a row: `SEQUENCE`, or `SEQUENCE {json}` with the fields that the data does not
/// show, or does not show exactly. Times in it are whole microseconds, since every one has that spelling.
struct RowStamp {
    /// `none` for a row that no entry put there.
    var sequence = SequenceNumber.none
    /// By place in the row.
    var values: [Int: Value] = [:]
}

extension RowCoding {
    func appendStamp(_ values: [Value], _ sequence: SequenceNumber, to bytes: inout [UInt8]) {
        bytes.appendDigits(sequence.rawValue)
        var isFirst = true
        for index in hidden where values[index] != .null {
            append(values[index], at: index, isFirst: &isFirst, to: &bytes)
        }
        for field in shown where isAmbiguous(values[field.index], of: field.field) {
            append(values[field.index], at: field.index, isFirst: &isFirst, to: &bytes)
        }
        if !isFirst { bytes.append(UInt8(ascii: "}")) }
    }

    private func append(
        _ value: Value, at index: Int, isFirst: inout Bool, to bytes: inout [UInt8]
    ) {
        bytes += isFirst ? [UInt8(ascii: " "), UInt8(ascii: "{")] : [UInt8(ascii: ",")]
        isFirst = false
        RowJSON.appendQuoted(schema.fields[index].name, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        if case .timestamp(let time) = value {
            RowJSON.append(.integer(time.microseconds), to: &bytes)
        } else {
            RowJSON.append(value, to: &bytes)
        }
    }

    /// Nil when it is none that opsd has written. No bytes at all: the stamp of a stranger's row.
    func stamp(_ bytes: [UInt8]?) -> RowStamp? {
        guard let bytes else { return RowStamp() }
        let space = bytes.firstIndex(of: UInt8(ascii: " ")) ?? bytes.endIndex
        guard let number = String(validating: bytes[..<space], as: UTF8.self),
            let raw = Int64(number), raw >= 0
        else { return nil }
        var stamp = RowStamp(sequence: SequenceNumber(rawValue: raw))
        if space == bytes.endIndex { return stamp }
        if let values = plainStampValues(bytes[(space + 1)...]) {
            stamp.values = values
            return stamp
        }
        guard let json = try? JSONValue(parsing: Array(bytes[(space + 1)...])),
            let members = json.members
        else { return nil }
        for (name, member) in members {
            guard let index = schema.index(of: name),
                let value = Self.value(member, of: schema.fields[index])
            else { return nil }
            stamp.values[index] = value
        }
        return stamp
    }

    private static func value(_ json: JSONValue, of field: Field) -> Value? {
        switch (field.type, json) {
        case (.timestamp, .number(let digits)):
            Int64(digits).map { .timestamp(Timestamp(microseconds: $0)) }
        // Not null: a null field is not in a stamp.
        case (.json, _): (try? CanonicalJSON(json)).map(Value.json)
        default: RowJSON.written(json, of: field)
        }
    }
}
